/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what. A method's row says for whom it needs no action; its authorize function leaves
 * out the actions that ownership makes unnecessary, and what remains is decided here, in one place,
 * by the credentials of the bus connection and nothing else.
 */

#include "daemon/access.h"

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"

void berth_request_add(BerthRequest *request, const char *action)
{
    unsigned n = 0;

    while (request->actions[n])
        n++;
    g_assert(n < BERTH_REQUEST_MAX);
    request->actions[n] = action;
}

bool berth_access_check(const BerthCaller *caller, const BerthRequest *request, GError **error)
{
    g_autofree char *uid_field = NULL;
    g_autofree char *action_field = NULL;

    if (caller->uid == 0 || !request->actions[0])
        return true;

    uid_field = g_strdup_printf("BERTH_CALLER_UID=%u", caller->uid);
    action_field = g_strconcat("BERTH_ACTION=" BERTH_ACTION_PREFIX, request->actions[0], NULL);
    berth_log_event(LOG_NOTICE, BERTH_MESSAGE_ACCESS_DENIED,
                    ((const char *const[]){ uid_field, action_field, NULL }),
                    "refused user %u the action %s%s", caller->uid, BERTH_ACTION_PREFIX,
                    request->actions[0]);
    return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                           "user %u may not do this: it needs the action %s%s, which only root has "
                           "here",
                           caller->uid, BERTH_ACTION_PREFIX, request->actions[0]);
}
