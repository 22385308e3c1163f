/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what a restore parses. The input is an archive. Its index and its messages are read
 * as a restore does; its files are made below a directory of the target's own, as the user who
 * runs it. What is refused gives an error that can be sent over the bus, and nothing is ever made
 * outside of that directory or under a name that is not the restore's.
 * Inputs need no checksum: the last member of an archive may say none.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/libarchive.h"
#include "ipc/restore-files.h"
#include "ipc/restore-log.h"
#include "ipc/restore-sysv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PREFIX ".fuzz-"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const GError *error)
{
    g_assert(error && error->domain == BERTH_ERROR);
    g_assert(g_utf8_validate(error->message, -1, NULL));
    g_assert(!strchr(error->message, '\n'));
    g_assert(strlen(error->message) < 4000);
}

static bool take_message(uint64_t number, const void *data, size_t length, void *userdata,
                         GError **error)
{
    uint64_t *sum = userdata;

    for (size_t i = 0; i < length; i++)
        *sum += ((const uint8_t *)data)[i];
    return true;
}

static void check_index(const BerthIndex *index)
{
    for (guint i = 0; i < index->segments->len; i++) {
        const BerthSegment *segment = &g_array_index(index->segments, BerthSegment, i);

        g_assert(segment->perm.id >= 0 && segment->perm.mode <= 0777);
    }
    for (guint i = 0; i < index->queues->len; i++) {
        const BerthQueue *queue = &g_array_index(index->queues, BerthQueue, i);

        g_assert(berth_snapshot_name_is_valid(queue->name));
        g_assert(queue->most > 0 && queue->size > 0 && queue->size <= BERTH_MESSAGE_MAX);
    }
}

/* One member, whatever it is. */
static bool take_member(BerthRestoreReader *reader, BerthRestoreFiles *files, GError **error)
{
    struct archive_entry *entry;
    g_autofree char *path = NULL;
    uint64_t room = 1 << 20, sum = 0;

    if (!berth_restore_reader_next(reader, &path, &entry, error))
        return false;
    if (g_str_equal(path, BERTH_SNAPSHOT_END))
        return berth_restore_reader_finish(reader, error) &&
               berth_restore_files_finish(files, error) &&
               berth_set_error(error, BERTH_ERROR_CANCELLED, "the end");
    if (g_str_has_prefix(path, BERTH_SNAPSHOT_INDEX)) {
        g_autoptr(GByteArray) text = berth_restore_reader_text(reader, 1 << 16, error);
        g_autoptr(BerthIndex) index =
            text ? berth_snapshot_index_parse((const char *)text->data, text->len, error) : NULL;

        if (index)
            check_index(index);
        return index;
    }
    if (g_str_has_prefix(path, BERTH_SNAPSHOT_SHM))
        return berth_restore_files_add(files, path, entry, reader, error);
    return berth_restore_messages(reader, path, 1 << 16, &room, take_message, &sum, error);
}

/* Removes what was made; everything at the top has the names of a restore. */
static void empty(int dir, bool top)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *stream = fdopendir(copy);

    for (struct dirent *one = readdir(stream); one; one = readdir(stream)) {
        if (g_str_equal(one->d_name, ".") || g_str_equal(one->d_name, ".."))
            continue;
        g_assert(!top || g_str_has_prefix(one->d_name, PREFIX));
        if (unlinkat(dir, one->d_name, 0) < 0) {
            BERTH_AUTO_FD below = -1;

            (void)fchmodat(dir, one->d_name, 0700, 0);
            below = openat(dir, one->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            g_assert(below >= 0);
            empty(below, false);
            g_assert(unlinkat(dir, one->d_name, AT_REMOVEDIR) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int log = -1, archive = -1;
    g_autoptr(BerthRestoreReader) reader = NULL;
    g_autoptr(BerthRestoreFiles) files = NULL;
    g_autoptr(GError) error = NULL;
    const BerthActor actor = { .uid = geteuid() };
    char template[] = "/tmp/berth-fuzz-XXXXXX";
    BERTH_AUTO_FD shm = -1;

    g_assert(berth_libarchive_load(NULL));
    if (log < 0)
        log = memfd_create("log", MFD_CLOEXEC);
    if (archive < 0)
        archive = memfd_create("archive", MFD_CLOEXEC);
    g_assert(ftruncate(archive, 0) == 0 && pwrite(archive, data, size, 0) == (ssize_t)size);
    g_assert(lseek(archive, 0, SEEK_SET) == 0 && ftruncate(log, 0) == 0);
    g_assert(mkdtemp(template));
    shm = open(template, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert(shm >= 0);

    reader = berth_restore_reader_new(archive, &error);
    g_assert(!reader == !!error);
    files = berth_restore_files_new(shm, log, PREFIX, &actor, NULL);
    for (unsigned i = 0; reader && i < 100 && !error; i++)
        (void)take_member(reader, files, &error);
    if (error)
        check_error(error);
    empty(shm, true);
    g_assert(rmdir(template) == 0);
    return 0;
}
