/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All sandboxes: found, made and removed; what happens to them in between is in sandboxes-change.c.
 * The kernel's side comes first (the slot in the vault, with its record), the bus last, so that a
 * crash at any point leaves the vault right and a restarted service reads the truth from it.
 * Callers have been authorized and arguments checked before anything here is called.
 */

#include "daemon/sandboxes.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/messages.h"
#include "daemon/child.h"
#include "daemon/sandboxes-internal.h"
#include "ipc/publish.h"

#include <inttypes.h>
#include <string.h>

#define LARGE (64 * 1024 * 1024) /* bytes in use that take noticeable time to give back */

static const BerthCharge one_sandbox = { .sandboxes = 1 };

static char *name_key(uid_t owner, const char *name)
{
    return g_strdup_printf("%u/%s", owner, name);
}

void berth_sandboxes_log(const char *id, const BerthSandbox *sandbox, const char *what)
{
    g_autofree char *f_id = g_strconcat("SANDBOX_ID=", sandbox->id, NULL);
    g_autofree char *f_name =
        g_strconcat("SANDBOX_NAME=", sandbox->name ? sandbox->name : "", NULL);
    g_autofree char *f_mode =
        g_strconcat("SANDBOX_MODE=", berth_ipc_mode_to_string(sandbox->mode), NULL);
    g_autofree char *f_owner = g_strdup_printf("SANDBOX_OWNER_UID=%u", sandbox->owner);

    berth_log_event(LOG_INFO, id, ((const char *const[]){ f_id, f_name, f_mode, f_owner, NULL }),
                    "sandbox %s (%s) %s", berth_sandbox_title(sandbox),
                    berth_ipc_mode_to_string(sandbox->mode), what);
}

/*
 * Whether the tmpfs of @sandbox is charged to its owner and was made for it: then what is left of
 * it after a removal is the charge, until nobody uses it any more.
 */
static bool leaves_charge(const BerthSandbox *sandbox)
{
    return sandbox->contents->owner != 0 && sandbox->contents->wd >= 0 &&
           g_str_equal(sandbox->contents->base, sandbox->id);
}

void berth_sandboxes_insert(BerthSandboxes *sandboxes, BerthSandbox *sandbox)
{
    g_hash_table_insert(sandboxes->by_id, sandbox->id, sandbox);
    if (sandbox->name)
        g_hash_table_insert(sandboxes->by_name, name_key(sandbox->owner, sandbox->name), sandbox);
    if (sandbox->lifetime == BERTH_LIFETIME_CONNECTION)
        sandboxes->connections++;
    /* what has a tmpfs of its own is counted with it, until that is gone (watches.c) */
    sandbox->counted = !leaves_charge(sandbox);
    if (sandbox->counted)
        berth_users_charge(sandboxes->users, sandbox->owner, &one_sandbox);
}

/* Takes @sandbox out of the indexes and frees it. */
static void forget(BerthSandboxes *sandboxes, BerthSandbox *sandbox)
{
    if (sandbox->name) {
        g_autofree char *key = name_key(sandbox->owner, sandbox->name);

        g_hash_table_remove(sandboxes->by_name, key);
    }
    if (sandbox->lifetime == BERTH_LIFETIME_CONNECTION)
        sandboxes->connections--;
    if (sandbox->counted)
        berth_users_discharge(sandboxes->users, sandbox->owner, &one_sandbox);
    g_hash_table_remove(sandboxes->by_id, sandbox->id);
}

BerthSandboxes *berth_sandboxes_new(sd_event *event, BerthVault *vault, BerthUsers *users,
                                    int watch, const BerthSandboxEvents *events, GError **error)
{
    BerthSandboxes *sandboxes = g_new0(BerthSandboxes, 1);

    sandboxes->vault = vault;
    sandboxes->events = *events;
    sandboxes->by_id =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)berth_sandbox_free);
    sandboxes->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    sandboxes->users = users;
    sandboxes->event = event;
    sandboxes->watch = watch;
    if (!berth_watches_begin(sandboxes, error) || !berth_sandboxes_recover(sandboxes, error)) {
        berth_sandboxes_free(sandboxes);
        return NULL;
    }
    return sandboxes;
}

void berth_sandboxes_free(BerthSandboxes *sandboxes)
{
    if (!sandboxes)
        return;
    berth_watches_end(sandboxes);
    g_hash_table_unref(sandboxes->by_name);
    g_hash_table_unref(sandboxes->by_id);
    g_free(sandboxes);
}

unsigned berth_sandboxes_count(BerthSandboxes *sandboxes)
{
    return g_hash_table_size(sandboxes->by_id);
}

bool berth_sandboxes_is_empty(BerthSandboxes *sandboxes)
{
    return g_hash_table_size(sandboxes->by_id) == 0 && g_hash_table_size(sandboxes->tmpfs) == 0;
}

