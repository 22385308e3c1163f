/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/**
 * ctl_create_new_call:
 * @name: (nullable): the name of the sandbox
 * @message: (out) (transfer full): a call of Sandboxes.Create with what ctl->spec asks for
 *
 * Returns: false when it failed and was reported.
 */
bool ctl_create_new_call(Ctl *ctl, const char *name, sd_bus_message **message);

/**
 * ctl_create_read_reply:
 * @reply: the answer to Sandboxes.Create
 * @path: (out) (transfer full): the object of the new sandbox
 *
 * Returns: false when it failed and was reported.
 */
bool ctl_create_read_reply(Ctl *ctl, sd_bus_message *reply, char **path);

/** ctl_create_id: Returns: (transfer none): the ID that ends the object path of a sandbox. */
const char *ctl_create_id(const char *path);
