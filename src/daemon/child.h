/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define BERTH_CHILD_RESULT_MAX 65536 /* bytes that a child can report */

/**
 * BerthChildFunc: the work. Runs in the child, which ends with it.
 * @result: what the service gets on success, at most BERTH_CHILD_RESULT_MAX bytes
 */
typedef bool (*BerthChildFunc)(void *userdata, GByteArray *result, GError **error);

/**
 * BerthChildDone: called once in the service when the work ended or took too long.
 * @result: (transfer none): what the child reported; NULL on error
 * @error: NULL on success
 */
typedef void (*BerthChildDone)(const GByteArray *result, const GError *error, void *userdata);

/**
 * berth_child_start:
 * @usec: time it may take; then it is killed and @done gets BERTH_ERROR_TIMEOUT
 *
 * Forks a child that does what can block, and reports how it ended. When this fails, @done is not
 * called.
 */
bool berth_child_start(sd_event *event, uint64_t usec, BerthChildFunc func, void *func_data,
                       BerthChildDone done, void *done_data, GError **error);
