/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images.OpenBlob: a blob as a descriptor. A small one is a copy in memory that a worker filled and
 * hashed and the service sealed, so that nothing can change under who reads it. A large one is the
 * store's own file, which the service opens: never through a link, only a regular file, and only
 * one of the worker's user, for the store is ground where anything may lie. The service itself
 * reads none of it.
 */

#include "base/error.h"
#include "base/fd.h"
#include "daemon/asked.h"
#include "daemon/copies.h"
#include "daemon/image-methods.h"
#include "daemon/result.h"
#include "daemon/store-directory.h"
#include "ipc/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define COPY_MAX (64u << 20) /* bytes; larger blobs are not copied */

typedef struct {
    BerthDigest digest;
    BerthImageName name; /* the digest, as what is asked for */
    BerthAsked looked_up, copied;
    int memory; /* for the copy, or -1; this and the next */
    int reader; /* what the caller gets of it */
} Arguments;

static const BerthOption no_options[] = { { NULL } };

bool berth_open_blob_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *text;
    int r = sd_bus_message_read(call->message, "s", &text);

    arguments->memory = arguments->reader = -1;
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the digest");
    if (!berth_digest_parse(text, &arguments->digest, error))
        return false;
    arguments->name.text = g_strdup(text);
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

bool berth_open_blob_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;

    return berth_authorize_image(call, &arguments->looked_up, &arguments->name,
                                 call->method->access.action, request, error);
}

static bool fill(sd_bus_message *job, void *userdata, GError **error)
{
    const BerthAsked *asked = userdata;
    const Arguments *arguments = asked->call->arguments;
    int r = sd_bus_message_append(job, "{sv}", "Digest", "s", arguments->digest.text);

    if (r >= 0 && asked == &arguments->copied)
        r = sd_bus_message_append(job, "{sv}", "Into", "h", arguments->memory);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a job for a worker");
}

static BerthVerdict reply_fd(BerthCall *call, int fd, bool sealed, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);

    if (!reply)
        return BERTH_CALL_FAILED;
    return berth_call_reply(call, reply, sd_bus_message_append(reply, "hb", fd, (int)sealed),
                            error);
}

/* Has a worker copy the blob into memory that can neither grow nor shrink. */
static BerthVerdict copy(BerthCall *call, uint64_t size, GError **error)
{
    Arguments *arguments = call->arguments;

    arguments->memory = memfd_create("berth-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (arguments->memory < 0 || ftruncate(arguments->memory, (off_t)size) < 0 ||
        fcntl(arguments->memory, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a memfd");
        return BERTH_CALL_FAILED;
    }
    arguments->reader =
        berth_copies_add(call->daemon->copies, call->caller->uid, arguments->memory, size, error);
    if (arguments->reader < 0)
        return BERTH_CALL_FAILED;
    return berth_asked_ask(&arguments->copied, call, &(const BerthStoreJob){ "blob", 0, fill });
}

/* Nobody can write to it any more, the worker neither, whether it has ended yet or not. */
static BerthVerdict reply_copy(BerthCall *call, GError **error)
{
    const Arguments *arguments = call->arguments;

    if (!berth_asked_check(&arguments->copied, error))
        return BERTH_CALL_FAILED;
    if (fcntl(arguments->memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot seal a copy of the blob");
        return BERTH_CALL_FAILED;
    }
    return reply_fd(call, arguments->reader, true, error);
}

/* The file of @digest in @store, opened for reading. */
static int open_file(int store, uid_t owner, const BerthDigest *digest, GError **error)
{
    g_autofree char *path = berth_digest_path(digest);
    /* O_NONBLOCK: a FIFO must not make the service wait */
    BERTH_AUTO_FD fd = berth_openat2(store, path, O_RDONLY | O_NOCTTY | O_NONBLOCK,
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    struct stat st;

    if (fd < 0 && errno == ENOENT) {
        berth_set_error(error, BERTH_ERROR_NO_SUCH_IMAGE,
                        "there is no blob %s in the store any more", digest->text);
        return -1;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_STORE_CORRUPT, errno,
                              "cannot open %s in the store", path);
        return -1;
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != owner || fcntl(fd, F_SETFL, 0) < 0) {
        berth_set_error(error, BERTH_ERROR_STORE_CORRUPT,
                        "%s in the store is no file of the worker's user, %u; remove it", path,
                        owner);
        return -1;
    }
    return berth_steal_fd(&fd);
}

static BerthVerdict reply_file(BerthCall *call, GError **error)
{
    const Arguments *arguments = call->arguments;
    BERTH_AUTO_FD store = berth_store_directory_open(call->daemon, error);
    BERTH_AUTO_FD fd = -1;
    struct stat st;

    if (store < 0)
        return BERTH_CALL_FAILED;
    if (fstat(store, &st) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot look at the store");
        return BERTH_CALL_FAILED;
    }
    fd = open_file(store, st.st_uid, &arguments->digest, error); /* the worker's: just checked */
    return fd >= 0 ? reply_fd(call, fd, false, error) : BERTH_CALL_FAILED;
}

BerthVerdict berth_open_blob_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    uint64_t size;

    if (!arguments->looked_up.answered)
        return berth_asked_ask(&arguments->looked_up, call,
                               &(const BerthStoreJob){ "blob", 0, fill });
    if (!berth_asked_check(&arguments->looked_up, error) ||
        !berth_result_read(arguments->looked_up.result, "Size", 't', &size, error))
        return BERTH_CALL_FAILED;
    if (size > COPY_MAX)
        return reply_file(call, error);
    if (!arguments->copied.answered)
        return copy(call, size, error);
    return reply_copy(call, error);
}

void berth_open_blob_clear(void *data)
{
    Arguments *arguments = data;

    berth_asked_clear(&arguments->looked_up);
    berth_asked_clear(&arguments->copied);
    berth_image_name_clear(&arguments->name);
    berth_close(arguments->memory);
    berth_close(arguments->reader);
}

const size_t berth_open_blob_arguments_size = sizeof(Arguments);
