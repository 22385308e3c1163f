/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.Pull: its options, read and checked; what the settings say for the registry, looked up
 * without blocking; whether the machine's credentials may be used, which polkit decides when there
 * are some and the caller brought none; and the transfer made of that. Nothing of the registry or
 * of an image is seen here.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "base/names.h"
#include "daemon/endpoints.h"
#include "daemon/entries.h"
#include "daemon/image-methods.h"
#include "daemon/objects.h"
#include "daemon/transfers.h"
#include "settings/registry-keys.h"

#include <string.h>

#define CREDENTIALS_MAX (64u << 10)         /* bytes of an auth.json */
#define PLATFORM_WORD   64                  /* bytes of os, architecture and variant */
#define NOT_DURABLE     "BERTH_NOT_DURABLE" /* for tests/bench/pull: what does durability cost? */
#define LETTERS_DIGITS  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* What the worker will be told. */
typedef struct {
    char *platform; /* "": that of the machine */
    bool all_platforms;
    BerthForeignLayers foreign_layers;
    uint64_t max_bandwidth; /* bytes a second, 0: no limit */
    bool referrers;
    BerthEndpoints *endpoints;
    bool machine_credentials;
    int credentials; /* the caller's, or -1 */
} Job;

typedef struct {
    BerthReference *reference;
    char *platform, *foreign_layers;
    bool all_platforms;
    int credentials;
    uint64_t max_bandwidth;
    bool referrers;

    int wanted_foreign_layers; /* a BerthForeignLayers, -1: as the settings say */
    BerthEndpointsFind *find;  /* under way */
    BerthEndpoints *endpoints; /* once found */
    GError *failure;           /* or not */
} Arguments;

static const BerthOption options[] = {
    { "Platform", "s", offsetof(Arguments, platform) },
    { "AllPlatforms", "b", offsetof(Arguments, all_platforms) },
    { "Credentials", "h", offsetof(Arguments, credentials) },
    { "ForeignLayers", "s", offsetof(Arguments, foreign_layers) },
    { "MaxBandwidth", "t", offsetof(Arguments, max_bandwidth) },
    { "Referrers", "b", offsetof(Arguments, referrers) },
    { NULL },
};

/* For its form; what it means is known to the worker. */
static bool check_platform(const Arguments *arguments, GError **error)
{
    g_auto(GStrv) words = g_strsplit(arguments->platform ? arguments->platform : "", "/", 4);
    unsigned n = g_strv_length(words);
    bool good = n == 0 || n == 2 || n == 3;

    for (unsigned i = 0; good && i < n; i++) {
        size_t length = strlen(words[i]);

        good = length >= 1 && length <= PLATFORM_WORD && g_ascii_isalnum(words[i][0]) &&
               strspn(words[i], LETTERS_DIGITS "_.-") == length;
    }
    if (!good) {
        g_autofree char *quoted = berth_quote(arguments->platform);

        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "invalid Platform '%s': use os/arch or os/arch/variant, as in "
                               "linux/amd64",
                               quoted);
    }
    return n == 0 || !arguments->all_platforms ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "Platform '%s' does not go with AllPlatforms; give one of them",
                           arguments->platform);
}

static const char *const *foreign_words(void)
{
    return berth_registry_key(BERTH_REGISTRY_FOREIGN_LAYERS)->words;
}

static bool check_foreign_layers(Arguments *arguments, GError **error)
{
    const char *const *words = foreign_words();
    g_autofree char *known = g_strjoinv(", ", (char **)words);
    g_autofree char *quoted = NULL;

    arguments->wanted_foreign_layers = -1;
    if (!arguments->foreign_layers)
        return true;
    for (int i = 0; words[i]; i++)
        if (g_str_equal(words[i], arguments->foreign_layers)) {
            arguments->wanted_foreign_layers = i;
            return true;
        }
    quoted = berth_quote(arguments->foreign_layers);
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "invalid ForeignLayers '%s': use one of %s", quoted, known);
}

bool berth_pull_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *text;
    int r = sd_bus_message_read(call->message, "s", &text);

    arguments->credentials = -1;
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r,
                                     "cannot read the reference");
    arguments->reference = berth_reference_parse(text, error);
    return arguments->reference &&
           berth_options_read(call->message, options, arguments, NULL, error) &&
           check_platform(arguments, error) && check_foreign_layers(arguments, error) &&
           (arguments->credentials < 0 ||
            berth_memfd_check(arguments->credentials, CREDENTIALS_MAX, "Credentials", error));
}

bool berth_pull_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;

    berth_fill_image_details(berth_request_add(request, "pull"), arguments->reference);
    if (arguments->endpoints &&
        berth_endpoints_have_credentials(arguments->endpoints, arguments->credentials >= 0))
        berth_fill_image_details(berth_request_add_optional(request, "use-machine-credentials"),
                                 arguments->reference);
    return true;
}

