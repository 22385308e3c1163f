/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether what is wanted can be: each value against its grammar, the settings and this machine, and
 * the values against each other. The same for callers of Create and for sandboxes that the
 * administrator declares, so that both are told the same.
 */

#include "daemon/wanted.h"

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"
#include "daemon/ids.h"
#include "ipc/machine.h"
#include "ipc/slot.h"
#include "ipc/sysctls.h"

#include <inttypes.h>
#include <string.h>

#define MAX_LABELS      64
#define MAX_DONOR_BYTES 128  /* of UID/name, with room to spare */
#define MAX_LABEL_BYTES 1024 /* of key and value together */

static bool check_labels(GHashTable *labels, GError **error)
{
    GHashTableIter iter;
    const char *key, *value;

    if (!labels)
        return true;
    if (g_hash_table_size(labels) > MAX_LABELS)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "Labels has %u entries; at most %d are stored",
                               g_hash_table_size(labels), MAX_LABELS);
    g_hash_table_iter_init(&iter, labels);
    while (g_hash_table_iter_next(&iter, (gpointer *)&key, (gpointer *)&value)) {
        g_autofree char *quoted = berth_quote(key);

        if (!*key)
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION, "Labels has an empty key");
        if (strlen(key) + strlen(value) > MAX_LABEL_BYTES)
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   "the label '%s' has more than %d bytes", quoted,
                                   MAX_LABEL_BYTES);
    }
    return true;
}

bool berth_check_shmall(GHashTable *sysctls, uint64_t shm_size, GError **error)
{
    const char *text = sysctls ? g_hash_table_lookup(sysctls, "kernel.shmall") : NULL;
    uint64_t most = berth_slot_shmall(shm_size), pages;

    if (!text)
        return true;
    if (!g_ascii_string_to_unsigned(text, 10, 0, most, &pages, NULL))
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "kernel.shmall=%s is more than the shm size of %" PRIu64
                               " bytes allows; use at most %" PRIu64 " pages or raise the size",
                               text, shm_size, most);
    return true;
}

bool berth_check_sysctls(GHashTable *sysctls, GError **error)
{
    GHashTableIter iter;
    gpointer name, value;

    if (!sysctls)
        return true;
    g_hash_table_iter_init(&iter, sysctls);
    while (g_hash_table_iter_next(&iter, &name, &value))
        if (!berth_sysctl_check(name, value, error))
            return false;
    return true;
}

bool berth_check_shm_size(const BerthSettings *settings, uint64_t *size, GError **error)
{
    uint64_t asked = *size ? *size : settings->default_shm_size;

    *size = berth_shm_round(asked);
    if (asked <= settings->max_shm_size)
        return true;
    return berth_set_error(error, BERTH_ERROR_INVALID_SIZE,
                           "invalid size %" PRIu64 ": the settings allow at most %" PRIu64
                           " bytes (MaxShmSize=)",
                           asked, settings->max_shm_size);
}

bool berth_check_shm_inodes(const BerthSettings *settings, uint64_t *inodes, GError **error)
{
    if (*inodes == 0)
        *inodes = settings->default_shm_inodes;
    if (*inodes <= BERTH_SHM_INODES_MAX)
        return true;
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "%" PRIu64
                           " inodes are more than a tmpfs can have; use at most %" PRIu64,
                           *inodes, BERTH_SHM_INODES_MAX);
}

/* What means nothing with a mode is refused, so that nobody relies on it. */
static bool check_combination(const BerthWanted *wanted, BerthIpcMode mode, GError **error)
{
    static const char once[] = "it is handed over once", others[] = "it is somebody else's",
                      no_shm[] = "it has no shm";
    bool handed_over = berth_ipc_mode_is_handed_over(mode);
    bool shared = mode == BERTH_IPC_MODE_HOST || mode == BERTH_IPC_MODE_CONTAINER;
    bool none = mode == BERTH_IPC_MODE_NONE;
    const struct {
        const char *option;
        bool given, refused;
        const char *why;
    } rules[] = {
        { "Publish", wanted->publish, handed_over, once },
        { "Users", wanted->users, handed_over, once },
        { "Groups", wanted->groups, handed_over, once },
        { "Sysctls", wanted->sysctls, shared, others },
        { "ShmHuge", wanted->huge, shared, others },
        { "ShmNuma", wanted->numa, shared, others },
        { "ShmHuge", wanted->huge, none, no_shm },
        { "ShmNuma", wanted->numa, none, no_shm },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++)
        if (rules[i].given && rules[i].refused)
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   "option '%s' does not go with mode %s: %s", rules[i].option,
                                   berth_ipc_mode_to_string(mode), rules[i].why);
    return true;
}

static bool check_mode(const BerthSettings *settings, const BerthWanted *wanted, BerthIpcMode *mode,
                       const char **donor, GError **error)
{
    if (!berth_ipc_mode_parse(wanted->mode ? wanted->mode : "", mode, donor, error))
        return false;
    /* no sandbox has such a name; a call that waits must not hold megabytes of it */
    if (*donor && strlen(*donor) > MAX_DONOR_BYTES)
        return berth_set_error(error, BERTH_ERROR_NO_SUCH_SANDBOX,
                               "the donor sandbox does not exist: its name has %zu bytes",
                               strlen(*donor));
    if (*mode == BERTH_IPC_MODE_DEFAULT)
        *mode = settings->default_ipc_mode;
    if (settings->allowed_modes & (1u << *mode))
        return true;
    return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                           "mode %s is not allowed on this machine (AllowedModes=)",
                           berth_ipc_mode_to_string(*mode));
}

/* With host and container the shm is somebody else's, and its size counts. */
static bool check_sizes(const BerthSettings *settings, BerthWanted *wanted, BerthIpcMode mode,
                        GError **error)
{
    if (mode == BERTH_IPC_MODE_HOST || mode == BERTH_IPC_MODE_CONTAINER)
        wanted->shm_size = wanted->shm_inodes = 0;
    return berth_check_shm_size(settings, &wanted->shm_size, error) &&
           berth_check_shm_inodes(settings, &wanted->shm_inodes, error);
}

bool berth_wanted_check(const BerthSettings *settings, BerthWanted *wanted, BerthIpcMode *mode,
                        const char **donor, GError **error)
{
    return (!wanted->name || berth_name_check(wanted->name, error)) &&
           check_mode(settings, wanted, mode, donor, error) &&
           check_combination(wanted, *mode, error) &&
           berth_ids_check(wanted->users, "Users", error) &&
           berth_ids_check(wanted->groups, "Groups", error) &&
           check_sizes(settings, wanted, *mode, error) &&
           (!wanted->huge || berth_machine_check_huge(wanted->huge, error)) &&
           (!wanted->numa || berth_machine_check_mempolicy(wanted->numa, error)) &&
           berth_check_sysctls(wanted->sysctls, error) &&
           berth_check_shmall(wanted->sysctls, wanted->shm_size, error) &&
           check_labels(wanted->labels, error);
}
