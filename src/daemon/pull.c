/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.Pull: its options, what the settings say for the registry, and the transfer made of that.
 * Nothing of the registry or of an image is seen here.
 */

#include "base/error.h"
#include "base/fd.h"
#include "daemon/entries.h"
#include "daemon/image-methods.h"
#include "daemon/side.h"
#include "daemon/transfer-options.h"
#include "daemon/transfers.h"

typedef struct {
    BerthTransferOptions options;
    BerthSide from;
} Arguments;

/* What the worker will be told. */
typedef struct {
    BerthTransferOptions options;
    BerthSide from;
    const char *foreign_layers; /* (static) */
} Job;

static const BerthOption options[] = {
    { "Platform", "s", offsetof(BerthTransferOptions, platform) },
    { "AllPlatforms", "b", offsetof(BerthTransferOptions, all_platforms) },
    { "Credentials", "h", offsetof(BerthTransferOptions, credentials) },
    { "ForeignLayers", "s", offsetof(BerthTransferOptions, foreign_layers) },
    { "MaxBandwidth", "t", offsetof(BerthTransferOptions, max_bandwidth) },
    { "Referrers", "b", offsetof(BerthTransferOptions, referrers) },
    { NULL },
};

bool berth_pull_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *text;
    int r = sd_bus_message_read(call->message, "s", &text);

    berth_transfer_options_init(&arguments->options);
    berth_side_init(&arguments->from);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r,
                                     "cannot read the reference");
    arguments->from.reference = berth_reference_parse(text, error);
    if (!arguments->from.reference ||
        !berth_transfer_options_read(&arguments->options, call->message, options, error))
        return false;
    arguments->from.credentials = berth_steal_fd(&arguments->options.credentials);
    return true;
}

bool berth_pull_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;

    berth_side_demand(&arguments->from, "pull", request);
    return true;
}

static bool fill(const BerthTransfer *transfer, const BerthSettings *settings, sd_bus_message *job,
                 GError **error)
{
    const Job *pull = transfer->job;
    const BerthRegistrySettings *registry = berth_endpoints_settings(pull->from.endpoints);
    g_autofree char *reference = berth_transfer_reference(transfer);
    int r = sd_bus_message_append(job, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Referrers", "b",
                                  (int)pull->options.referrers, "Reference", "s", reference,
                                  "Platform", "s", berth_transfer_options_platform(&pull->options),
                                  "AllPlatforms", "b", (int)pull->options.all_platforms,
                                  "ForeignLayers", "s", pull->foreign_layers, "MaxDownloads", "u",
                                  settings->max_downloads_per_transfer, "MaxBandwidth", "t",
                                  transfer->bandwidth);

    if (r >= 0)
        r = berth_entry_strv(job, "ForeignUrlHosts", registry->foreign_url_hosts);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                     "cannot make a job for a worker");
    return berth_side_append(&pull->from, job, "Endpoints", error);
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
    berth_side_clear(&job->from);
    g_free(job);
}

static bool is_stale(const BerthTransfer *transfer, const BerthRegistries *registries)
{
    const Job *job = transfer->job;

    return !berth_endpoints_are_of(job->from.endpoints, registries);
}

static void on_refreshed(void *userdata)
{
    BerthTransfer *transfer = userdata;
    Job *job = transfer->job;
    g_autoptr(GError) error = NULL;

    if (berth_side_check(&job->from, &error))
        (void)berth_transfer_options_foreign_layers(&job->options,
                                                    berth_endpoints_settings(job->from.endpoints),
                                                    &job->foreign_layers, &error);
    berth_transfers_refreshed(transfer, error);
}

static bool refresh(BerthTransfer *transfer, BerthDaemon *daemon, GError **error)
{
    Job *job = transfer->job;

    return berth_side_refresh(&job->from, daemon, transfer->owner, transfer->reference,
                              BERTH_ENDPOINTS_READ, on_refreshed, transfer, error);
}

static const BerthTransferKind pull_kind = {
    .name = "pull",
    .fill = fill,
    .clear = clear_job,
    .is_stale = is_stale,
    .refresh = refresh,
    .max_bandwidth = max_bandwidth,
};

BerthVerdict berth_pull_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *foreign_layers;
    BerthReference *reference;
    Job *job;

    if (!berth_transfers_may_begin(call, error))
        return BERTH_CALL_FAILED;
    if (!arguments->from.endpoints)
        return berth_side_find(&arguments->from, call, BERTH_ENDPOINTS_READ, error);
    if (!berth_transfer_options_foreign_layers(&arguments->options,
                                               berth_endpoints_settings(arguments->from.endpoints),
                                               &foreign_layers, error))
        return BERTH_CALL_FAILED;
    job = g_new0(Job, 1);
    job->foreign_layers = foreign_layers;
    berth_side_move(&arguments->from, call, &job->from);
    berth_transfer_options_move(&arguments->options, &job->options);
    reference = g_steal_pointer(&job->from.reference);
    return berth_transfers_begin(call, &pull_kind, reference, job, error);
}

void berth_pull_clear(void *data)
{
    Arguments *arguments = data;

    berth_transfer_options_clear(&arguments->options);
    berth_side_clear(&arguments->from);
}

const size_t berth_pull_arguments_size = sizeof(Arguments);
