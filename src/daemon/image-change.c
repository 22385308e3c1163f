/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.Tag, Remove and Prune: small changes of the store, which a worker makes. Whose the images
 * are is looked up first. The change is then made for the caller as owner, and the worker looks
 * again while it holds the index; or for root, when root or polkit allowed it. Either way only to
 * the image that was looked at.
 */

#include "base/error.h"
#include "daemon/asked.h"
#include "daemon/image-methods.h"
#include "daemon/objects.h"
#include "daemon/result.h"

typedef struct {
    BerthImageName image, reference;  /* the latter with Tag */
    BerthAsked inspected, in_the_way; /* the image; what has the new name already */
    BerthAsked changed;
} Arguments;

static const BerthOption no_options[] = { { NULL } };

static bool read_name(BerthCall *call, BerthImageName *name, GError **error)
{
    const char *text;
    int r = sd_bus_message_read(call->message, "s", &text);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the image");
    return berth_image_name_read(name, text, error);
}

bool berth_image_remove_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;

    return read_name(call, &arguments->image, error) &&
           berth_options_read(call->message, no_options, NULL, NULL, error);
}

bool berth_image_tag_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;

    if (!read_name(call, &arguments->image, error) ||
        !read_name(call, &arguments->reference, error))
        return false;
    if (!arguments->reference.reference || arguments->reference.reference->has_digest)
        return berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                               "the new name '%s' has a digest, which the image decides; give a "
                               "name with a tag",
                               arguments->reference.text);
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

/* Whether the image has nobody else as an owner. */
static bool is_alone(const BerthAsked *asked, uid_t uid)
{
    g_autoptr(GArray) readers = berth_result_read_ids(asked->result, "Readers", NULL);

    return readers && readers->len == 1 && g_array_index(readers, uint32_t, 0) == uid;
}

bool berth_image_change_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;
    const BerthAsked *in_the_way = &arguments->in_the_way;

    if (!berth_authorize_image(call, &arguments->inspected, &arguments->image,
                               call->method->access.action, request, error))
        return false;
    /* a name that others use must not come to mean another image */
    if (in_the_way->answered && in_the_way->result && !is_alone(in_the_way, call->caller->uid))
        berth_fill_image_details(berth_request_add(request, call->method->access.action),
                                 arguments->reference.reference);
    return true;
}

static bool append(sd_bus_message *job, const char *key, const char *text, GError **error)
{
    int r = sd_bus_message_append(job, "{sv}", key, "s", text);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

/* Of an image whose documents are damaged it is known all the same whose it is. */
static bool append_brief(sd_bus_message *job, GError **error)
{
    int r = sd_bus_message_append(job, "{sv}", "Brief", "b", 1);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static bool fill_inspect(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const Arguments *arguments = asked->call->arguments;
    const BerthImageName *name =
        asked == &arguments->in_the_way ? &arguments->reference : &arguments->image;

    return append(job, "Image", name->text, error) && append_brief(job, error);
}

static bool fill_change(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const Arguments *arguments = asked->call->arguments;
    const char *digest;

    if (!berth_result_read(arguments->inspected.result, "Digest", 's', &digest, error))
        return false;
    return append(job, "Image", arguments->image.text, error) &&
           append(job, "Expect", digest, error) &&
           (!arguments->reference.text ||
            append(job, "NewReference", arguments->reference.text, error));
}

/* For whom the worker makes the change: whoever is not the owner has permission to do it anyway. */
static uid_t acts_as(const BerthCall *call)
{
    const Arguments *arguments = call->arguments;
    uid_t uid = call->caller->uid;

    if (!berth_asked_has_reader(&arguments->inspected, uid) ||
        (arguments->in_the_way.result && !is_alone(&arguments->in_the_way, uid)))
        return 0;
    return uid;
}

static BerthVerdict inspect(BerthCall *call, BerthAsked *asked)
{
    return berth_asked_ask(asked, call, &(const BerthStoreJob){ "inspect", 0, fill_inspect });
}

static BerthVerdict change(BerthCall *call, const char *kind, GError **error)
{
    Arguments *arguments = call->arguments;

    if (!arguments->changed.answered)
        return berth_asked_ask(&arguments->changed, call,
                               &(const BerthStoreJob){ kind, acts_as(call), fill_change });
    if (!berth_asked_check(&arguments->changed, error))
        return BERTH_CALL_FAILED;
    return berth_call_reply_empty(call, error);
}

BerthVerdict berth_image_remove_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;

    if (!arguments->inspected.answered)
        return inspect(call, &arguments->inspected);
    if (!berth_asked_check(&arguments->inspected, error))
        return BERTH_CALL_FAILED;
    return change(call, "remove", error);
}

BerthVerdict berth_image_tag_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const GError *failure;

    if (!arguments->inspected.answered)
        return inspect(call, &arguments->inspected);
    if (!berth_asked_check(&arguments->inspected, error))
        return BERTH_CALL_FAILED;
    if (!arguments->in_the_way.answered)
        return inspect(call, &arguments->in_the_way);
    failure = arguments->in_the_way.failure;
    if (failure && !g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE)) {
        (void)berth_asked_check(&arguments->in_the_way, error);
        return BERTH_CALL_FAILED;
    }
    return change(call, "tag", error);
}

void berth_image_change_clear(void *data)
{
    Arguments *arguments = data;

    berth_asked_clear(&arguments->inspected);
    berth_asked_clear(&arguments->in_the_way);
    berth_asked_clear(&arguments->changed);
    berth_image_name_clear(&arguments->image);
    berth_image_name_clear(&arguments->reference);
}

const size_t berth_image_change_arguments_size = sizeof(Arguments);

bool berth_prune_parse(BerthCall *call, GError **error)
{
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

static bool fill_nothing(sd_bus_message *job, void *userdata, GError **error)
{
    return true;
}

BerthVerdict berth_prune_act(BerthCall *call, GError **error)
{
    BerthAsked *asked = call->arguments;
    BERTH_AUTO_MESSAGE *reply = NULL;
    uint64_t bytes;
    uint32_t blobs;

    if (!asked->answered)
        return berth_asked_ask(asked, call, &(const BerthStoreJob){ "prune", 0, fill_nothing });
    if (!berth_asked_check(asked, error) ||
        !berth_result_read(asked->result, "Bytes", 't', &bytes, error) ||
        !berth_result_read(asked->result, "Blobs", 'u', &blobs, error))
        return BERTH_CALL_FAILED;
    reply = berth_call_new_reply(call, error);
    if (!reply)
        return BERTH_CALL_FAILED;
    return berth_call_reply(call, reply, sd_bus_message_append(reply, "tu", bytes, blobs), error);
}

void berth_prune_clear(void *data)
{
    berth_asked_clear(data);
}

const size_t berth_prune_arguments_size = sizeof(BerthAsked);
