/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandbox.Snapshot and Restore. An archive can be of any length and its other end as slow as it
 * likes, so a child does it while the service goes on; it runs for the sandbox's owner unless root
 * asks. Of one sandbox only one is saved or filled at a time. The sandbox can be gone when the
 * child is done.
 */

#include "daemon/snapshot.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/child.h"
#include "daemon/objects.h"
#include "daemon/sandboxes.h"
#include "ipc/restore.h"
#include "ipc/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>

#define NOBODY_GID 65534 /* for an owner whose groups nobody told */

typedef struct {
    int archive; /* owned */
    bool stopped;
    char **leave_out;        /* (nullable) owned */
    BerthContents *contents; /* (nullable) owned reference: what is being saved or filled */
    /* what the child works with; they refer to the sandbox, and are read in the child only */
    BerthSnapshotSpec snapshot;
    BerthRestoreSpec restore;
} Arguments;

const size_t berth_snapshot_arguments_size = sizeof(Arguments);

static const BerthOption options[] = {
    { "Stopped", "b", offsetof(Arguments, stopped) },
    { "LeaveOut", "as", offsetof(Arguments, leave_out) },
    { NULL },
};

bool berth_snapshot_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    int fd, r = sd_bus_message_read(call->message, "h", &fd);

    *arguments = (Arguments){ .archive = -1 };
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r,
                                     "cannot read the archive");
    arguments->archive = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message owns its own */
    if (arguments->archive < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot keep a file descriptor");
    return berth_options_read(call->message, options, arguments, NULL, error);
}

void berth_snapshot_clear(void *data)
{
    Arguments *arguments = data;

    arguments->archive = berth_close(arguments->archive);
    g_clear_pointer(&arguments->leave_out, g_strfreev);
    g_clear_pointer(&arguments->contents, berth_contents_unref);
}

/* The sandbox of @call, if it can be saved and filled at all, and is not just now. */
static BerthSandbox *find(const BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = berth_sandbox_of_call(call, error);
    const char *title = sandbox ? berth_sandbox_title(sandbox) : NULL;

    if (!sandbox || !berth_sandbox_check_held(sandbox, title, error))
        return NULL;
    if (berth_ipc_mode_is_handed_over(sandbox->mode)) {
        berth_set_error(error, BERTH_ERROR_NOT_SHAREABLE,
                        "sandbox %s: non-shareable IPC (hint: use mode shareable for the donor "
                        "sandbox)",
                        title);
        return NULL;
    }
    if (sandbox->contents->is_host || !sandbox->contents->info.shm_device) {
        berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                        "sandbox %s has no contents of its own to save or fill (mode %s)", title,
                        berth_ipc_mode_to_string(sandbox->mode));
        return NULL;
    }
    if (sandbox->contents->copying) {
        berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                        "sandbox %s is being saved or restored just now; wait for it", title);
        return NULL;
    }
    return sandbox;
}

/* Root may everything; else it is done as the owner, who may what the kernel lets it. */
static BerthActor actor_of(const BerthCall *call, const BerthContents *contents)
{
    const BerthCaller *caller = call->caller;

    if (caller->uid == 0 || contents->owner == 0)
        return (BerthActor){ 0 };
    if (caller->uid != contents->owner || caller->groups->len == 0)
        return (BerthActor){ contents->owner, NOBODY_GID, NULL };
    return (BerthActor){ caller->uid, g_array_index(caller->groups, gid_t, 0), caller->groups };
}

/*
 * In the child: the groups of the owner, when it is somebody else who may do this. Who has no
 * account is in none.
 */
static void find_groups(BerthActor *actor)
{
    const struct passwd *user =
        actor->uid == 0 || actor->groups ? NULL : getpwuid(actor->uid); /* single-threaded child */
    GArray *groups;
    int n = NGROUPS_MAX;

    if (!user)
        return;
    groups = g_array_sized_new(FALSE, FALSE, sizeof(gid_t), (guint)n);
    actor->gid = user->pw_gid;
    if (getgrouplist(user->pw_name, user->pw_gid, (gid_t *)(void *)groups->data, &n) >= 0)
        g_array_set_size(groups, (guint)n);
    actor->groups = groups; /* for the life of the child */
}

/* In the child. */
static bool snapshot_child(void *userdata, GByteArray *result, GError **error)
{
    const BerthCall *call = userdata;
    Arguments *arguments = call->arguments;

    find_groups(&arguments->snapshot.actor);
    return berth_snapshot(call->daemon->vault, &arguments->snapshot, error);
}

/* In the child. The result is the kernel.shmall to set, if any. */
static bool restore_child(void *userdata, GByteArray *result, GError **error)
{
    const BerthCall *call = userdata;
    Arguments *arguments = call->arguments;
    g_autofree char *shmall = NULL;

    find_groups(&arguments->restore.actor);
    if (!berth_restore(call->daemon->vault, &arguments->restore, &shmall, error))
        return false;
    if (shmall)
        g_byte_array_append(result, (const guint8 *)shmall, (guint)strlen(shmall));
    return true;
}

