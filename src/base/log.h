/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <syslog.h>

/** BerthLogTarget: where log lines go; the words are those of org.freedesktop.LogControl1. */
typedef enum {
    BERTH_LOG_AUTO, /* the journal if standard error is connected to it, else the console */
    BERTH_LOG_JOURNAL,
    BERTH_LOG_CONSOLE,
    BERTH_LOG_NULL,
    _BERTH_LOG_TARGET_MAX,
    _BERTH_LOG_TARGET_INVALID = -EINVAL,
} BerthLogTarget;

const char *berth_log_target_to_string(BerthLogTarget target);
BerthLogTarget berth_log_target_from_string(const char *word);

/** berth_log_level_to_string: Returns: (static): the word of a syslog priority, or NULL. */
const char *berth_log_level_to_string(int level);
/** berth_log_level_from_string: Returns: the syslog priority of @word, or -EINVAL. */
int berth_log_level_from_string(const char *word);

void berth_log_set_level(int level);
int berth_log_get_level(void);
void berth_log_set_target(BerthLogTarget target);
BerthLogTarget berth_log_get_target(void);

/**
 * berth_log_full:
 * @level: a syslog priority
 * @id: (nullable): MESSAGE_ID, 32 hex digits, for what an operator acts on; data/berth.catalog
 *   explains each
 * @fields: (nullable): further journal fields, `NAME=value`, NULL-terminated
 * @format: the message
 *
 * errno is kept.
 */
void berth_log_full(int level, const char *file, int line, const char *func, const char *id,
                    const char *const *fields, const char *format, ...) G_GNUC_PRINTF(7, 8);

#define berth_log(level, ...)                                                                      \
    berth_log_full(level, __FILE__, __LINE__, __func__, NULL, NULL, __VA_ARGS__)
#define berth_debug(...)   berth_log(LOG_DEBUG, __VA_ARGS__)
#define berth_info(...)    berth_log(LOG_INFO, __VA_ARGS__)
#define berth_notice(...)  berth_log(LOG_NOTICE, __VA_ARGS__)
#define berth_warning(...) berth_log(LOG_WARNING, __VA_ARGS__)
#define berth_err(...)     berth_log(LOG_ERR, __VA_ARGS__)

/**
 * berth_log_event: a message with a MESSAGE_ID of messages.h and, as further arguments of @fields,
 * a NULL-terminated array of `NAME=value`.
 */
#define berth_log_event(level, id, fields, ...)                                                    \
    berth_log_full(level, __FILE__, __LINE__, __func__, id, fields, __VA_ARGS__)
