/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts in order what interrupted snapshots and restores left: at the end of each, when the process
 * that did it was killed; before the next of the same sandbox; and when the service starts. What
 * another process still has locked is left to it.
 */

#include "ipc/snapshot-settle.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/names.h"
#include "ipc/restore-log.h"
#include "ipc/restore-undo.h"
#include "ipc/slot.h"
#include "ipc/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void remove_spill(const BerthVault *vault, const char *id)
{
    BERTH_AUTO_STEP step = { 0 };

    if (berth_vault_step(vault, &step, NULL))
        berth_spill_remove(id);
}

/* The process that waits: nobody's child, with nothing open but the messages and their queue. */
static G_NORETURN void wait_for_room(const BerthVault *vault, const char *id, BerthSpill *spill,
                                     int mqueue)
{
    const BerthPlaces *places = vault->places;
    int keep[] = { spill->fd,        mqueue,           vault->ns,    places->home_mnt,
                   places->home_ipc, places->host_mnt, places->root, places->proc };

    berth_close_others(keep, G_N_ELEMENTS(keep));
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, 0);
    (void)signal(SIGTERM, SIG_IGN);
    if (berth_spill_wait(spill, mqueue, NULL))
        remove_spill(vault, id);
    _exit(0);
}

static void leave_waiting(const BerthVault *vault, const char *id, BerthSpill *spill, int mqueue)
{
    pid_t pid = fork(), reaped;

    if (pid == 0) {
        if (fork() == 0)
            wait_for_room(vault, id, spill, mqueue);
        _exit(0);
    }
    do
        reaped = pid > 0 ? waitpid(pid, NULL, 0) : 0;
    while (reaped < 0 && errno == EINTR);
    berth_notice("a message queue of sandbox %s is full; what a program sent while it was saved is "
                 "kept until there is room",
                 id);
}

bool berth_snapshot_settle(const BerthVault *vault, const char *id, BerthSpill *spill, int mqueue,
                           GError **error)
{
    bool late;

    if (!berth_spill_settle(spill, mqueue, &late, error))
        return false;
    if (late)
        leave_waiting(vault, id, spill, mqueue);
    else
        remove_spill(vault, id);
    return true;
}

/* What is left of one sandbox, as far as nobody works with it. */
typedef struct {
    BerthSpill spill;
    int log;    /* owned */
    bool there; /* the sandbox is */
} Left;

static void left_clear(Left *left)
{
    berth_spill_clear(&left->spill);
    left->log = berth_close(left->log);
}
#define AUTO_LEFT __attribute__((cleanup(left_clear))) Left

/* In the vault: opens what there is. */
static bool open_left(const char *id, Left *left, GError **error)
{
    g_autofree char *record = g_strconcat(BERTH_VAULT_RECORDS "/", id, NULL);

    if (!berth_spill_open(id, false, &left->spill, error) ||
        !berth_restore_log_open(id, false, &left->log, error))
        return false;
    left->there = access(record, F_OK) == 0;
    if (left->there)
        return true;
    /* with the sandbox went all that this is about */
    berth_spill_remove(id);
    berth_restore_log_remove(id);
    return true;
}

static bool settle_restore(const BerthVault *vault, const char *id, const BerthSlotFds *fds,
                           int log, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    bool ok;

    if (!berth_step_ipc(&step, vault->places, fds->ipc, error))
        return false;
    ok = berth_restore_undo(vault->places, fds, log, error);
    berth_step_end(&step);
    if (ok && berth_vault_step(vault, &step, NULL))
        berth_restore_log_remove(id);
    return ok;
}

static bool recover_one(const BerthVault *vault, const char *id, GError **error)
{
    BERTH_AUTO_SLOT_FDS fds = BERTH_SLOT_FDS_INIT;
    AUTO_LEFT left = { BERTH_SPILL_INIT, -1, false };
    BERTH_AUTO_STEP step = { 0 };

    if (!berth_vault_step(vault, &step, error) || !open_left(id, &left, error))
        return false;
    berth_step_end(&step);
    if (!left.there || (left.spill.fd < 0 && left.log < 0))
        return true;
    if (!berth_slot_open(vault, id, &fds, error))
        return false;
    berth_info("finishing what an interrupted %s of sandbox %s left",
               left.log >= 0 ? "restore" : "snapshot", id);
    if (left.spill.fd >= 0 && !berth_snapshot_settle(vault, id, &left.spill, fds.mqueue, error))
        return false;
    return left.log < 0 || settle_restore(vault, id, &fds, left.log, error);
}

/* In the vault: adds the IDs that have something in @where. */
static void list(const char *where, GHashTable *ids)
{
    BERTH_AUTO_DIR *dir = opendir(where);

    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        if (berth_id_is_valid(entry->d_name))
            g_hash_table_add(ids, g_strdup(entry->d_name));
}

bool berth_snapshot_recover(const BerthVault *vault, const char *id, GError **error)
{
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    BERTH_AUTO_STEP step = { 0 };
    GHashTableIter iter;

    if (id)
        return recover_one(vault, id, error);
    if (!berth_vault_step(vault, &step, error))
        return false;
    list(BERTH_VAULT_SPILLS, ids);
    list(BERTH_VAULT_RESTORES, ids);
    berth_step_end(&step);
    g_hash_table_iter_init(&iter, ids);
    while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL)) {
        g_autoptr(GError) failure = NULL;

        /* one that cannot be put in order is no reason to leave the others */
        if (!recover_one(vault, id, &failure) && failure->code != BERTH_ERROR_SANDBOX_BUSY)
            berth_warning("cannot put sandbox %s in order: %s", id, failure->message);
    }
    return true;
}
