/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking messages out of a POSIX queue and putting them back, so that a kill at any moment loses
 * none. The kernel writes each message and its priority straight into a file of the vault, which
 * outlives every process; what it cannot write there, the length, can be told from the bytes that
 * are missing in the queue. While messages are put back, what is in the queue says how many are. So
 * whoever comes next, the process that supervised the killed one or the next service, knows exactly
 * where it was interrupted.
 *
 * The file is written by a process that can have been taken over: nothing in it is believed without
 * a check.
 */

#include "ipc/snapshot-spill.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/snapshot-index.h"
#include "ipc/snapshot-queues.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LATE_MESSAGES 1024 /* of senders that were not seen, for which there is room */
#define LATE_SIZES    5    /* likewise, of the largest message the queue takes */
#define ROOM_MAX      (65536 + LATE_MESSAGES)

enum {
    IDLE,
    TAKING,  /* count messages were taken out, maybe one more */
    PUTTING, /* sent of them were put back, maybe one more */
};

typedef struct {
    uint32_t priority, length;
} Entry;

/* The file: this, then room entries, then data_room bytes of messages, one after the other. */
struct BerthSpillHead {
    uint32_t phase;
    uint32_t room;
    uint32_t count, sent;
    uint64_t messages, bytes; /* in the queue at the beginning */
    uint64_t message_size;    /* of the largest that the queue takes */
    uint64_t data_room;
    char name[NAME_MAX + 1];
};

static Entry *entries_of(const BerthSpillHead *head)
{
    return (Entry *)(uintptr_t)(head + 1);
}

static char *data_of(const BerthSpillHead *head)
{
    return (char *)(entries_of(head) + head->room);
}

/* A kill comes between instructions: they must be in this order. */
static void store(uint32_t *field, uint32_t value) // NOLINT(readability-non-const-parameter)
{
    __atomic_store_n(field, value, __ATOMIC_SEQ_CST);
}

static void unmap(BerthSpill *spill)
{
    if (spill->head)
        (void)munmap(spill->head, spill->size);
    spill->head = NULL;
}

void berth_spill_clear(BerthSpill *spill)
{
    unmap(spill);
    spill->fd = berth_close(spill->fd);
}

bool berth_spill_open(const char *id, bool make, BerthSpill *spill, GError **error)
{
    g_autofree char *path = g_strconcat(BERTH_VAULT_SPILLS "/", id, NULL);
    BERTH_AUTO_FD fd = -1;

    g_assert(berth_id_is_valid(id));
    if (make && mkdir(BERTH_VAULT_SPILLS, 0700) < 0 && errno != EEXIST)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot make a place for messages");
    fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
    if (fd < 0 && errno == ENOENT && !make)
        return true;
    if (fd < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot open the place for messages");
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                               "another process still puts messages back into a queue of the "
                               "sandbox");
    spill->fd = berth_steal_fd(&fd);
    return true;
}

void berth_spill_remove(const char *id)
{
    g_autofree char *path = g_strconcat(BERTH_VAULT_SPILLS "/", id, NULL);

    (void)unlink(path);
}

/* Gives the file room for what is in a queue, all of it in memory before anything is taken out. */
static bool begin(BerthSpill *spill, const BerthQueueState *state, const char *name, GError **error)
{
    uint64_t room = state->most + LATE_MESSAGES;
    uint64_t data_room = state->bytes + LATE_SIZES * state->size;
    size_t size = sizeof(BerthSpillHead) + room * sizeof(Entry) + data_room;
    void *map = MAP_FAILED;

    unmap(spill);
    if (ftruncate(spill->fd, 0) == 0 && fallocate(spill->fd, 0, 0, (off_t)size) == 0)
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, spill->fd, 0);
    if (map == MAP_FAILED)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot make room for the messages of a queue");
    spill->head = map;
    spill->size = size;
    (void)mlock(map, size); /* if it is allowed */
    *spill->head = (BerthSpillHead){ .room = (uint32_t)room,
                                     .messages = state->messages,
                                     .bytes = state->bytes,
                                     .message_size = state->size,
                                     .data_room = data_room };
    g_strlcpy(spill->head->name, name, sizeof(spill->head->name));
    store(&spill->head->phase, TAKING);
    return true;
}

/* Sum of the lengths that are known. */
static uint64_t taken_bytes(const BerthSpillHead *head)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < head->count; i++)
        bytes += entries_of(head)[i].length;
    return bytes;
}

static bool take(BerthSpillHead *head, int queue, GError **error)
{
    uint64_t used = taken_bytes(head);

    while (head->count < head->room && used + head->message_size <= head->data_room) {
        Entry *entry = &entries_of(head)[head->count];
        ssize_t n = mq_receive(queue, data_of(head) + used, head->message_size, &entry->priority);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                         "cannot read the message queue %s", head->name);
        entry->length = (uint32_t)n;
        used += (uint64_t)n;
        store(&head->count, head->count + 1);
    }
    head->sent = 0;
    store(&head->phase, PUTTING);
    return true;
}

