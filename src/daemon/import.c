/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.Import and ImportBlob: what comes through a caller's descriptor, an archive or a single
 * blob, goes into the store. The descriptor is handed on to a worker and never read here.
 */

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "daemon/idle.h"
#include "daemon/image-methods.h"
#include "daemon/objects.h"
#include "daemon/transfers.h"

#include <fcntl.h>
#include <sys/stat.h>

typedef struct {
    int input;            /* archive or blob */
    char *reference;      /* (nullable) for what has no name */
    BerthDigest blob;     /* with ImportBlob */
    BerthReference *name; /* @reference, parsed */
} Arguments;

/* What the worker will be told. */
typedef struct {
    int input;
    char *reference, *digest;
} Job;

static const BerthOption import_options[] = {
    { "Reference", "s", offsetof(Arguments, reference) },
    { NULL },
};

static const BerthOption no_options[] = { { NULL } };

int berth_read_stream(sd_bus_message *message, const char *what, GError **error)
{
    BERTH_AUTO_FD own = -1;
    struct stat st;
    int fd, r = sd_bus_message_read(message, "h", &fd);

    if (r < 0) {
        berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the %s", what);
        return -1;
    }
    own = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message's ends with the call */
    if (own < 0 || fstat(own, &st) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot keep the %s", what);
        return -1;
    }
    if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        return berth_steal_fd(&own);
    berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                    "the %s is neither a file nor a pipe nor a socket", what);
    return -1;
}

bool berth_import_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;

    arguments->input = berth_read_stream(call->message, "archive", error);
    if (arguments->input < 0 ||
        !berth_options_read(call->message, import_options, arguments, NULL, error))
        return false;
    if (!arguments->reference || !*arguments->reference)
        return true;
    arguments->name = berth_reference_parse(arguments->reference, error);
    return arguments->name;
}

bool berth_import_blob_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *digest;
    int r = sd_bus_message_read(call->message, "s", &digest);

    arguments->input = -1;
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the digest");
    if (!berth_digest_parse(digest, &arguments->blob, error))
        return false;
    arguments->input = berth_read_stream(call->message, "blob", error);
    return arguments->input >= 0 &&
           berth_options_read(call->message, no_options, NULL, NULL, error);
}

bool berth_import_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;
    BerthDetails *details = berth_request_add(request, call->method->access.action);

    if (arguments->name)
        berth_fill_image_details(details, arguments->name);
    else if (*arguments->blob.text)
        details->reference = g_strdup(arguments->blob.text);
    return true;
}

static bool fill_import(const BerthTransfer *transfer, const BerthSettings *settings,
                        sd_bus_message *message, GError **error)
{
    const Job *job = transfer->job;
    int r = sd_bus_message_append(message, "{sv}{sv}", "Archive", "h", job->input, "Reference", "s",
                                  job->reference ? job->reference : "");

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static bool fill_import_blob(const BerthTransfer *transfer, const BerthSettings *settings,
                             sd_bus_message *message, GError **error)
{
    const Job *job = transfer->job;
    int r = sd_bus_message_append(message, "{sv}{sv}", "Blob", "h", job->input, "Digest", "s",
                                  job->digest);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static void clear_job(void *data)
{
    Job *job = data;

    berth_close(job->input);
    g_free(job->reference);
    g_free(job->digest);
    g_free(job);
}

static const BerthTransferKind import_kind = { .name = "import",
                                               .fill = fill_import,
                                               .clear = clear_job };
static const BerthTransferKind import_blob_kind = { .name = "import-blob",
                                                    .fill = fill_import_blob,
                                                    .clear = clear_job };

static BerthVerdict act(BerthCall *call, const BerthTransferKind *kind, GError **error)
{
    Arguments *arguments = call->arguments;
    Job *job;

    if (!berth_transfers_may_begin(call, error))
        return BERTH_CALL_FAILED;
    job = g_new0(Job, 1);
    *job = (Job){ .input = berth_steal_fd(&arguments->input),
                  .reference = g_steal_pointer(&arguments->reference),
                  .digest = g_strdup(arguments->blob.text) };
    return berth_transfers_begin(call, kind, g_steal_pointer(&arguments->name), job, error);
}

BerthVerdict berth_import_act(BerthCall *call, GError **error)
{
    return act(call, &import_kind, error);
}

BerthVerdict berth_import_blob_act(BerthCall *call, GError **error)
{
    return act(call, &import_blob_kind, error);
}

void berth_import_clear(void *data)
{
    Arguments *arguments = data;

    berth_close(arguments->input);
    g_free(arguments->reference);
    berth_reference_free(arguments->name);
}

const size_t berth_import_arguments_size = sizeof(Arguments);
