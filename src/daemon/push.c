/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.Push and Copy: their arguments, what the settings say for the registries, and the
 * transfers made of that. Who is not root needs the action for what is written, the one for what is
 * read (of an image of the store: unless it is his own), and, when the worker meets layers that may
 * not be redistributed, one more: see transfer-question.c. Nothing of a registry or of an image is
 * seen here.
 */

#include "base/error.h"
#include "base/fd.h"
#include "daemon/asked.h"
#include "daemon/entries.h"
#include "daemon/image-methods.h"
#include "daemon/result.h"
#include "daemon/side.h"
#include "daemon/transfer-options.h"
#include "daemon/transfers.h"

#include <fcntl.h>

typedef struct {
    BerthTransferOptions options;
    BerthImageName image; /* with Push */
    BerthAsked asked;     /* with Push: whose it is */
    BerthSide from;       /* with Copy */
    BerthSide to;
} Arguments;

/* What the worker will be told. */
typedef struct {
    BerthDaemon *daemon; /* while the settings are looked up again */
    BerthTransferOptions options;
    char *image;                /* with Push */
    bool authorized;            /* with Push: the image is not the user's, but may be read */
    BerthSide from;             /* with Copy */
    const char *foreign_layers; /* (static) with Copy */
    BerthSide to;
} Job;

static const BerthOption push_options[] = {
    { "Platform", "s", offsetof(BerthTransferOptions, platform) },
    { "AllPlatforms", "b", offsetof(BerthTransferOptions, all_platforms) },
    { "Credentials", "h", offsetof(BerthTransferOptions, credentials) },
    { "MaxBandwidth", "t", offsetof(BerthTransferOptions, max_bandwidth) },
    { "Referrers", "b", offsetof(BerthTransferOptions, referrers) },
    { NULL },
};

static const BerthOption copy_options[] = {
    { "Platform", "s", offsetof(BerthTransferOptions, platform) },
    { "AllPlatforms", "b", offsetof(BerthTransferOptions, all_platforms) },
    { "Credentials", "h", offsetof(BerthTransferOptions, credentials) },
    { "SourceCredentials", "h", offsetof(BerthTransferOptions, source_credentials) },
    { "ForeignLayers", "s", offsetof(BerthTransferOptions, foreign_layers) },
    { "MaxBandwidth", "t", offsetof(BerthTransferOptions, max_bandwidth) },
    { "Referrers", "b", offsetof(BerthTransferOptions, referrers) },
    { NULL },
};

/* Both methods begin with two texts. */
static bool begin_parse(BerthCall *call, const char **first, const char **second, GError **error)
{
    Arguments *arguments = call->arguments;
    int r = sd_bus_message_read(call->message, "ss", first, second);

    berth_transfer_options_init(&arguments->options);
    berth_side_init(&arguments->from);
    berth_side_init(&arguments->to);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the references");
}

/* Where an image goes for which the caller gives no reference. */
static const char *own_reference(const BerthImageName *image, GError **error)
{
    if (image->reference)
        return image->text;
    berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                    "an image that is named by its digest, %s, can only be pushed with a reference "
                    "that says where to; give one",
                    image->text);
    return NULL;
}

bool berth_push_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *image, *reference;

    if (!begin_parse(call, &image, &reference, error) ||
        !berth_image_name_read(&arguments->image, image, error))
        return false;
    if (!*reference)
        reference = own_reference(&arguments->image, error);
    arguments->to.reference = reference ? berth_reference_parse(reference, error) : NULL;
    if (!arguments->to.reference ||
        !berth_transfer_options_read(&arguments->options, call->message, push_options, error))
        return false;
    arguments->to.credentials = berth_steal_fd(&arguments->options.credentials);
    return true;
}

/* Credentials are for both sides, unless there are others for the source. */
static bool share_credentials(Arguments *arguments, GError **error)
{
    BerthTransferOptions *options = &arguments->options;

    arguments->to.credentials = berth_steal_fd(&options->credentials);
    arguments->from.credentials = berth_steal_fd(&options->source_credentials);
    if (arguments->from.credentials >= 0 || arguments->to.credentials < 0)
        return true;
    arguments->from.credentials = fcntl(arguments->to.credentials, F_DUPFD_CLOEXEC, 3);
    return arguments->from.credentials >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot keep the credentials");
}

bool berth_copy_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *source, *destination;

    if (!begin_parse(call, &source, &destination, error))
        return false;
    arguments->from.reference = berth_reference_parse(source, error);
    if (!arguments->from.reference)
        return false;
    arguments->to.reference = berth_reference_parse(destination, error);
    return arguments->to.reference &&
           berth_transfer_options_read(&arguments->options, call->message, copy_options, error) &&
           share_credentials(arguments, error);
}