/* Puts back until all are, or there is no room. */
static bool put(BerthSpillHead *head, int queue, bool *late, GError **error)
{
    uint64_t offset = 0;

    *late = false;
    for (uint32_t i = 0; i < head->count; i++) {
        const Entry *entry = &entries_of(head)[i];

        if (i >= head->sent) {
            while (mq_send(queue, data_of(head) + offset, entry->length, entry->priority) < 0) {
                if (errno == EINTR)
                    continue;
                *late = errno == EAGAIN;
                return *late || berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                                      "cannot put messages back into the queue %s",
                                                      head->name);
            }
            store(&head->sent, i + 1);
        }
        offset += entry->length;
    }
    store(&head->phase, IDLE);
    return true;
}

bool berth_spill_take(BerthSpill *spill, int queue, const char *name, GError **error)
{
    BerthQueueState state;
    bool late;

    if (!berth_queue_state(queue, &state, error) || !begin(spill, &state, name, error) ||
        !take(spill->head, queue, error) || !put(spill->head, queue, &late, error))
        return false;
    return !late || berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                                    "a program sent to the message queue %s while it was read, "
                                    "though the programs were said to be stopped; its message is "
                                    "kept until the queue has room",
                                    name);
}

uint32_t berth_spill_count(const BerthSpill *spill)
{
    return spill->head ? spill->head->count : 0;
}

const void *berth_spill_next(const BerthSpill *spill, uint32_t i, uint64_t *offset,
                             uint32_t *length, uint32_t *priority)
{
    const Entry *entry = &entries_of(spill->head)[i];
    const void *data = data_of(spill->head) + *offset;

    *length = entry->length;
    *priority = entry->priority;
    *offset += entry->length;
    return data;
}

/* Whether what was found is what begin() and take() can have left. */
static bool check(const BerthSpillHead *head, size_t size)
{
    uint64_t used;

    if (head->room > ROOM_MAX || head->count > head->room || head->sent > head->count ||
        head->phase > PUTTING || head->message_size > BERTH_MESSAGE_MAX || head->data_room > size ||
        sizeof(*head) + head->room * sizeof(Entry) + head->data_room != size ||
        !memchr(head->name, '\0', sizeof(head->name)) || !berth_snapshot_name_is_valid(head->name))
        return false;
    used = taken_bytes(head);
    for (uint32_t i = 0; i < head->count; i++)
        if (entries_of(head)[i].length > head->message_size)
            return false;
    return used <= head->data_room;
}

/* Maps what an interrupted snapshot left. Without an error there is nothing when head is NULL. */
static bool map_left(BerthSpill *spill, GError **error)
{
    struct stat st;
    void *map;

    unmap(spill);
    if (fstat(spill->fd, &st) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot look for messages to put back");
    if ((size_t)st.st_size < sizeof(BerthSpillHead))
        return true;
    map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
               spill->fd, 0);
    if (map == MAP_FAILED)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot map the messages to put back");
    spill->head = map;
    spill->size = (size_t)st.st_size;
    if (spill->head->phase == IDLE) {
        unmap(spill);
        return true;
    }
    return check(spill->head, spill->size) ||
           berth_set_error(error, BERTH_ERROR_FAILED,
                           "what was kept of the messages to put back is damaged");
}

/* Learns from the queue what the interrupted process had no time to note. */
static void catch_up(BerthSpillHead *head, const BerthQueueState *state)
{
    if (head->phase == PUTTING) {
        if (state->messages == (uint64_t)head->sent + 1 && head->sent < head->count)
            store(&head->sent, head->sent + 1);
        return;
    }
    uint64_t known = taken_bytes(head);

    if (head->messages - state->messages == (uint64_t)head->count + 1 && head->count < head->room &&
        head->bytes >= state->bytes + known &&
        head->bytes - state->bytes - known <= head->message_size) {
        entries_of(head)[head->count].length = (uint32_t)(head->bytes - state->bytes - known);
        store(&head->count, head->count + 1);
    }
}

bool berth_spill_settle(BerthSpill *spill, int mqueue, bool *late, GError **error)
{
    BERTH_AUTO_FD queue = -1;
    BerthQueueState state;

    *late = false;
    if (!map_left(spill, error))
        return false;
    if (!spill->head)
        return true;
    queue = berth_queue_open(mqueue, spill->head->name);
    if (queue < 0 && errno == ENOENT) { /* removed meanwhile, with all its messages */
        store(&spill->head->phase, IDLE);
        return true;
    }
    if (queue < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot put messages back into the queue %s",
                                     spill->head->name);
    if (!berth_queue_state(queue, &state, error))
        return false;
    catch_up(spill->head, &state);
    if (spill->head->phase == TAKING && !take(spill->head, queue, error))
        return false;
    return put(spill->head, queue, late, error);
}

bool berth_spill_wait(BerthSpill *spill, int mqueue, GError **error)
{
    BERTH_AUTO_FD queue = berth_queue_open(mqueue, spill->head->name);
    bool late = queue >= 0;

    while (late) {
        struct pollfd fd = { .fd = queue, .events = POLLOUT };

        (void)poll(&fd, 1, -1);
        if (!put(spill->head, queue, &late, error))
            return false;
    }
    return true;
}
