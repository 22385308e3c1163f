/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ipc/vault.h"

#include <stdint.h>

typedef struct BerthSpillHead BerthSpillHead;

/** BerthSpill: messages that were taken out of a queue, in a file of the vault. */
typedef struct {
    int fd;               /* owned, locked */
    BerthSpillHead *head; /* (nullable) its mapping, of size bytes */
    size_t size;
} BerthSpill;

#define BERTH_SPILL_INIT                                                                           \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
void berth_spill_clear(BerthSpill *spill);
#define BERTH_AUTO_SPILL __attribute__((cleanup(berth_spill_clear))) BerthSpill

/**
 * berth_spill_open: in the vault: opens the spill of sandbox @id, which may hold what an
 * interrupted snapshot left.
 * @make: make it when there is none; else @spill stays closed
 * @error: BERTH_ERROR_SANDBOX_BUSY when another process uses it
 */
bool berth_spill_open(const char *id, bool make, BerthSpill *spill, GError **error);

/** berth_spill_remove: in the vault: removes the spill of @id. */
void berth_spill_remove(const char *id);

/**
 * berth_spill_take:
 * @queue: a POSIX message queue, open for reading and writing with O_NONBLOCK
 * @name: its name
 * @error: BERTH_ERROR_SANDBOX_BUSY when a program sent meanwhile; then what does not fit is left
 * for berth_spill_settle()
 *
 * Takes all messages out of @queue and puts them back in their order; what was in it stays in
 * @spill until the next call. Wherever this is killed, berth_spill_settle() goes on.
 */
bool berth_spill_take(BerthSpill *spill, int queue, const char *name, GError **error);

/** berth_spill_count: Returns: the number of messages in @spill. */
uint32_t berth_spill_count(const BerthSpill *spill);
/** berth_spill_next: @offset: 0 at first. Returns: (transfer none): the data of message @i. */
const void *berth_spill_next(const BerthSpill *spill, uint32_t i, uint64_t *offset,
                             uint32_t *length, uint32_t *priority);

/**
 * berth_spill_settle:
 * @mqueue: directory descriptor of the sandbox's mqueue file system
 * @late: (out): messages are left for which there is no room yet
 *
 * Puts back what an interrupted berth_spill_take() had taken out.
 */
bool berth_spill_settle(BerthSpill *spill, int mqueue, bool *late, GError **error);

/**
 * berth_spill_wait: puts back what is left, as soon as there is room, however long that takes.
 */
bool berth_spill_wait(BerthSpill *spill, int mqueue, GError **error);