bool berth_push_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;

    berth_side_demand(&arguments->to, "push", request);
    return berth_authorize_image(call, &arguments->asked, &arguments->image, "read-image", request,
                                 error);
}

bool berth_copy_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;

    berth_side_demand(&arguments->from, "pull", request);
    berth_side_demand(&arguments->to, "push", request);
    return true;
}

static int append_platforms(sd_bus_message *message, const BerthTransferOptions *options)
{
    return sd_bus_message_append(message, "{sv}{sv}{sv}", "Platform", "s",
                                 berth_transfer_options_platform(options), "AllPlatforms", "b",
                                 (int)options->all_platforms, "Referrers", "b",
                                 (int)options->referrers);
}

/* What is the same for every job that writes to a registry. */
static int append_writing(sd_bus_message *message, const BerthTransfer *transfer,
                          const BerthSettings *settings)
{
    const Job *job = transfer->job;
    const BerthRegistrySettings *registry = berth_endpoints_settings(job->to.endpoints);
    int r = sd_bus_message_append(message, "{sv}{sv}{sv}", "AllowNondistributable", "b",
                                  (int)registry->allow_nondistributable, "MaxUploads", "u",
                                  settings->max_uploads_per_transfer, "MaxBandwidth", "t",
                                  transfer->bandwidth);

    return r >= 0 ? append_platforms(message, &job->options) : r;
}

static bool fill_push(const BerthTransfer *transfer, const BerthSettings *settings,
                      sd_bus_message *message, GError **error)
{
    const Job *job = transfer->job;
    g_autofree char *reference = berth_transfer_reference(transfer);
    int r = sd_bus_message_append(message, "{sv}{sv}{sv}", "Image", "s", job->image, "Reference",
                                  "s", reference, "Authorized", "b", (int)job->authorized);

    if (r >= 0)
        r = append_writing(message, transfer, settings);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                     "cannot make a job for a worker");
    return berth_side_append(&job->to, message, "Endpoints", error);
}

static bool fill_copy(const BerthTransfer *transfer, const BerthSettings *settings,
                      sd_bus_message *message, GError **error)
{
    const Job *job = transfer->job;
    const BerthRegistrySettings *source = berth_endpoints_settings(job->from.endpoints);
    g_autofree char *from = berth_reference_to_string(job->from.reference);
    g_autofree char *to = berth_transfer_reference(transfer);
    int r = sd_bus_message_append(message, "{sv}{sv}{sv}{sv}", "Source", "s", from, "Destination",
                                  "s", to, "ForeignLayers", "s", job->foreign_layers,
                                  "MaxDownloads", "u", settings->max_downloads_per_transfer);

    if (r >= 0)
        r = berth_entry_strv(message, "ForeignUrlHosts", source->foreign_url_hosts);
    if (r >= 0)
        r = append_writing(message, transfer, settings);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                     "cannot make a job for a worker");
    return berth_side_append(&job->from, message, "From", error) &&
           berth_side_append(&job->to, message, "To", error);
}

static uint64_t max_bandwidth(const void *data)
{
    const Job *job = data;

    return job->options.max_bandwidth;
}

static void clear_job(void *data)
{
    Job *job = data;

    berth_transfer_options_clear(&job->options);
    g_free(job->image);
    berth_side_clear(&job->from);
    berth_side_clear(&job->to);
    g_free(job);
}

/* Where the settings do not allow it, workers skip such layers and have nothing to ask. */
static bool may_redistribute(const BerthTransfer *transfer)
{
    const Job *job = transfer->job;

    return berth_endpoints_settings(job->to.endpoints)->allow_nondistributable;
}

static bool is_stale(const BerthTransfer *transfer, const BerthRegistries *registries)
{
    const Job *job = transfer->job;

    return !berth_endpoints_are_of(job->to.endpoints, registries) ||
           (job->from.endpoints && !berth_endpoints_are_of(job->from.endpoints, registries));
}

static void on_refreshed(void *userdata)
{
    BerthTransfer *transfer = userdata;
    Job *job = transfer->job;
    g_autoptr(GError) error = NULL;

    if (berth_side_check(&job->to, &error) && job->from.endpoints)
        (void)berth_transfer_options_foreign_layers(&job->options,
                                                    berth_endpoints_settings(job->from.endpoints),
                                                    &job->foreign_layers, &error);
    berth_transfers_refreshed(transfer, error);
}

static bool refresh_to(BerthTransfer *transfer, BerthDaemon *daemon, GError **error)
{
    Job *job = transfer->job;

    return berth_side_refresh(&job->to, daemon, transfer->owner, transfer->reference,
                              BERTH_ENDPOINTS_WRITE, on_refreshed, transfer, error);
}

