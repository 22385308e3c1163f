/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.List and Inspect: what a worker read in the store, passed on as far as it makes sense. The
 * service looks at keys and types only; a manifest is a text to it.
 */

#include "base/error.h"
#include "daemon/asked.h"
#include "daemon/image-methods.h"
#include "daemon/result.h"

#include <string.h>

#define LIST_SLICE 256 /* rows copied before other callers get their turn */

#define PREFIX_MAX 4096 /* bytes; longer than any reference */

#define IMAGE_KEYS                                                                                 \
    { "Reference", "s", BERTH_RESULT_ANY, NULL }, { "Digest", "s", BERTH_RESULT_DIGEST, NULL },    \
        { "MediaType", "s", BERTH_RESULT_ANY, NULL }, { "Size", "t", BERTH_RESULT_ANY, NULL },     \
        { "Platform", "s", BERTH_RESULT_ANY, NULL },                                               \
        { "PulledUSec", "t", BERTH_RESULT_ANY, NULL },                                             \
    {                                                                                              \
        "Owner", "u", BERTH_RESULT_ANY, NULL                                                       \
    }

static const BerthResultKey row_keys[] = { IMAGE_KEYS, { NULL } };

static const BerthResultKey layer_keys[] = {
    { "Digest", "s", BERTH_RESULT_DIGEST, NULL }, { "MediaType", "s", BERTH_RESULT_ANY, NULL },
    { "Size", "t", BERTH_RESULT_ANY, NULL },      { "Present", "b", BERTH_RESULT_ANY, NULL },
    { "Urls", "as", BERTH_RESULT_ANY, NULL },     { NULL },
};

static const BerthResultKey inspect_keys[] = {
    IMAGE_KEYS,
    { "Manifest", "s", BERTH_RESULT_ANY, NULL },
    { "Config", "s", BERTH_RESULT_ANY, NULL },
    { "Layers", "aa{sv}", BERTH_RESULT_ANY, layer_keys },
    { "Readers", "au", BERTH_RESULT_HIDDEN, NULL },
    { NULL },
};

typedef struct {
    BerthAsked asked;
    char *prefix;
    sd_bus_message *reply; /* while rows are copied */
    size_t bytes;
} ListArguments;

static const BerthOption filter_options[] = {
    { "Reference", "s", offsetof(ListArguments, prefix) },
    { NULL },
};

bool berth_image_list_parse(BerthCall *call, GError **error)
{
    ListArguments *arguments = call->arguments;

    if (!berth_options_read(call->message, filter_options, arguments, NULL, error))
        return false;
    return !arguments->prefix || strlen(arguments->prefix) <= PREFIX_MAX ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "Reference has more than %d bytes, which no reference begins with",
                           PREFIX_MAX);
}

static bool fill_list(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const ListArguments *arguments = asked->call->arguments;
    int r = sd_bus_message_append(job, "{sv}", "Reference", "s",
                                  arguments->prefix ? arguments->prefix : "");

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static bool begin_list(BerthCall *call, GError **error)
{
    ListArguments *arguments = call->arguments;
    sd_bus_message *result = arguments->asked.result;

    if (berth_result_seek(result, "Images", "aa{sv}") <= 0 ||
        sd_bus_message_enter_container(result, 'a', "a{sv}") < 0)
        return berth_set_error(error, BERTH_ERROR_FAILED, "the worker does not list the images");
    arguments->reply = berth_call_new_reply(call, error);
    if (!arguments->reply)
        return false;
    arguments->bytes = BERTH_RESULT_BYTES_MAX;
    return sd_bus_message_open_container(arguments->reply, 'a', "a{sv}") >= 0 ||
           berth_set_error(error, BERTH_ERROR_FAILED, "cannot make a reply");
}

BerthVerdict berth_image_list_act(BerthCall *call, GError **error)
{
    ListArguments *arguments = call->arguments;
    sd_bus_message *result = arguments->asked.result;

    if (!arguments->asked.answered)
        return berth_asked_ask(&arguments->asked, call,
                               &(const BerthStoreJob){ "list", 0, fill_list });
    if (!berth_asked_check(&arguments->asked, error) ||
        (!arguments->reply && !begin_list(call, error)))
        return BERTH_CALL_FAILED;
    for (unsigned n = 0; n < LIST_SLICE && sd_bus_message_at_end(result, false) == 0; n++)
        if (!berth_result_copy(result, row_keys, arguments->reply, &arguments->bytes, error))
            return BERTH_CALL_FAILED;
    if (sd_bus_message_at_end(result, false) == 0)
        return berth_call_retry(call, 0, error);
    return berth_call_reply(call, arguments->reply,
                            sd_bus_message_close_container(arguments->reply), error);
}

void berth_image_list_clear(void *data)
{
    ListArguments *arguments = data;

    berth_asked_clear(&arguments->asked);
    sd_bus_message_unref(arguments->reply);
    g_free(arguments->prefix);
}

const size_t berth_image_list_arguments_size = sizeof(ListArguments);

typedef struct {
    BerthAsked asked;
    BerthImageName image;
} InspectArguments;

static const BerthOption no_options[] = { { NULL } };

bool berth_image_inspect_parse(BerthCall *call, GError **error)
{
    InspectArguments *arguments = call->arguments;
    const char *text;
    int r = sd_bus_message_read(call->message, "s", &text);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the image");
    return berth_image_name_read(&arguments->image, text, error) &&
           berth_options_read(call->message, no_options, NULL, NULL, error);
}

bool berth_image_inspect_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const InspectArguments *arguments = call->arguments;

    return berth_authorize_image(call, &arguments->asked, &arguments->image,
                                 call->method->access.action, request, error);
}

static bool fill_inspect(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const InspectArguments *arguments = asked->call->arguments;
    int r = sd_bus_message_append(job, "{sv}", "Image", "s", arguments->image.text);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

BerthVerdict berth_image_inspect_act(BerthCall *call, GError **error)
{
    InspectArguments *arguments = call->arguments;
    BERTH_AUTO_MESSAGE *reply = NULL;
    size_t bytes = BERTH_RESULT_BYTES_MAX;

    if (!arguments->asked.answered)
        return berth_asked_ask(&arguments->asked, call,
                               &(const BerthStoreJob){ "inspect", 0, fill_inspect });
    if (!berth_asked_check(&arguments->asked, error))
        return BERTH_CALL_FAILED;
    reply = berth_call_new_reply(call, error);
    if (!reply || sd_bus_message_rewind(arguments->asked.result, true) < 0 ||
        !berth_result_copy(arguments->asked.result, inspect_keys, reply, &bytes, error))
        return BERTH_CALL_FAILED;
    return berth_call_reply(call, reply, 0, error);
}

void berth_image_inspect_clear(void *data)
{
    InspectArguments *arguments = data;

    berth_asked_clear(&arguments->asked);
    berth_image_name_clear(&arguments->image);
}

const size_t berth_image_inspect_arguments_size = sizeof(InspectArguments);
