/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service stores beside a sandbox: a file in its slot, so that it lives exactly as long as
 * what it is about. What is in it is the service's business; here it is text, replaced as a whole.
 */

#include "ipc/slot-internal.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES (1024 * 1024) /* of a record that is read back */

static bool write_file(const char *path, const char *text)
{
    size_t length = strlen(text);
    BERTH_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd >= 0 && write(fd, text, length) == (ssize_t)length;
}

bool berth_slot_store(const char *id, const char *record, GError **error)
{
    BerthSlotPath from, to;

    berth_slot_path(to, BERTH_VAULT_RECORDS, id, NULL);
    g_snprintf(from, sizeof(from), "%s.new", to);
    if (!write_file(from, record) || rename(from, to) < 0)
        return berth_slot_set_failed(error, id, "store the record");
    return true;
}

bool berth_slot_write_record(const BerthVault *vault, const char *id, const char *record,
                             GError **error)
{
    BERTH_AUTO_STEP step = { 0 };

    return berth_vault_step(vault, &step, error) && berth_slot_store(id, record, error);
}

char *berth_slot_read_record(const BerthVault *vault, const char *id, GError **error)
{
    BERTH_AUTO_STEP step = { 0 };
    BERTH_AUTO_FD fd = -1;
    g_autofree char *record = NULL;
    struct stat st;
    BerthSlotPath path;

    if (!berth_vault_step(vault, &step, error))
        return NULL;
    fd = open(berth_slot_path(path, BERTH_VAULT_RECORDS, id, NULL),
              O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        berth_slot_set_failed(error, id, "open the record");
        return NULL;
    }
    if (st.st_size > MAX_BYTES) {
        berth_set_error(error, BERTH_ERROR_FAILED,
                        "the record of sandbox %s has %jd bytes, more than one can have", id,
                        (intmax_t)st.st_size);
        return NULL;
    }
    record = g_malloc0((size_t)st.st_size + 1);
    if (read(fd, record, (size_t)st.st_size) != st.st_size) {
        berth_slot_set_failed(error, id, "read the record");
        return NULL;
    }
    return g_steal_pointer(&record);
}
