/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.Export: images of the store into an archive that a worker writes to the caller's
 * descriptor. Whoever is not root may have those that are his own; for each of the others polkit is
 * asked, so that a rule sees every one of them. The worker is told which those are, and what they
 * were when that was asked: it looks again, and a name may mean another image by then.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "daemon/asked.h"
#include "daemon/entries.h"
#include "daemon/image-methods.h"
#include "daemon/objects.h"
#include "daemon/result.h"
#include "daemon/transfers.h"

#include <fcntl.h>

#define IMAGES_MAX 256 /* of one archive */

typedef struct {
    GStrv images;
    unsigned n;
    BerthImageName *names; /* n */
    BerthAsked *asked;     /* n: whose they are */
    int archive;
    char *format;
    bool include_foreign, referrers;
} Arguments;

typedef struct {
    GStrv images;
    int archive;
    char *format;
    bool include_foreign, referrers;
    GStrv authorized; /* digests of images that polkit has let the caller read */
} Job;

static const BerthOption options[] = {
    { "Format", "s", offsetof(Arguments, format) },
    { "IncludeForeign", "b", offsetof(Arguments, include_foreign) },
    { "Referrers", "b", offsetof(Arguments, referrers) },
    { NULL },
};

static bool read_images(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    int r = sd_bus_message_read_strv(call->message, &arguments->images);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the images");
    if (!arguments->images || !*arguments->images)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "there is no image to export; name at least one");
    if (g_strv_length(arguments->images) > IMAGES_MAX)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "%u images are too many for one archive; export at most %d at once",
                               g_strv_length(arguments->images), IMAGES_MAX);
    arguments->n = g_strv_length(arguments->images);
    arguments->names = g_new0(BerthImageName, arguments->n);
    arguments->asked = g_new0(BerthAsked, arguments->n);
    for (unsigned i = 0; i < arguments->n; i++)
        if (!berth_image_name_read(&arguments->names[i], arguments->images[i], error))
            return false;
    return true;
}

bool berth_export_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    g_autofree char *quoted = NULL;

    arguments->archive = -1;
    if (!read_images(call, error))
        return false;
    arguments->archive = berth_read_stream(call->message, "archive", error);
    if (arguments->archive < 0 ||
        !berth_options_read(call->message, options, arguments, NULL, error))
        return false;
    if (!arguments->format)
        arguments->format = g_strdup("oci");
    if (g_str_equal(arguments->format, "oci") || g_str_equal(arguments->format, "docker"))
        return true;
    quoted = berth_quote(arguments->format);
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "invalid Format '%s': use oci or docker", quoted);
}

/* Without root's rights at most so many of others at a time, since each is asked for. */
static bool check_request(const BerthRequest *request, GError **error)
{
    return request->n < BERTH_REQUEST_MAX ||
           berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                           "more than %d of the images are not yours; export them one by one",
                           BERTH_REQUEST_MAX - 1);
}

bool berth_export_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;

    if (call->caller->uid == 0)
        return true;
    for (unsigned i = 0; i < arguments->n; i++)
        if (!berth_authorize_image(call, &arguments->asked[i], &arguments->names[i],
                                   call->method->access.action, request, error) ||
            !check_request(request, error))
            return false;
    return true;
}

static bool fill_inspect(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const Arguments *arguments = asked->call->arguments;
    int r = sd_bus_message_append(job, "{sv}", "Image", "s",
                                  arguments->names[asked - arguments->asked].text);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static bool fill_export(const BerthTransfer *transfer, const BerthSettings *settings,
                        sd_bus_message *message, GError **error)
{
    const Job *job = transfer->job;
    int r = berth_entry_strv(message, "Images", job->images);

    if (r >= 0)
        r = berth_entry_strv(message, "Authorized", job->authorized);
    if (r >= 0)
        r = sd_bus_message_append(message, "{sv}{sv}{sv}{sv}", "Archive", "h", job->archive,
                                  "Format", "s", job->format, "IncludeForeign", "b",
                                  (int)job->include_foreign, "Referrers", "b", (int)job->referrers);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static void clear_job(void *data)
{
    Job *job = data;

    g_strfreev(job->images);
    g_strfreev(job->authorized);
    berth_close(job->archive);
    g_free(job->format);
    g_free(job);
}

static const BerthTransferKind export_kind = { .name = "export",
                                               .fill = fill_export,
                                               .clear = clear_job };

/* Whose the images are; only who is allowed gets here. */
static bool check_images(const Arguments *arguments, GError **error)
{
    for (unsigned i = 0; i < arguments->n; i++)
        if (!berth_asked_check(&arguments->asked[i], error))
            return false;
    return true;
}

/* The digests of those that are not the caller's, NULL on error; only who is allowed gets here. */
static GStrv list_authorized(const BerthCall *call, GError **error)
{
    const Arguments *arguments = call->arguments;
    g_autoptr(GStrvBuilder) digests = g_strv_builder_new();

    for (unsigned i = 0; call->caller->uid != 0 && i < arguments->n; i++) {
        const BerthAsked *asked = &arguments->asked[i];
        const char *digest;

        if (berth_asked_has_reader(asked, call->caller->uid))
            continue;
        if (!berth_result_read(asked->result, "Digest", 's', &digest, error))
            return NULL;
        g_strv_builder_add(digests, digest);
    }
    return g_strv_builder_end(digests);
}

BerthVerdict berth_export_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    g_auto(GStrv) authorized = NULL;
    BerthReference *reference;
    Job *job;

    for (unsigned i = 0; i < arguments->n; i++)
        if (!arguments->asked[i].answered)
            return berth_asked_ask(&arguments->asked[i], call,
                                   &(const BerthStoreJob){ "inspect", 0, fill_inspect });
    if (!check_images(arguments, error) || !berth_transfers_may_begin(call, error))
        return BERTH_CALL_FAILED;
    authorized = list_authorized(call, error);
    if (!authorized)
        return BERTH_CALL_FAILED;
    job = g_new0(Job, 1);
    job->images = g_new0(char *, arguments->n + 1);
    for (unsigned i = 0; i < arguments->n; i++)
        job->images[i] = g_strdup(arguments->names[i].text);
    job->archive = berth_steal_fd(&arguments->archive);
    job->format = g_steal_pointer(&arguments->format);
    job->include_foreign = arguments->include_foreign;
    job->referrers = arguments->referrers;
    job->authorized = g_steal_pointer(&authorized);
    reference = g_steal_pointer(&arguments->names[0].reference);
    return berth_transfers_begin(call, &export_kind, reference, job, error);
}

void berth_export_clear(void *data)
{
    Arguments *arguments = data;

    for (unsigned i = 0; arguments->names && i < arguments->n; i++) {
        berth_asked_clear(&arguments->asked[i]);
        berth_image_name_clear(&arguments->names[i]);
    }
    g_free(arguments->asked);
    g_free(arguments->names);
    g_strfreev(arguments->images);
    berth_close(arguments->archive);
    g_free(arguments->format);
}

const size_t berth_export_arguments_size = sizeof(Arguments);
