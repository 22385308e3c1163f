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

static void log_lost(const char *id, const char *why)
{
    g_autofree char *field = g_strconcat("SANDBOX_ID=", id, NULL);

    berth_log_event(LOG_ERR, BERTH_MESSAGE_SANDBOX_LOST, ((const char *const[]){ field, NULL }),
                    "sandbox %s is lost: %s", id, why);
}

/* Finishes a hand-over and finds its watch again. */
static bool recover_handed_over(BerthSandboxes *sandboxes, BerthSandbox *sandbox, GError **error)
{
    if (!berth_slot_empty(sandboxes->vault, sandbox->id, error))
        return false;
    if (berth_watch_has(sandboxes->vault->places->proc, sandboxes->watch, sandbox->wd))
        return true;
    /* it ended while the service was down, or nobody can tell any more when it does */
    berth_debug("sandbox %s was handed over and is not watched any more", sandbox->id);
    sandbox->wd = -1;
    (void)berth_slot_remove(sandboxes->vault, sandbox->id, NULL);
    return berth_set_error(error, BERTH_ERROR_NO_SUCH_SANDBOX, "it was handed over and ended");
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
    if (!(sandbox->state == BERTH_SANDBOX_HANDED_OVER
              ? recover_handed_over(sandboxes, sandbox, error)
              : berth_slot_inspect(sandboxes->vault, id, &sandbox->contents->info, error)))
        return NULL;
    return g_steal_pointer(&sandbox);
}

/* Joiners share the contents of their base, or, if that is gone, each other's. */
static void share_contents(GHashTable *bases, BerthSandbox *sandbox)
{
    BerthContents *contents = g_hash_table_lookup(bases, sandbox->contents->base);

    if (!contents) {
        g_hash_table_insert(bases, sandbox->contents->base, sandbox->contents);
        return;
    }
    contents->is_host |= sandbox->contents->is_host;
    contents->shmall_set |= sandbox->contents->shmall_set;
    berth_contents_unref(sandbox->contents);
    sandbox->contents = berth_contents_ref(contents);
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
    g_autoptr(GHashTable) bases = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) ids = berth_slots_recover(sandboxes->vault, error);

    if (!ids)
        return false;
    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(GError) failure = NULL;
        BerthSandbox *sandbox = recover_one(sandboxes, ids->pdata[i], &failure);

        if (sandbox) {
            share_contents(bases, sandbox);
            berth_sandboxes_insert(sandboxes, sandbox);
        } else if (!g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_NO_SUCH_SANDBOX)) {
            log_lost(ids->pdata[i], failure->message);
        }
    }
    return republish(sandboxes, error);
}
