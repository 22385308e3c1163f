/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log of a restore: what is about to be made is written down first, in the vault, which
 * outlives every process. So a restore that fails or is killed at any moment is undone by whoever
 * comes next, and one that was complete is finished. Records end with a NUL byte, since names of
 * files can have any other.
 */

#include "ipc/restore-log.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/vault.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool berth_restore_log_open(const char *id, bool make, int *fd, GError **error)
{
    g_autofree char *path = g_strconcat(BERTH_VAULT_RESTORES "/", id, NULL);
    BERTH_AUTO_FD log = -1;

    g_assert(berth_id_is_valid(id));
    *fd = -1;
    if (make && mkdir(BERTH_VAULT_RESTORES, 0700) < 0 && errno != EEXIST)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot make a place for the log of a restore");
    log = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
    if (log < 0 && errno == ENOENT && !make)
        return true;
    if (log < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot open the log of a restore");
    if (flock(log, LOCK_EX | LOCK_NB) < 0)
        return berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                               "another process still restores into the sandbox");
    *fd = berth_steal_fd(&log);
    return true;
}

void berth_restore_log_collect(GByteArray *records, char kind, const char *text)
{
    g_byte_array_append(records, (const guint8 *)&kind, 1);
    g_byte_array_append(records, (const guint8 *)text, (guint)strlen(text) + 1);
}

bool berth_restore_log_add_all(int fd, GByteArray *records, GError **error)
{
    ssize_t n = records->len > 0 ? write(fd, records->data, records->len) : 0;

    if (n != (ssize_t)records->len)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot note what is about to be restored");
    g_byte_array_set_size(records, 0);
    return true;
}

bool berth_restore_log_add(int fd, char kind, const char *text, GError **error)
{
    g_autoptr(GByteArray) records = g_byte_array_new();

    berth_restore_log_collect(records, kind, text);
    return berth_restore_log_add_all(fd, records, error);
}

GPtrArray *berth_restore_log_read(int fd, GError **error)
{
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func(g_free);
    struct stat st;
    const char *text, *end;
    void *map;

    if (fstat(fd, &st) < 0) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read the log of a restore");
        return NULL;
    }
    if (st.st_size == 0)
        return g_steal_pointer(&records);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot map the log of a restore");
        return NULL;
    }
    text = map;
    end = text + st.st_size;
    while (text < end) {
        const char *stop = memchr(text, '\0', (size_t)(end - text));

        if (!stop) /* a record whose writing was interrupted: nothing of it was done */
            break;
        if (stop > text)
            g_ptr_array_add(records, g_strdup(text));
        text = stop + 1;
    }
    (void)munmap(map, (size_t)st.st_size);
    return g_steal_pointer(&records);
}

void berth_restore_log_remove(const char *id)
{
    g_autofree char *path = g_strconcat(BERTH_VAULT_RESTORES "/", id, NULL);

    (void)unlink(path);
}