void berth_sandboxes_iter(BerthSandboxes *sandboxes, GHashTableIter *iter)
{
    g_hash_table_iter_init(iter, sandboxes->by_id);
}

BerthSandbox *berth_sandboxes_by_id(BerthSandboxes *sandboxes, const char *id)
{
    return g_hash_table_lookup(sandboxes->by_id, id);
}

static BerthSandbox *by_name(BerthSandboxes *sandboxes, uid_t owner, const char *name)
{
    g_autofree char *key = name_key(owner, name);

    return g_hash_table_lookup(sandboxes->by_name, key);
}

BerthSandbox *berth_sandboxes_find(BerthSandboxes *sandboxes, const char *text, uid_t caller,
                                   GError **error)
{
    BerthSandbox *found = NULL;
    BerthSandboxRef ref;

    if (!berth_sandbox_ref_parse(text, &ref, error))
        return NULL;
    switch (ref.kind) {
    case BERTH_REF_ID:
        found = berth_sandboxes_by_id(sandboxes, ref.text);
        break;
    case BERTH_REF_UID_NAME:
        found = by_name(sandboxes, ref.uid, ref.text);
        break;
    case BERTH_REF_NAME:
        found = by_name(sandboxes, caller, ref.text);
        if (!found)
            found = by_name(sandboxes, 0, ref.text);
        break;
    }
    if (!found)
        berth_set_error(error, BERTH_ERROR_NO_SUCH_SANDBOX,
                        "there is no sandbox %s; List shows those there are", text);
    return found;
}

bool berth_sandboxes_check_free(BerthSandboxes *sandboxes, uid_t owner, const char *name,
                                GError **error)
{
    if (!name || !by_name(sandboxes, owner, name))
        return true;
    return berth_set_error(
        error, BERTH_ERROR_SANDBOX_EXISTS,
        "there is a sandbox %s of user %u already; choose another name or remove "
        "that one",
        name, owner);
}

/* What @spec asks for, as a sandbox without kernel part. */
static BerthSandbox *prepare(const BerthSandboxSpec *spec, GError **error)
{
    g_autoptr(BerthSandbox) sandbox = berth_sandbox_new();
    BerthContents *contents = sandbox->contents;

    if (!berth_sandbox_new_id(sandbox->id, error))
        return NULL;
    sandbox->name = g_strdup(spec->name);
    sandbox->owner = spec->owner;
    sandbox->mode = spec->mode;
    sandbox->created_usec = (uint64_t)g_get_real_time();
    sandbox->published = spec->publish;
    sandbox->huge = g_strdup(spec->shm.huge);
    sandbox->numa = g_strdup(spec->shm.numa);
    sandbox->labels = spec->labels ? g_hash_table_ref(spec->labels) : NULL;
    if (spec->ids && spec->ids->users->len > 0)
        sandbox->ids.users = g_array_ref(spec->ids->users);
    if (spec->ids && spec->ids->groups->len > 0)
        sandbox->ids.groups = g_array_ref(spec->ids->groups);
    sandbox->lifetime = spec->lifetime;
    sandbox->peer = g_strdup(spec->peer);
    sandbox->bus = g_strdup(spec->bus);
    sandbox->pid = spec->pid;
    sandbox->pid_start = spec->pid_start;
    if (spec->donor) {
        memcpy(sandbox->donor, spec->donor->id, sizeof(sandbox->donor));
        berth_contents_unref(contents);
        sandbox->contents = berth_contents_ref(spec->donor->contents);
    } else {
        memcpy(contents->base, sandbox->id, sizeof(contents->base));
        contents->owner = spec->owner;
        contents->sysv_limit = spec->shm.size;
        contents->is_host = spec->mode == BERTH_IPC_MODE_HOST;
        contents->shmall_set =
            spec->sysctls && g_hash_table_contains(spec->sysctls, "kernel.shmall");
    }
    return g_steal_pointer(&sandbox);
}

/* Makes the slot. Unless the caller chose it, kernel.shmall follows the shm size. */
static bool make_slot(BerthSandboxes *sandboxes, const BerthSandboxSpec *spec,
                      BerthSandbox *sandbox, GError **error)
{
    g_autoptr(GHashTable) sysctls = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *shmall = g_strdup_printf("%" PRIu64, berth_slot_shmall(spec->shm.size));
    g_autofree char *record = berth_sandbox_to_record(sandbox);
    BerthSlotSpec slot = { spec->mode, sandbox->donor, spec->shm, spec->ns, NULL };
    BerthSlotInfo info;

    if (!spec->donor && spec->mode != BERTH_IPC_MODE_HOST) {
        GHashTableIter iter;
        gpointer name, value;

        g_hash_table_insert(sysctls, (char *)"kernel.shmall", shmall);
        if (spec->sysctls) {
            g_hash_table_iter_init(&iter, spec->sysctls);
            while (g_hash_table_iter_next(&iter, &name, &value))
                g_hash_table_insert(sysctls, name, value);
        }
        slot.sysctls = sysctls;
    }
    if (!berth_slot_create(sandboxes->vault, sandbox->id, &slot, record, &info, error))
        return false;
    sandbox->contents->info = info;
    return true;
}

