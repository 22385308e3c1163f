/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/** CTL_AUTO_MESSAGE: a message that is released when its variable goes out of scope. */
#define CTL_AUTO_MESSAGE __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message
#define CTL_AUTO_ERROR   __attribute__((cleanup(sd_bus_error_free))) sd_bus_error

/** ctl_bus_open: connects ctl->bus unless it is. Returns: false when it failed and was reported. */
bool ctl_bus_open(Ctl *ctl);

/**
 * ctl_bus_new_call:
 * @ctl: the run; connects the bus if needed
 * @path: object path of the service
 * @interface: interface
 * @member: method
 * @message: (out) (transfer full): the call, to be filled
 *
 * Returns: false when it failed and was reported.
 */
bool ctl_bus_new_call(Ctl *ctl, const char *path, const char *interface, const char *member,
                      sd_bus_message **message);

/**
 * ctl_bus_send:
 * @r: what filling @message returned; negative: reported, nothing is sent
 * @reply: (out) (optional) (transfer full): the answer
 *
 * Returns: false when the call failed and was reported.
 */
bool ctl_bus_send(Ctl *ctl, sd_bus_message *message, int r, sd_bus_message **reply);

/**
 * ctl_bus_call:
 * @types: D-Bus signature of the arguments that follow, as for sd_bus_message_append()
 *
 * ctl_bus_new_call() and ctl_bus_send() in one. Returns: false when it failed and was reported.
 */
bool ctl_bus_call(Ctl *ctl, const char *path, const char *interface, const char *member,
                  sd_bus_message **reply, const char *types, ...);

/**
 * ctl_bus_find_sandbox:
 * @name: an ID, a name or `UID/name`
 * @path: (out) (transfer full): its object, to be freed with g_free()
 *
 * Returns: false when it failed and was reported.
 */
bool ctl_bus_find_sandbox(Ctl *ctl, const char *name, char **path);
