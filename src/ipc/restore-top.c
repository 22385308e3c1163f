/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a snapshot says of the shm itself: permissions, owner, attributes and times. That is there
 * already and in use, so nothing of it changes before all is restored; until then it is noted in
 * the log. Records come from a process that can have been taken over: they can name nothing but the
 * shm.
 */

#include "ipc/restore-top.h"

#include "base/error.h"
#include "ipc/restore-log.h"
#include "ipc/snapshot-attributes.h"
#include "ipc/snapshot-pax.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool note_permissions(int log, struct archive_entry *entry, GError **error)
{
    g_autofree char *record =
        g_strdup_printf("%o %u %u", (unsigned)archive_entry_perm(entry) & 07777,
                        (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry));

    return berth_restore_log_add(log, BERTH_LOG_ROOT, record, error);
}

static bool note_attributes(int log, struct archive_entry *entry, unsigned *noted, GError **error)
{
    const char *name;
    const void *value;
    size_t size;

    archive_entry_xattr_reset(entry);
    for (*noted = 0; archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK;
         (*noted)++) {
        g_autoptr(GString) record = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
            g_string_append_printf(record, "%02x", ((const uint8_t *)value)[i]);
        g_string_append_printf(record, "=%s", name ? name : "");
        if (!berth_restore_log_add(log, BERTH_LOG_ATTRIBUTE, record->str, error))
            return false;
    }
    return true;
}

static bool note_times(int log, struct archive_entry *entry, GError **error)
{
    g_autofree char *record = NULL;

    if (!archive_entry_atime_is_set(entry) || !archive_entry_mtime_is_set(entry))
        return true;
    record = g_strdup_printf("%" PRId64 " %ld %" PRId64 " %ld", (int64_t)archive_entry_atime(entry),
                             archive_entry_atime_nsec(entry), (int64_t)archive_entry_mtime(entry),
                             archive_entry_mtime_nsec(entry));
    return berth_restore_log_add(log, BERTH_LOG_TIMES, record, error);
}

bool berth_restore_top_note(int shm, int log, const BerthActor *actor, struct archive_entry *entry,
                            GError **error)
{
    unsigned attributes = 0;
    struct stat st;
    bool same;

    if (fstat(shm, &st) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot look at the shm");
    same = (uid_t)archive_entry_uid(entry) == st.st_uid &&
           (gid_t)archive_entry_gid(entry) == st.st_gid &&
           (archive_entry_perm(entry) & 07777) == (st.st_mode & 07777);
    if ((!same && !note_permissions(log, entry, error)) ||
        !note_attributes(log, entry, &attributes, error) || !note_times(log, entry, error))
        return false;
    return actor->uid == 0 || (same && attributes == 0) ||
           berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                           "the snapshot's shm has permissions, attributes or an owner of its own, "
                           "which only root can restore");
}

static bool set_damaged(GError **error)
{
    return berth_set_error(error, BERTH_ERROR_FAILED, "the log of a restore is damaged");
}

static bool set_permissions(int shm, const char *text, GError **error)
{
    unsigned mode, uid, gid;
    struct stat st;

    if (sscanf(text, "%o %u %u", &mode, &uid, &gid) != 3 || fstat(shm, &st) < 0)
        return set_damaged(error);
    if (((st.st_uid != uid || st.st_gid != gid) && fchown(shm, uid, gid) < 0) ||
        ((st.st_mode & 07777) != mode && fchmod(shm, mode & 07777) < 0))
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot give the shm its permissions");
    return true;
}

static bool set_attribute(int shm, const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    size_t size = equals ? (size_t)(equals - text) / 2 : 0;
    g_autofree char *name = equals ? berth_pax_attribute_name(equals + 1) : NULL;
    g_autofree uint8_t *value = g_malloc(size + 1);

    if (!name || strspn(text, "0123456789abcdef") != 2 * size)
        return set_damaged(error);
    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
                             g_ascii_xdigit_value(text[2 * i + 1]));
    return berth_attribute_set(shm, NULL, name, value, size, false) ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                 "cannot give the shm its attributes");
}

static bool set_times(int shm, const char *text, GError **error)
{
    int64_t atime, mtime;
    long atime_nsec, mtime_nsec;
    struct timespec times[2];

    if (sscanf(text, "%" SCNd64 " %ld %" SCNd64 " %ld", &atime, &atime_nsec, &mtime, &mtime_nsec) !=
        4)
        return set_damaged(error);
    times[0] = (struct timespec){ atime, atime_nsec };
    times[1] = (struct timespec){ mtime, mtime_nsec };
    return futimens(shm, times) == 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot give the shm its times");
}

bool berth_restore_top_set(int shm, const GPtrArray *records, GError **error)
{
    static const struct {
        char kind;
        bool (*set)(int shm, const char *text, GError **error);
    } steps[] = { /* an owner is given last of what it takes to be the owner for */
                  { BERTH_LOG_ATTRIBUTE, set_attribute },
                  { BERTH_LOG_ROOT, set_permissions },
                  { BERTH_LOG_TIMES, set_times }
    };

    for (unsigned step = 0; step < G_N_ELEMENTS(steps); step++)
        for (guint i = 0; i < records->len; i++) {
            const char *record = records->pdata[i];

            if (*record == steps[step].kind && !steps[step].set(shm, record + 1, error))
                return false;
        }
    return true;
}