/* What @spec will cost its owner. */
static BerthCharge charge_of(const BerthSandboxSpec *spec)
{
    bool has_tmpfs = spec->mode == BERTH_IPC_MODE_PRIVATE || spec->mode == BERTH_IPC_MODE_SHAREABLE;

    /* with none it is what SysV memory may take */
    return (BerthCharge){ 1, has_tmpfs || spec->mode == BERTH_IPC_MODE_NONE ? spec->shm.size : 0,
                          has_tmpfs ? spec->shm.inodes : 0 };
}

bool berth_sandboxes_check_room(BerthSandboxes *sandboxes, const BerthSandboxSpec *spec,
                                GError **error)
{
    const BerthCharge charge = charge_of(spec);
    unsigned count = berth_sandboxes_count(sandboxes);

    if (!berth_sandboxes_check_free(sandboxes, spec->owner, spec->name, error))
        return false;
    if (count >= spec->settings->max_sandboxes)
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "there are %u sandboxes of at most %u (MaxSandboxes=); remove some "
                               "first",
                               count, spec->settings->max_sandboxes);
    return berth_users_check(sandboxes->users, spec->settings, spec->owner, &charge, error);
}

/* Adds what belongs to a slot that was just made: publication, charge, end of life. */
static bool complete(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    int wd = -1;

    if (sandbox->published &&
        !berth_publish(sandboxes->vault, sandbox->id, berth_sandbox_by_name(sandbox), error))
        return false;
    if (sandbox->owner != 0 && !*sandbox->donor && !sandbox->contents->is_host &&
        !berth_slot_watch(sandboxes->vault, sandbox->id, sandboxes->watch, &wd, error))
        return false;
    if (!berth_lifetime_begin(sandboxes, sandbox, error))
        return false;
    if (wd >= 0)
        berth_watches_add(sandboxes, sandbox, wd);
    return true;
}

BerthSandbox *berth_sandboxes_create(BerthSandboxes *sandboxes, const BerthSandboxSpec *spec,
                                     GError **error)
{
    g_autoptr(BerthSandbox) sandbox = NULL;

    if (!berth_sandboxes_check_room(sandboxes, spec, error))
        return NULL;
    sandbox = prepare(spec, error);
    if (!sandbox || !make_slot(sandboxes, spec, sandbox, error))
        return NULL;
    if (!complete(sandboxes, sandbox, error)) {
        (void)berth_unpublish(sandboxes->vault, sandbox->id, berth_sandbox_by_name(sandbox), NULL);
        (void)berth_slot_remove(sandboxes->vault, sandbox->id, NULL);
        return NULL;
    }
    berth_sandboxes_insert(sandboxes, sandbox);
    berth_sandboxes_log(BERTH_MESSAGE_SANDBOX_CREATED, sandbox, "created");
    sandboxes->events.added(sandbox, sandboxes->events.userdata);
    return g_steal_pointer(&sandbox);
}

bool berth_sandbox_admits(const BerthSandbox *sandbox, const BerthCaller *caller)
{
    if (sandbox->owner == caller->uid || berth_ids_contain(sandbox->ids.users, caller->uid))
        return true;
    for (guint i = 0; i < caller->groups->len; i++)
        if (berth_ids_contain(sandbox->ids.groups, g_array_index(caller->groups, gid_t, i)))
            return true;
    return false;
}

bool berth_sandboxes_remove(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    BerthSandboxState state = sandbox->state;
    BERTH_AUTO_FD large = sandbox->contents->info.shm_size > LARGE
                              ? berth_slot_hold(sandboxes->vault, sandbox->id, LARGE)
                              : -1;

    if (sandbox->published &&
        !berth_unpublish(sandboxes->vault, sandbox->id, berth_sandbox_by_name(sandbox), error))
        return false;
    if (leaves_charge(sandbox)) {
        sandbox->state = BERTH_SANDBOX_REMOVED;
        if (!berth_sandboxes_write_record(sandboxes, sandbox, error) ||
            !berth_slot_empty(sandboxes->vault, sandbox->id, error)) {
            sandbox->state = state;
            return false;
        }
        berth_watches_left(sandboxes, sandbox->contents);
    } else {
        if (!berth_slot_remove(sandboxes->vault, sandbox->id, error))
            return false;
        berth_watches_drop(sandboxes, sandbox->contents, sandbox->id);
    }
    berth_sandboxes_log(BERTH_MESSAGE_SANDBOX_REMOVED, sandbox, "removed");
    sandboxes->events.removed(sandbox, sandboxes->events.userdata);
    if (large >= 0)
        berth_child_close(sandboxes->event, berth_steal_fd(&large), sandbox->owner);
    forget(sandboxes, sandbox);
    berth_watches_read(sandboxes);
    return true;
}
