/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a start: the sandboxes of the vault become those of the service. What a crash left
 * half-made is removed, what it left half-done is finished: a sandbox whose record says handed over
 * gives up its mounts, one whose record says published is published. Nothing that was promised to a
 * caller is thrown away because of a problem with another one.
 */

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "daemon/sandboxes-internal.h"
#include "ipc/publish.h"
#include "ipc/watch.h"

#include <inttypes.h>
#include <sys/stat.h>

static void log_lost(const char *id, const char *why)
{
    g_autofree char *field = g_strconcat("SANDBOX_ID=", id, NULL);

    berth_log_event(LOG_ERR, BERTH_MESSAGE_SANDBOX_LOST, ((const char *const[]){ field, NULL }),
                    "sandbox %s is lost: %s", id, why);
}

/*
 * The watch of a tmpfs that ends a sandbox or a charge: what the service's earlier process left, if
 * it is the one that was recorded, else found in the vault while the tmpfs is there. Without either
 * it has ended, or nobody can tell any more.
 */
static bool find_watch(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    BerthContents *contents = sandbox->contents;

    if (contents->wd >= 0 &&
        g_hash_table_contains(sandboxes->inherited, GINT_TO_POINTER(contents->wd)))
        return true;
    return berth_slot_watch(sandboxes->vault, sandbox->id, sandboxes->watch, &contents->wd, error);
}

/* Finishes a hand-over or a removal. The record stays only while its tmpfs lives. */
static bool recover_given_away(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    if (!find_watch(sandboxes, sandbox, error) ||
        !berth_slot_empty(sandboxes->vault, sandbox->id, error))
        return false;
    if (sandbox->contents->wd >= 0)
        return true;
    berth_debug("sandbox %s ended while the service was down", sandbox->id);
    (void)berth_slot_remove(sandboxes->vault, sandbox->id, NULL);
    return berth_set_error(error, BERTH_ERROR_NO_SUCH_SANDBOX, "it has ended");
}

/*
 * Whether what @sandbox has is the host's own. The kernel is asked, not the record: the sandbox of
 * mode host that a joiner joined can be gone, and what is the host's must never be changed through
 * a sandbox.
 */
static bool is_host(const BerthSandboxes *sandboxes, const BerthSandbox *sandbox)
{
    struct stat st;

    return fstat(sandboxes->vault->places->home_ipc, &st) == 0 &&
           st.st_ino == sandbox->contents->info.namespace_id;
}

/* Lets kernel.shmall follow a tmpfs whose resizing was interrupted. */
static bool finish_resize(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    g_autoptr(GHashTable) sysctls = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *shmall =
        g_strdup_printf("%" PRIu64, berth_slot_shmall(sandbox->contents->info.shm_size));

    sandbox->contents->resizing = false;
    g_hash_table_insert(sysctls, (char *)"kernel.shmall", shmall);
    return berth_slot_set_sysctls(sandboxes->vault, sandbox->id, sysctls, error) &&
           berth_sandboxes_write_record(sandboxes, sandbox, error);
}

/* One that the service holds; charged ones are watched from their beginning. */
static bool recover_held(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    BerthContents *contents = sandbox->contents;

    contents->wd = -1;
    if (!berth_slot_inspect(sandboxes->vault, sandbox->id, &contents->info, error))
        return false;
    contents->is_host = is_host(sandboxes, sandbox);
    if (contents->resizing && !contents->is_host && !finish_resize(sandboxes, sandbox, error))
        return false;
    if (sandbox->owner == 0 || *sandbox->donor || contents->is_host)
        return true;
    return find_watch(sandboxes, sandbox, error);
}

static BerthSandbox *recover_one(BerthSandboxes *sandboxes, const char *id, GError **error)
{
    g_autofree char *record = berth_slot_read_record(sandboxes->vault, id, error);
    g_autoptr(BerthSandbox) sandbox = NULL;

    if (!record)
        return NULL;
    sandbox = berth_sandbox_from_record(id, record, error);
    if (!sandbox)
        return NULL;
    if (!(sandbox->state == BERTH_SANDBOX_READY ? recover_held(sandboxes, sandbox, error)
                                                : recover_given_away(sandboxes, sandbox, error)))
        return NULL;
    return g_steal_pointer(&sandbox);
}

/*
 * Joiners share the contents of their base, or, if that is gone, each other's. What is left of a
 * removed base brings the watch.
 */
static void share_contents(GHashTable *bases, BerthSandbox *sandbox)
{
    BerthContents *contents = g_hash_table_lookup(bases, sandbox->contents->base);
    BerthContents *own = sandbox->contents;

    if (!contents) {
        g_hash_table_insert(bases, own->base, berth_contents_ref(own));
        return;
    }
    contents->is_host |= own->is_host;
    contents->shmall_set |= own->shmall_set;
    if (contents->wd < 0)
        contents->wd = own->wd;
    /* the kernel's word; the record of a removed base has the limits of back then */
    if (sandbox->state == BERTH_SANDBOX_READY)
        contents->info = own->info;
    sandbox->contents = berth_contents_ref(contents);
    berth_contents_unref(own);
}

/* Takes a sandbox, or the charge that is left of one, into the books. */
static void take_in(BerthSandboxes *sandboxes, GHashTable *bases, BerthSandbox *sandbox)
{
    g_autoptr(GError) error = NULL;
    int wd = sandbox->contents->wd;

    share_contents(bases, sandbox);
    if (wd >= 0)
        berth_watches_add(sandboxes, sandbox, wd);
    else
        berth_watches_resized(sandboxes, sandbox->contents);
    if (sandbox->state == BERTH_SANDBOX_REMOVED) {
        berth_watches_left(sandboxes, sandbox->contents);
        berth_sandbox_free(sandbox);
        return;
    }
    berth_sandboxes_insert(sandboxes, sandbox);
    if (!berth_lifetime_begin(sandboxes, sandbox, &error)) {
        berth_info("%s", error->message);
        if (!berth_sandboxes_remove(sandboxes, sandbox, NULL))
            berth_err("cannot remove sandbox %s", sandbox->id);
    }
}

static bool republish(BerthSandboxes *sandboxes, GError **error)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    BerthSandbox *sandbox;

    berth_sandboxes_iter(sandboxes, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox))
        if (sandbox->published)
            g_hash_table_add(known, sandbox->id);
    if (!berth_published_recover(sandboxes->vault, known, error))
        return false;
    berth_sandboxes_iter(sandboxes, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox)) {
        g_autoptr(GError) failure = NULL;

        if (sandbox->published &&
            !berth_publish(sandboxes->vault, sandbox->id, berth_sandbox_by_name(sandbox), &failure))
            berth_err("cannot publish sandbox %s again: %s", sandbox->id, failure->message);
    }
    return true;
}

bool berth_sandboxes_recover(BerthSandboxes *sandboxes, GError **error)
{
    g_autoptr(GHashTable) bases =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)berth_contents_unref);
    g_autoptr(GPtrArray) ids = berth_slots_recover(sandboxes->vault, error);

    if (!ids)
        return false;
    sandboxes->inherited = berth_watch_list(sandboxes->vault->places->proc, sandboxes->watch);
    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(GError) failure = NULL;
        BerthSandbox *sandbox = recover_one(sandboxes, ids->pdata[i], &failure);

        if (sandbox)
            take_in(sandboxes, bases, sandbox);
        else if (!g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_NO_SUCH_SANDBOX))
            log_lost(ids->pdata[i], failure->message);
    }
    g_clear_pointer(&sandboxes->inherited, g_hash_table_unref);
    return republish(sandboxes, error);
}