static void on_endpoints(BerthEndpoints *endpoints, const GError *error, void *userdata)
{
    BerthCall *call = userdata;
    Arguments *arguments = call->arguments;

    arguments->find = NULL;
    arguments->endpoints = endpoints;
    arguments->failure = error ? g_error_copy(error) : NULL;
    berth_call_resume(call);
}

/* Finds out where to pull from. */
static BerthVerdict look_up(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;

    arguments->find = berth_endpoints_find(call->daemon, arguments->reference->registry,
                                           arguments->reference->repository, BERTH_ENDPOINTS_READ,
                                           on_endpoints, call, error);
    return arguments->find ? BERTH_CALL_WAITING : BERTH_CALL_FAILED;
}

static bool narrow(const Arguments *arguments, BerthForeignLayers *foreign_layers, GError **error)
{
    const BerthRegistrySettings *settings = berth_endpoints_settings(arguments->endpoints);

    *foreign_layers = settings->foreign_layers;
    if (arguments->wanted_foreign_layers < 0)
        return true;
    *foreign_layers = (BerthForeignLayers)arguments->wanted_foreign_layers;
    return berth_foreign_layers_narrows(settings->foreign_layers, *foreign_layers) ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "ForeignLayers '%s' would use sources that the settings rule out, which "
                           "say '%s' for %s; a caller can only narrow that",
                           arguments->foreign_layers, foreign_words()[settings->foreign_layers],
                           arguments->reference->registry);
}

/* The smaller of two limits, of which 0 is none. */
static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static bool fill(const BerthTransfer *transfer, const BerthSettings *settings, sd_bus_message *job,
                 GError **error)
{
    const Job *pull = transfer->job;
    const BerthEndpointsCredentials credentials = { pull->machine_credentials, pull->credentials };
    const BerthRegistrySettings *registry = berth_endpoints_settings(pull->endpoints);
    g_autofree char *reference = berth_transfer_reference(transfer);
    int r = sd_bus_message_append(
        job, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Referrers", "b", (int)pull->referrers, "Reference",
        "s", reference, "Platform", "s", pull->platform, "AllPlatforms", "b",
        (int)pull->all_platforms, "ForeignLayers", "s", foreign_words()[pull->foreign_layers],
        "MaxDownloads", "u", settings->max_downloads_per_transfer, "MaxBandwidth", "t",
        smaller(pull->max_bandwidth, settings->max_bandwidth));

    if (r >= 0)
        r = berth_entry_strv(job, "ForeignUrlHosts", registry->foreign_url_hosts);
    if (r >= 0 && g_getenv(NOT_DURABLE))
        r = sd_bus_message_append(job, "{sv}", "NotDurable", "b", 1);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                     "cannot make a job for a worker");
    return berth_endpoints_append(pull->endpoints, job, "Endpoints", &credentials, error);
}

static void clear_job(void *data)
{
    Job *job = data;

    g_free(job->platform);
    berth_endpoints_free(job->endpoints);
    berth_close(job->credentials);
    g_free(job);
}

static const BerthTransferKind pull_kind = { "pull", fill, clear_job };

static Job *new_job(BerthCall *call, BerthForeignLayers foreign_layers)
{
    Arguments *arguments = call->arguments;
    BERTH_AUTO_REQUEST request = { .n = 0 };
    Job *job = g_new0(Job, 1);

    (void)berth_pull_authorize(call, &request, NULL); /* while the endpoints are there */
    *job = (Job){ .platform = g_strdup(arguments->platform ? arguments->platform : ""),
                  .all_platforms = arguments->all_platforms,
                  .foreign_layers = foreign_layers,
                  .max_bandwidth = arguments->max_bandwidth,
                  .referrers = arguments->referrers,
                  .endpoints = g_steal_pointer(&arguments->endpoints),
                  .machine_credentials =
                      berth_call_is_granted(call, &request, "use-machine-credentials"),
                  .credentials = berth_steal_fd(&arguments->credentials) };
    return job;
}

BerthVerdict berth_pull_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    BerthForeignLayers foreign_layers;
    Job *job;

    if (arguments->failure) {
        g_propagate_error(error, g_steal_pointer(&arguments->failure));
        return BERTH_CALL_FAILED;
    }
    if (!berth_transfers_may_begin(call, error))
        return BERTH_CALL_FAILED;
    if (!arguments->endpoints)
        return look_up(call, error);
    if (!narrow(arguments, &foreign_layers, error))
        return BERTH_CALL_FAILED;
    job = new_job(call, foreign_layers);
    return berth_transfers_begin(call, &pull_kind, g_steal_pointer(&arguments->reference), job,
                                 error);
}

void berth_pull_clear(void *data)
{
    Arguments *arguments = data;

    berth_endpoints_cancel(arguments->find);
    berth_endpoints_free(arguments->endpoints);
    berth_reference_free(arguments->reference);
    g_free(arguments->platform);
    g_free(arguments->foreign_layers);
    berth_close(arguments->credentials);
    g_clear_error(&arguments->failure);
}

const size_t berth_pull_arguments_size = sizeof(Arguments);