static void on_put_in_order(const GByteArray *result, const GError *error, void *userdata)
{
    if (error)
        berth_warning("cannot put a sandbox in order: %s", error->message);
}

static bool recover_child(void *userdata, GByteArray *result, GError **error)
{
    const BerthVault *vault = userdata;

    return berth_snapshot_recover(vault, NULL, error);
}

/* Starts a child that may look at, and step into, what the service can. */
static bool start(const BerthDaemon *daemon, BerthChildFunc func, void *data, int archive,
                  uid_t uid, BerthChildDone done, void *done_data, GError **error)
{
    const BerthPlaces *places = daemon->vault->places;
    const int keep[] = { places->home_mnt, places->home_ipc, places->host_mnt,  places->proc,
                         places->root,     places->sysctls,  daemon->vault->ns, archive };
    const BerthChildWork work = {
        func, data, keep, G_N_ELEMENTS(keep), BERTH_CHILD_UNLIMITED, uid
    };

    return berth_child_start(daemon->event, &work, done, done_data, error);
}

/* A child that was killed had no time to put the sandbox in order. */
static void put_in_order(const BerthDaemon *daemon)
{
    g_autoptr(GError) error = NULL;

    if (!start(daemon, recover_child, daemon->vault, -1, 0, on_put_in_order, NULL, &error))
        on_put_in_order(NULL, error, NULL);
}

/* What a restore leaves to the service: a kernel.shmall that does not follow the size. */
static bool set_shmall(const BerthCall *call, BerthSandbox *sandbox, const GByteArray *result,
                       GError **error)
{
    g_autoptr(GHashTable) sysctls = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);

    if (result->len == 0)
        return true;
    g_hash_table_insert(sysctls, (char *)"kernel.shmall",
                        g_strndup((const char *)result->data, result->len));
    return berth_sandboxes_set_sysctls(call->daemon->sandboxes, sandbox, sysctls, error);
}

static void on_done(const GByteArray *result, const GError *child_error, void *userdata)
{
    BerthCall *call = userdata;
    Arguments *arguments = call->arguments;
    BerthSandbox *sandbox = berth_sandboxes_by_id(call->daemon->sandboxes, call->sandbox);
    BerthVerdict verdict = BERTH_CALL_FAILED;
    g_autoptr(GError) error = NULL;

    arguments->contents->copying = false;
    if (child_error && child_error->code == BERTH_ERROR_TIMEOUT)
        put_in_order(call->daemon);
    if (!child_error && (!sandbox || set_shmall(call, sandbox, result, &error)))
        verdict = berth_call_reply_empty(call, &error);
    berth_call_finish(call, verdict, error ? error : child_error);
}

static BerthVerdict begin(BerthCall *call, BerthSandbox *sandbox, BerthChildFunc child,
                          GError **error)
{
    Arguments *arguments = call->arguments;

    arguments->contents = berth_contents_ref(sandbox->contents);
    if (!start(call->daemon, child, call, arguments->archive, call->caller->uid, on_done, call,
               error))
        return BERTH_CALL_FAILED;
    arguments->contents->copying = true;
    return BERTH_CALL_WAITING;
}

BerthVerdict berth_snapshot_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    BerthSandbox *sandbox = find(call, error);
    const BerthContents *contents;

    if (!sandbox)
        return BERTH_CALL_FAILED;
    contents = sandbox->contents;
    arguments->snapshot = (BerthSnapshotSpec){
        .id = sandbox->id,
        .archive = arguments->archive,
        .actor = actor_of(call, contents),
        .stopped = arguments->stopped,
        .leave_out = (const char *const *)arguments->leave_out,
        .options = { .name = sandbox->name,
                     .mode = berth_ipc_mode_to_string(sandbox->mode),
                     .owner = sandbox->owner,
                     .shm_size = contents->info.shm_size,
                     .shm_inodes = contents->info.shm_inodes,
                     .shmall_set = contents->shmall_set,
                     .huge = sandbox->huge,
                     .numa = sandbox->numa,
                     .labels = sandbox->labels,
                     .users = sandbox->ids.users,
                     .groups = sandbox->ids.groups,
                     .lifetime = berth_lifetime_to_string(sandbox->lifetime),
                     .published = sandbox->published },
    };
    return begin(call, sandbox, snapshot_child, error);
}

BerthVerdict berth_restore_act(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    BerthSandbox *sandbox = find(call, error);
    const BerthContents *contents;

    if (!sandbox)
        return BERTH_CALL_FAILED;
    contents = sandbox->contents;
    arguments->restore = (BerthRestoreSpec){
        .id = sandbox->id,
        .archive = arguments->archive,
        .actor = actor_of(call, contents),
        .leave_out = (const char *const *)arguments->leave_out,
        .shm_size = contents->info.shm_size,
        .shm_inodes = contents->info.shm_inodes,
        .shmall = berth_slot_shmall(contents->info.shm_size),
    };
    return begin(call, sandbox, restore_child, error);
}
