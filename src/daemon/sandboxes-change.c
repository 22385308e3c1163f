/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a sandbox between its making and its end: it is opened for others, given away,
 * resized, published, changed. Each operation changes the kernel's side first, then the record,
 * then what is here, and tells the bus last.
 */

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "daemon/sandboxes-internal.h"
#include "ipc/publish.h"
#include "ipc/watch.h"

#include <inttypes.h>

bool berth_sandbox_check_held(const BerthSandbox *sandbox, const char *given, GError **error)
{
    if (sandbox->moving)
        return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                               "sandbox %s is being handed over just now", given);
    if (sandbox->state == BERTH_SANDBOX_HANDED_OVER)
        return berth_set_error(error, BERTH_ERROR_NOT_SHAREABLE,
                               "sandbox %s: non-shareable IPC (hint: use mode shareable for the "
                               "donor sandbox)",
                               given);
    return true;
}

bool berth_sandboxes_open(BerthSandboxes *sandboxes, BerthSandbox *sandbox, BerthSlotFds *fds,
                          GError **error)
{
    return berth_slot_open(sandboxes->vault, sandbox->id, fds, error);
}

bool berth_sandboxes_write_record(BerthSandboxes *sandboxes, const BerthSandbox *sandbox,
                                  GError **error)
{
    g_autofree char *record = berth_sandbox_to_record(sandbox);

    return berth_slot_write_record(sandboxes->vault, sandbox->id, record, error);
}

/* Stores @sandbox as being in @state, whatever it is in here. */
static bool write_state(BerthSandboxes *sandboxes, BerthSandbox *sandbox, BerthSandboxState state,
                        GError **error)
{
    BerthSandboxState before = sandbox->state;
    bool ok;

    sandbox->state = state;
    ok = berth_sandboxes_write_record(sandboxes, sandbox, error);
    sandbox->state = before;
    return ok;
}

bool berth_sandboxes_move(BerthSandboxes *sandboxes, BerthSandbox *sandbox, const BerthSlotFds *fds,
                          GError **error)
{
    int wd = sandbox->contents->wd;

    g_assert(berth_ipc_mode_is_handed_over(sandbox->mode));
    g_assert(sandbox->state == BERTH_SANDBOX_READY);
    if (wd < 0) {
        if (!berth_watch_add(sandboxes->watch, fds->shm >= 0 ? fds->shm : fds->mqueue, &wd, error))
            return false;
        berth_watches_add(sandboxes, sandbox, wd);
    }
    sandbox->moving = write_state(sandboxes, sandbox, BERTH_SANDBOX_HANDED_OVER, error);
    return sandbox->moving;
}

bool berth_sandboxes_keep(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    sandbox->moving = false;
    return write_state(sandboxes, sandbox, BERTH_SANDBOX_READY, error);
}

bool berth_sandboxes_hand_over(BerthSandboxes *sandboxes, BerthSandbox *sandbox,
                               const BerthSlotFds *fds, GError **error)
{
    if (!sandbox->moving && !berth_sandboxes_move(sandboxes, sandbox, fds, error))
        return false;
    sandbox->moving = false;
    sandbox->state = BERTH_SANDBOX_HANDED_OVER;
    /* from here on it is the caller's; what cannot be unmounted now is when the service starts
     * again */
    if (!berth_slot_empty(sandboxes->vault, sandbox->id, NULL))
        berth_warning("cannot unmount what was handed over of sandbox %s", sandbox->id);
    berth_sandboxes_log(BERTH_MESSAGE_SANDBOX_HANDED, sandbox, "handed over");
    sandboxes->events.changed(sandbox, "State", sandboxes->events.userdata);
    return true;
}

/* What kernel.shmall becomes when the shm gets @size bytes: follows it, or is kept within it. */
static char *shmall_for(BerthSandboxes *sandboxes, const BerthSandbox *sandbox, uint64_t size)
{
    uint64_t most = berth_slot_shmall(size), chosen;
    g_autoptr(GHashTable) sysctls = NULL;
    const char *now;

    if (sandbox->contents->shmall_set) {
        sysctls = berth_slot_get_sysctls(sandboxes->vault, sandbox->id, NULL);
        now = sysctls ? g_hash_table_lookup(sysctls, "kernel.shmall") : NULL;
        if (now && g_ascii_string_to_unsigned(now, 10, 0, most, &chosen, NULL))
            return NULL;
    }
    return g_strdup_printf("%" PRIu64, most);
}

/* Whether the owner may have the new limits; what shrinks is always allowed. */
static bool check_growth(BerthSandboxes *sandboxes, const BerthSettings *settings,
                         const BerthContents *contents, uint64_t size, uint64_t inodes,
                         GError **error)
{
    const BerthSlotInfo *info = &contents->info;
    const BerthCharge more = {
        0,
        size > info->shm_size ? size - info->shm_size : 0,
        inodes > info->shm_inodes ? inodes - info->shm_inodes : 0,
    };

    return berth_users_check(sandboxes->users, settings, contents->owner, &more, error);
}

