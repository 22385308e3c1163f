/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"

/**
 * berth_declared_check:
 * @settings: in force from now on
 * @declared: (element-type BerthDeclared): values are set to what they will be
 * @error: BERTH_ERROR_SETTINGS_INVALID naming the place of the first that cannot be
 */
bool berth_declared_check(const BerthSettings *settings, GPtrArray *declared, GError **error);

/** BerthDeclaredDone: every declared sandbox is there, or it was logged why one is not. */
typedef void (*BerthDeclaredDone)(void *userdata);

/**
 * berth_declared_apply: makes the sandboxes in @daemon->declared that are missing, and brings those
 * that are there to what is declared as far as that goes while they are in use; what needs them to
 * be made anew is logged for the administrator. @done is called when all is done, perhaps at once.
 */
void berth_declared_apply(BerthDaemon *daemon, BerthDeclaredDone done, void *userdata);

/**
 * berth_declared_report_dropped: logs which of @before (element-type BerthDeclared) are not
 * declared any more. They stay: somebody may use them.
 */
void berth_declared_report_dropped(const BerthDaemon *daemon, const GPtrArray *before);

/** berth_declared_origin: Returns: (transfer none): where @name is declared, or NULL. */
const char *berth_declared_origin(const BerthDaemon *daemon, const char *name);
