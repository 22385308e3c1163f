/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When memory is really gone. What was handed out cannot be taken back, so removing a sandbox does
 * not free its shm while somebody holds a descriptor or a mount of it, and its owner goes on
 * paying. The kernel says when the last holder let go (ipc/watch.h): then the charge ends, and with
 * it what was left of the sandbox, be it the record of one that was handed over or the bare charge
 * of a removed one.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/sandboxes-internal.h"
#include "ipc/watch.h"

#include <string.h>

/* A watched tmpfs. */
typedef struct {
    char id[BERTH_ID_LENGTH + 1]; /* of the sandbox it was made for */
    uid_t owner;
    BerthCharge charge; /* nothing with root; no memory with mode none */
} Tmpfs;

static Tmpfs *find(BerthSandboxes *sandboxes, int wd)
{
    return wd < 0 ? NULL : g_hash_table_lookup(sandboxes->tmpfs, GINT_TO_POINTER(wd));
}

static BerthCharge charge_of(const BerthContents *contents)
{
    if (contents->owner == 0)
        return (BerthCharge){ 0 };
    if (!contents->info.shm_device) /* none: what SysV memory may take */
        return (BerthCharge){ 1, contents->sysv_limit, 0 };
    return (BerthCharge){ 1, contents->info.shm_size, contents->info.shm_inodes };
}

static void on_ended(int wd, void *userdata)
{
    BerthSandboxes *sandboxes = userdata;
    g_autofree Tmpfs *tmpfs = find(sandboxes, wd);
    g_autoptr(GError) error = NULL;
    BerthSandbox *sandbox;
    bool ok;

    if (!tmpfs)
        return;
    g_hash_table_steal(sandboxes->tmpfs, GINT_TO_POINTER(wd));
    berth_users_discharge(sandboxes->users, tmpfs->owner, &tmpfs->charge);
    sandbox = berth_sandboxes_by_id(sandboxes, tmpfs->id);
    if (sandbox) {
        sandbox->contents->wd = -1;
        ok = berth_sandboxes_remove(sandboxes, sandbox, &error);
    } else {
        ok = berth_slot_remove(sandboxes->vault, tmpfs->id, &error);
    }
    if (!ok)
        berth_warning("cannot forget sandbox %s: %s", tmpfs->id, error->message);
}

/* Events were lost: whatever is not watched any more has ended. */
static void find_ended(BerthSandboxes *sandboxes)
{
    g_autoptr(GHashTable) left = berth_watch_list(sandboxes->vault->places->proc, sandboxes->watch);
    g_autoptr(GPtrArray) ended = g_ptr_array_new();
    GHashTableIter iter;
    gpointer wd;

    g_hash_table_iter_init(&iter, sandboxes->tmpfs);
    while (g_hash_table_iter_next(&iter, &wd, NULL))
        if (!g_hash_table_contains(left, wd))
            g_ptr_array_add(ended, wd);
    for (guint i = 0; i < ended->len; i++)
        on_ended(GPOINTER_TO_INT(ended->pdata[i]), sandboxes);
}

void berth_watches_read(BerthSandboxes *sandboxes)
{
    if (berth_watch_read(sandboxes->watch, on_ended, sandboxes))
        find_ended(sandboxes);
}

static int on_watch(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    berth_watches_read(userdata);
    return 0;
}

bool berth_watches_begin(BerthSandboxes *sandboxes, GError **error)
{
    int r;

    sandboxes->tmpfs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    r = sd_event_add_io(sandboxes->event, &sandboxes->watch_source, sandboxes->watch, EPOLLIN,
                        on_watch, sandboxes);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot watch file systems");
}

void berth_watches_end(BerthSandboxes *sandboxes)
{
    sd_event_source_disable_unref(sandboxes->watch_source);
    sandboxes->watch = berth_close(sandboxes->watch);
    g_clear_pointer(&sandboxes->tmpfs, g_hash_table_unref);
}

bool berth_watches_add(BerthSandboxes *sandboxes, BerthSandbox *sandbox, int wd)
{
    Tmpfs *tmpfs = g_new0(Tmpfs, 1);

    memcpy(tmpfs->id, sandbox->contents->base, sizeof(tmpfs->id));
    tmpfs->owner = sandbox->contents->owner;
    tmpfs->charge = charge_of(sandbox->contents);
    sandbox->contents->wd = wd;
    berth_users_charge(sandboxes->users, tmpfs->owner, &tmpfs->charge);
    return g_hash_table_insert(sandboxes->tmpfs, GINT_TO_POINTER(wd), tmpfs);
}

void berth_watches_resized(BerthSandboxes *sandboxes, const BerthContents *contents)
{
    Tmpfs *tmpfs = find(sandboxes, contents->wd);
    BerthCharge charge;

    if (!tmpfs)
        return;
    berth_users_discharge(sandboxes->users, tmpfs->owner, &tmpfs->charge);
    charge = charge_of(contents);
    charge.sandboxes = tmpfs->charge.sandboxes;
    tmpfs->charge = charge;
    berth_users_charge(sandboxes->users, tmpfs->owner, &tmpfs->charge);
}

void berth_watches_left(BerthSandboxes *sandboxes, const BerthContents *contents)
{
    static const BerthCharge one = { .sandboxes = 1 };
    Tmpfs *tmpfs = find(sandboxes, contents->wd);

    if (!tmpfs || tmpfs->owner == 0 || tmpfs->charge.sandboxes > 0)
        return;
    tmpfs->charge.sandboxes = one.sandboxes;
    berth_users_charge(sandboxes->users, tmpfs->owner, &one);
}

void berth_watches_drop(BerthSandboxes *sandboxes, BerthContents *contents, const char *id)
{
    Tmpfs *tmpfs = find(sandboxes, contents->wd);

    if (!tmpfs || !g_str_equal(tmpfs->id, id))
        return;
    berth_users_discharge(sandboxes->users, tmpfs->owner, &tmpfs->charge);
    berth_watch_remove(sandboxes->watch, contents->wd);
    g_hash_table_remove(sandboxes->tmpfs, GINT_TO_POINTER(contents->wd));
    contents->wd = -1;
}