bool berth_sandboxes_resize(BerthSandboxes *sandboxes, const BerthSettings *settings,
                            BerthSandbox *sandbox, uint64_t size, uint64_t inodes, GError **error)
{
    BerthContents *contents = sandbox->contents;
    g_autofree char *shmall = shmall_for(sandboxes, sandbox, size);
    GHashTableIter iter;
    BerthSandbox *other;
    bool ok;

    if (!check_growth(sandboxes, settings, contents, size, inodes, error))
        return false;
    /* whoever starts after a crash in the middle lets kernel.shmall follow */
    contents->resizing = true;
    ok = berth_sandboxes_write_record(sandboxes, sandbox, error) &&
         berth_slot_resize(sandboxes->vault, sandbox->id, size, inodes, shmall, error) &&
         berth_slot_inspect(sandboxes->vault, sandbox->id, &contents->info, error);
    contents->resizing = false;
    if (!berth_sandboxes_write_record(sandboxes, sandbox, ok ? error : NULL) || !ok)
        return false;
    berth_watches_resized(sandboxes, contents);
    g_hash_table_iter_init(&iter, sandboxes->by_id);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&other))
        if (other->contents == contents)
            sandboxes->events.changed(other, "ShmSize", sandboxes->events.userdata);
    return true;
}

/* Stores each sandbox that shares @contents: any of them can be the last. */
static bool write_sharers(BerthSandboxes *sandboxes, const BerthContents *contents, GError **error)
{
    GHashTableIter iter;
    BerthSandbox *sandbox;

    g_hash_table_iter_init(&iter, sandboxes->by_id);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox))
        if (sandbox->contents == contents &&
            !berth_sandboxes_write_record(sandboxes, sandbox, error))
            return false;
    return true;
}

bool berth_sandboxes_set_sysctls(BerthSandboxes *sandboxes, BerthSandbox *sandbox,
                                 GHashTable *sysctls, GError **error)
{
    g_autoptr(GHashTable) before = berth_slot_get_sysctls(sandboxes->vault, sandbox->id, error);
    GHashTableIter iter;
    gpointer name;

    if (!before)
        return false;
    if (!berth_slot_set_sysctls(sandboxes->vault, sandbox->id, sysctls, error)) {
        /* back to what was: only those that the caller named, *_next_id cannot be unset */
        g_hash_table_iter_init(&iter, before);
        while (g_hash_table_iter_next(&iter, &name, NULL))
            if (!g_hash_table_contains(sysctls, name) || g_str_has_suffix(name, "_next_id"))
                g_hash_table_iter_remove(&iter);
        (void)berth_slot_set_sysctls(sandboxes->vault, sandbox->id, before, NULL);
        return false;
    }
    if (g_hash_table_contains(sysctls, "kernel.shmall") && !sandbox->contents->shmall_set) {
        sandbox->contents->shmall_set = true;
        return write_sharers(sandboxes, sandbox->contents, error);
    }
    return true;
}

bool berth_sandboxes_set_ids(BerthSandboxes *sandboxes, BerthSandbox *sandbox, const BerthIds *ids,
                             GError **error)
{
    BerthIds before = sandbox->ids;

    sandbox->ids = (BerthIds){ g_array_ref(ids->users), g_array_ref(ids->groups) };
    if (!berth_sandboxes_write_record(sandboxes, sandbox, error)) {
        berth_ids_clear(&sandbox->ids);
        sandbox->ids = before;
        return false;
    }
    berth_ids_clear(&before);
    return true;
}

bool berth_sandboxes_set_labels(BerthSandboxes *sandboxes, BerthSandbox *sandbox,
                                GHashTable *labels, GError **error)
{
    g_autoptr(GHashTable) before = sandbox->labels;

    sandbox->labels = labels ? g_hash_table_ref(labels) : NULL;
    if (berth_sandboxes_write_record(sandboxes, sandbox, error))
        return true;
    g_clear_pointer(&sandbox->labels, g_hash_table_unref);
    sandbox->labels = g_steal_pointer(&before);
    return false;
}

/* Publishes or not, and remembers it; undone when it cannot be remembered. */
static bool set_published(BerthSandboxes *sandboxes, BerthSandbox *sandbox, bool published,
                          GError **error)
{
    const char *name = berth_sandbox_by_name(sandbox);

    if (!(published ? berth_publish(sandboxes->vault, sandbox->id, name, error)
                    : berth_unpublish(sandboxes->vault, sandbox->id, name, error)))
        return false;
    if (sandbox->published == published)
        return true;
    sandbox->published = published;
    if (berth_sandboxes_write_record(sandboxes, sandbox, error))
        return true;
    sandbox->published = !published;
    (void)(published ? berth_unpublish(sandboxes->vault, sandbox->id, name, NULL)
                     : berth_publish(sandboxes->vault, sandbox->id, name, NULL));
    return false;
}

bool berth_sandboxes_publish(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    return set_published(sandboxes, sandbox, true, error);
}

bool berth_sandboxes_unpublish(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    return set_published(sandboxes, sandbox, false, error);
}