static void on_source_refreshed(void *userdata)
{
    BerthTransfer *transfer = userdata;
    Job *job = transfer->job;
    g_autoptr(GError) error = NULL;

    if (!berth_side_check(&job->from, &error) || !refresh_to(transfer, job->daemon, &error))
        berth_transfers_refreshed(transfer, error);
}

static bool refresh_both(BerthTransfer *transfer, BerthDaemon *daemon, GError **error)
{
    Job *job = transfer->job;

    job->daemon = daemon;
    return berth_side_refresh(&job->from, daemon, transfer->owner, job->from.reference,
                              BERTH_ENDPOINTS_READ, on_source_refreshed, transfer, error);
}

static const BerthTransferKind push_kind = { .name = "push",
                                             .fill = fill_push,
                                             .clear = clear_job,
                                             .is_stale = is_stale,
                                             .refresh = refresh_to,
                                             .max_bandwidth = max_bandwidth,
                                             .question = "push-nondistributable",
                                             .may_ask = may_redistribute };
static const BerthTransferKind copy_kind = { .name = "copy",
                                             .fill = fill_copy,
                                             .clear = clear_job,
                                             .is_stale = is_stale,
                                             .refresh = refresh_both,
                                             .max_bandwidth = max_bandwidth,
                                             .question = "push-nondistributable",
                                             .may_ask = may_redistribute };

static Job *new_job(BerthCall *call)
{
    Arguments *arguments = call->arguments;
    Job *job = g_new0(Job, 1);

    berth_side_init(&job->from);
    berth_side_move(&arguments->to, call, &job->to);
    berth_transfer_options_move(&arguments->options, &job->options);
    return job;
}

static bool fill_inspect(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const Arguments *arguments = asked->call->arguments;
    int r = sd_bus_message_append(job, "{sv}", "Image", "s", arguments->image.text);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

/*
 * Fills in what is pushed. Of an image that is somebody else's, polkit has seen what its name means
 * now, and the worker gets that: the name may mean another one when it runs.
 */
static bool name_image(BerthCall *call, Job *job, GError **error)
{
    const Arguments *arguments = call->arguments;
    const char *text = arguments->image.text;
    BerthDigest digest;

    job->authorized =
        call->caller->uid == 0 || !berth_asked_has_reader(&arguments->asked, call->caller->uid);
    if (job->authorized && call->caller->uid != 0 &&
        (!berth_result_read(arguments->asked.result, "Digest", 's', &text, error) ||
         !berth_digest_parse(text, &digest, error)))
        return false;
    job->image = g_strdup(text);
    return true;
}

BerthVerdict berth_push_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    BerthReference *reference;
    Job *job;

    if (!arguments->asked.answered)
        return berth_asked_ask(&arguments->asked, call,
                               &(const BerthStoreJob){ "inspect", 0, fill_inspect });
    if (!berth_asked_check(&arguments->asked, error) || !berth_transfers_may_begin(call, error))
        return BERTH_CALL_FAILED;
    if (!arguments->to.endpoints)
        return berth_side_find(&arguments->to, call, BERTH_ENDPOINTS_WRITE, error);
    job = new_job(call);
    if (!name_image(call, job, error)) {
        clear_job(job);
        return BERTH_CALL_FAILED;
    }
    reference = g_steal_pointer(&job->to.reference);
    return berth_transfers_begin(call, &push_kind, reference, job, error);
}

BerthVerdict berth_copy_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *foreign_layers;
    BerthReference *reference;
    Job *job;

    if (!berth_transfers_may_begin(call, error))
        return BERTH_CALL_FAILED;
    if (!arguments->from.endpoints)
        return berth_side_find(&arguments->from, call, BERTH_ENDPOINTS_READ, error);
    if (!arguments->to.endpoints)
        return berth_side_find(&arguments->to, call, BERTH_ENDPOINTS_WRITE, error);
    if (!berth_transfer_options_foreign_layers(&arguments->options,
                                               berth_endpoints_settings(arguments->from.endpoints),
                                               &foreign_layers, error))
        return BERTH_CALL_FAILED;
    job = new_job(call);
    berth_side_move(&arguments->from, call, &job->from);
    job->foreign_layers = foreign_layers;
    reference = g_steal_pointer(&job->to.reference);
    return berth_transfers_begin(call, &copy_kind, reference, job, error);
}

void berth_push_clear(void *data)
{
    Arguments *arguments = data;

    berth_transfer_options_clear(&arguments->options);
    berth_asked_clear(&arguments->asked);
    berth_image_name_clear(&arguments->image);
    berth_side_clear(&arguments->from);
    berth_side_clear(&arguments->to);
}

const size_t berth_push_arguments_size = sizeof(Arguments);
