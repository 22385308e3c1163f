/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what: the demands of a call. A method's row says for whom it needs no action; its
 * authorize function leaves out the actions that ownership makes unnecessary and fills in what the
 * others are about. The demands that remain are decided by polkit (polkit.c); root needs to ask
 * nobody.
 */

#include "daemon/access.h"

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"

BerthDetails *berth_request_add(BerthRequest *request, const char *action)
{
    BerthDemand *demand = &request->demands[request->n];

    g_assert(request->n < BERTH_REQUEST_MAX);
    request->n++;
    *demand = (BerthDemand){ .action = action };
    return &demand->details;
}

BerthDetails *berth_request_add_optional(BerthRequest *request, const char *action)
{
    BerthDetails *details = berth_request_add(request, action);

    request->demands[request->n - 1].optional = true;
    return details;
}

void berth_request_clear(BerthRequest *request)
{
    for (unsigned i = 0; i < request->n; i++) {
        BerthDetails *details = &request->demands[i].details;

        g_free(details->sandbox);
        g_free(details->sandbox_id);
        g_free(details->mode);
        g_free(details->donor);
        g_free(details->owner);
        g_free(details->registry);
        g_free(details->repository);
        g_free(details->reference);
    }
    request->n = 0;
}

char *berth_demand_key(const BerthDemand *demand)
{
    const BerthDetails *details = &demand->details;
    const char *const parts[] = { details->sandbox,    details->sandbox_id, details->mode,
                                  details->donor,      details->owner,      details->registry,
                                  details->repository, details->reference };
    GString *key = g_string_new(demand->action);

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
        g_string_append_printf(key, "\n%s", parts[i] ? parts[i] : "");
    return g_string_free(key, FALSE);
}

void berth_set_refused(GError **error, uid_t uid, const BerthDemand *demand, int code)
{
    g_autofree char *uid_field = g_strdup_printf("CALLER_UID=%u", uid);
    g_autofree char *action_field =
        g_strconcat("POLKIT_ACTION=" BERTH_ACTION_PREFIX, demand->action, NULL);

    berth_log_event(LOG_NOTICE, BERTH_MESSAGE_ACCESS_DENIED,
                    ((const char *const[]){ uid_field, action_field, NULL }),
                    "refused user %u the action %s%s", uid, BERTH_ACTION_PREFIX, demand->action);
    if (code == BERTH_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)
        berth_set_error(error, code,
                        "user %u needs to authenticate for the action %s%s; allow interactive "
                        "authorization in the call, with a polkit agent running",
                        uid, BERTH_ACTION_PREFIX, demand->action);
    else
        berth_set_error(
            error, code,
            "user %u may not do this: it needs the action %s%s, which a polkit rule can "
            "grant",
            uid, BERTH_ACTION_PREFIX, demand->action);
}
