/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions that calls ask the store. Who may do something with an image depends on whose it is,
 * which only a worker can look up: so a call is asked about twice, first to learn that, then to do
 * what it is about, and between the two its rights are looked at (method.c does that each time act
 * runs again).
 */

#include "daemon/asked.h"

#include "base/error.h"
#include "daemon/objects.h"
#include "daemon/result.h"

static void on_answer(sd_bus_message *result, const GError *error, void *userdata)
{
    BerthAsked *asked = userdata;

    asked->query = NULL;
    asked->result = sd_bus_message_ref(result);
    asked->failure = error ? g_error_copy(error) : NULL;
    asked->answered = true;
    berth_call_resume(asked->call);
}

BerthVerdict berth_asked_ask(BerthAsked *asked, BerthCall *call, const BerthStoreJob *job)
{
    berth_asked_clear(asked);
    asked->call = call;
    asked->query =
        berth_query_start(call->daemon->queries, call->caller->uid, job, on_answer, asked);
    return BERTH_CALL_WAITING;
}

bool berth_asked_check(const BerthAsked *asked, GError **error)
{
    g_assert(asked->answered);
    if (asked->failure && error)
        *error = g_error_copy(asked->failure);
    return !asked->failure;
}

void berth_asked_clear(BerthAsked *asked)
{
    berth_query_cancel(asked->query);
    sd_bus_message_unref(asked->result);
    g_clear_error(&asked->failure);
    *asked = (BerthAsked){ NULL };
}

bool berth_image_name_read(BerthImageName *name, const char *text, GError **error)
{
    BerthDigest digest;

    if (berth_digest_parse(text, &digest, NULL)) {
        name->text = g_strdup(text);
        return true;
    }
    name->reference = berth_reference_parse(text, error);
    if (!name->reference)
        return false;
    name->text = berth_reference_to_string(name->reference);
    return true;
}

void berth_image_name_clear(BerthImageName *name)
{
    g_free(name->text);
    berth_reference_free(name->reference);
}

bool berth_asked_has_reader(const BerthAsked *asked, uid_t uid)
{
    g_autoptr(GArray) readers =
        asked->result ? berth_result_read_ids(asked->result, "Readers", NULL) : NULL;

    for (guint i = 0; readers && i < readers->len; i++)
        if (g_array_index(readers, uint32_t, i) == uid)
            return true;
    return false;
}

bool berth_authorize_image(const BerthCall *call, const BerthAsked *asked,
                           const BerthImageName *name, const char *action, BerthRequest *request,
                           GError **error)
{
    g_autoptr(GArray) readers = NULL;
    BerthDetails *details;

    if (!asked->answered || berth_asked_has_reader(asked, call->caller->uid))
        return true;
    if (asked->result) {
        readers = berth_result_read_ids(asked->result, "Readers", error);
        if (!readers)
            return false;
    } else if (!g_error_matches(asked->failure, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE)) {
        return berth_asked_check(asked, error);
    }
    details = berth_request_add(request, action);
    if (name->reference)
        berth_fill_image_details(details, name->reference);
    else
        details->reference = g_strdup(name->text);
    if (readers && readers->len > 0)
        details->owner = g_strdup_printf("%u", g_array_index(readers, uint32_t, 0));
    return true;
}
