/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side of a transfer: what is in force for a registry, looked up without blocking; whether the
 * machine's credentials may be used there, which polkit decides when there are some that would be.
 * What the rights were decided on is what the worker gets, the same endpoints, unless it has to
 * wait: then it gets what is in force when it starts, but no credentials that nobody decided on.
 */

#include "daemon/side.h"

#include "base/fd.h"
#include "daemon/objects.h"

#define CREDENTIALS_ACTION "use-machine-credentials"

void berth_side_init(BerthSide *side)
{
    *side = (BerthSide){ .credentials = -1 };
}

void berth_side_clear(BerthSide *side)
{
    berth_reference_free(side->reference);
    berth_close(side->credentials);
    berth_endpoints_cancel(side->find);
    berth_endpoints_free(side->endpoints);
    g_clear_error(&side->failure);
    berth_side_init(side);
}

static void demand_credentials(const BerthSide *side, BerthRequest *request)
{
    if (side->endpoints &&
        berth_endpoints_have_credentials(side->endpoints, side->credentials >= 0))
        berth_fill_image_details(berth_request_add_optional(request, CREDENTIALS_ACTION),
                                 side->reference);
}

void berth_side_demand(const BerthSide *side, const char *action, BerthRequest *request)
{
    berth_fill_image_details(berth_request_add(request, action), side->reference);
    demand_credentials(side, request);
}

static void on_endpoints(BerthEndpoints *endpoints, const GError *error, void *userdata)
{
    BerthSide *side = userdata;

    side->find = NULL;
    berth_endpoints_free(side->endpoints);
    side->endpoints = endpoints;
    side->failure = error ? g_error_copy(error) : NULL;
    side->done(side->userdata);
}

bool berth_side_check(BerthSide *side, GError **error)
{
    if (!side->failure)
        return true;
    g_propagate_error(error, g_steal_pointer(&side->failure));
    return false;
}

bool berth_side_refresh(BerthSide *side, BerthDaemon *daemon, uid_t user,
                        const BerthReference *reference, BerthEndpointsUse use, BerthSideDone done,
                        void *userdata, GError **error)
{
    side->done = done;
    side->userdata = userdata;
    side->find = berth_endpoints_find(daemon, user, reference->registry, reference->repository, use,
                                      on_endpoints, side, error);
    return side->find;
}

static void resume(void *userdata)
{
    berth_call_resume(userdata);
}

BerthVerdict berth_side_find(BerthSide *side, BerthCall *call, BerthEndpointsUse use,
                             GError **error)
{
    if (berth_side_check(side, error) &&
        berth_side_refresh(side, call->daemon, call->caller->uid, side->reference, use, resume,
                           call, error))
        return BERTH_CALL_WAITING;
    return BERTH_CALL_FAILED;
}

void berth_side_move(BerthSide *side, const BerthCall *call, BerthSide *job)
{
    BERTH_AUTO_REQUEST request = { .n = 0 };

    demand_credentials(side, &request);
    *job = (BerthSide){ .reference = g_steal_pointer(&side->reference),
                        .credentials = berth_steal_fd(&side->credentials),
                        .machine = call->caller->uid == 0 ||
                                   berth_call_is_granted(call, &request, CREDENTIALS_ACTION),
                        .endpoints = g_steal_pointer(&side->endpoints) };
}

bool berth_side_append(const BerthSide *side, sd_bus_message *job, const char *key, GError **error)
{
    const BerthEndpointsCredentials credentials = { side->machine, side->credentials };

    return berth_endpoints_append(side->endpoints, job, key, &credentials, error);
}
