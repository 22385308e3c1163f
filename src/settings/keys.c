/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of berth.conf: one table with group, name, built-in value, parser and bounds. Built-in
 * values are text and take the same way as those of files, so that there is one grammar and no
 * second list of defaults. What several keys have to agree on is checked in settings.c. It must
 * never look at the machine: what 100% is comes in as a parameter, and whether a user or directory
 * exists is found out by who needs it.
 */

#include "settings/keys.h"

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define LETTERS          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS           "0123456789"

#define USER_NAME_LENGTH 31 /* bytes, what utmp(5) has room for and useradd(8) takes */

static bool invalid(GError **error, const BerthSettingsKey *key, const char *text, const char *hint)
{
    g_autofree char *quoted = berth_quote(text);

    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s=%s is invalid: %s", key->name,
                           quoted, hint);
}

static bool check_bounds(const BerthSettingsKey *key, const char *text, uint64_t value,
                         GError **error)
{
    g_autofree char *hint = NULL;

    if (value >= key->min && value <= key->max)
        return true;
    if (value < key->min)
        hint = g_strdup_printf("the least is %" PRIu64, key->min);
    else
        hint = g_strdup_printf("the most is %" PRIu64, key->max);
    return invalid(error, key, text, hint);
}

static bool parse_count64(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                          void *field, GError **error)
{
    uint64_t value;

    if (!berth_size_parse(text, &value, NULL))
        return invalid(error, key, text, "write a number, as in 64, 16k or 1M");
    if (!check_bounds(key, text, value, error))
        return false;
    *(uint64_t *)field = value;
    return true;
}

static bool parse_count(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                        void *field, GError **error)
{
    uint64_t value = 0;

    G_STATIC_ASSERT(sizeof(unsigned) == sizeof(uint32_t)); /* key->max is UINT32_MAX at most */
    if (!parse_count64(key, text, total_memory, &value, error))
        return false;
    *(unsigned *)field = (unsigned)value;
    return true;
}

static bool parse_size(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                       void *field, GError **error)
{
    uint64_t value;

    if (!berth_size_parse(text, &value, NULL))
        return invalid(error, key, text, "write a size, as in 64M or 1.5g");
    if (!check_bounds(key, text, value, error))
        return false;
    *(uint64_t *)field = value;
    return true;
}

static bool parse_memory(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                         void *field, GError **error)
{
    uint64_t value;

    if (!berth_size_or_percent_parse(text, total_memory, &value, NULL))
        return invalid(error, key, text,
                       "write a size, as in 64M or 1.5g, or a percentage of this machine's memory, "
                       "as in 50%");
    if (!check_bounds(key, text, value, error))
        return false;
    *(uint64_t *)field = value;
    return true;
}

/* The text of the error is a contract: tools match on it. */
static bool parse_default_mode(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                               void *field, GError **error)
{
    BerthIpcMode mode = berth_ipc_mode_from_word(text);
    g_autofree char *quoted = NULL;

    if (berth_ipc_mode_may_be_default(mode)) {
        *(BerthIpcMode *)field = mode;
        return true;
    }
    quoted = berth_quote(text);
    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                           "default IPC mode setting (%s) is invalid; use \"shareable\" or "
                           "\"private\"",
                           quoted);
}

static bool parse_modes(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                        void *field, GError **error)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
    unsigned modes = 0;

    for (char **word = words; *word; word++) {
        BerthIpcMode mode;

        if (!**word) /* between two spaces */
            continue;
        mode = berth_ipc_mode_from_word(*word);
        if (mode == _BERTH_IPC_MODE_INVALID) {
            g_autofree char *quoted = berth_quote(*word);
            g_autofree char *hint = g_strdup_printf(
                "'%s' is none of private, shareable, none, host, container", quoted);

            return invalid(error, key, text, hint);
        }
        modes |= 1u << mode;
    }
    *(unsigned *)field = modes;
    return true;
}

static bool parse_user(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                       void *field, GError **error)
{
    size_t length = strlen(text);

    if (!strchr(LETTERS "_", text[0]) || strspn(text, LETTERS DIGITS "_-.") != length ||
        length > USER_NAME_LENGTH)
        return invalid(error, key, text,
                       "write a user name: a letter or '_', then letters, digits, '_', '-' or '.'");
    if (g_str_equal(text, "root"))
        return invalid(error, key, text, "workers must not run as root; give them their own user");
    g_free(*(char **)field);
    *(char **)field = g_strdup(text);
    return true;
}

static bool has_dot_dot(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    return g_strv_contains((const char *const *)parts, "..");
}

static bool parse_path(const BerthSettingsKey *key, const char *text, uint64_t total_memory,
                       void *field, GError **error)
{
    g_autofree char *path = NULL;

    if (!g_path_is_absolute(text))
        return invalid(error, key, text, "write an absolute path");
    if (strlen(text) >= PATH_MAX)
        return invalid(error, key, text, "the path is too long");
    if (has_dot_dot(text))
        return invalid(error, key, text, "write the path without '..'");
    while (text[1] == '/') /* GLib keeps two of them, which POSIX lets mean something else */
        text++;
    path = g_canonicalize_filename(text, "/");
    if (g_str_equal(path, "/"))
        return invalid(error, key, text, "give the store a directory of its own");
    g_free(*(char **)field);
    *(char **)field = g_steal_pointer(&path);
    return true;
}

#define KEY(group_, name_, field_, parse_, builtin_, min_, max_)                                   \
    {                                                                                              \
        .group = group_, .name = name_, .builtin = builtin_, .parse = parse_,                      \
        .offset = offsetof(BerthSettings, field_), .min = min_, .max = max_                        \
    }
#define SANDBOXES(...) KEY("Sandboxes", __VA_ARGS__)
#define TRANSFERS(...) KEY("Transfers", __VA_ARGS__)
#define STORE(...)     KEY("Store", __VA_ARGS__)

#define ALL_MODES      "private shareable none host container"

/* clang-format off */
static const BerthSettingsKey keys[_BERTH_KEY_MAX] = {
    [BERTH_KEY_DEFAULT_IPC_MODE] =
        SANDBOXES("DefaultIpcMode", default_ipc_mode, parse_default_mode, "shareable", 0, 0),
    [BERTH_KEY_DEFAULT_SHM_SIZE] =
        SANDBOXES("DefaultShmSize", default_shm_size, parse_memory, "64M", 1, INT64_MAX),
    /* one inode is the root directory's: with 1 there could be no file */
    [BERTH_KEY_DEFAULT_SHM_INODES] =
        SANDBOXES("DefaultShmInodes", default_shm_inodes, parse_count64, "16k", 2, BERTH_SHM_INODES_MAX),
    [BERTH_KEY_MAX_SHM_SIZE] =
        SANDBOXES("MaxShmSize", max_shm_size, parse_memory, "50%", 1, INT64_MAX),
    [BERTH_KEY_MAX_SANDBOXES_PER_USER] =
        SANDBOXES("MaxSandboxesPerUser", max_sandboxes_per_user, parse_count, "64", 0, UINT32_MAX),
    [BERTH_KEY_MAX_SHM_PER_USER] =
        SANDBOXES("MaxShmPerUser", max_shm_per_user, parse_memory, "50%", 0, INT64_MAX),
    [BERTH_KEY_MAX_INODES_PER_USER] =
        SANDBOXES("MaxInodesPerUser", max_inodes_per_user, parse_count64, "1M", 0, INT64_MAX),
    /* 0 would refuse every call, also the one that asks what is wrong */
    [BERTH_KEY_MAX_PENDING_CALLS_PER_USER] =
        SANDBOXES("MaxPendingCallsPerUser", max_pending_calls_per_user, parse_count, "64", 1,
                  UINT32_MAX),
    [BERTH_KEY_MAX_SANDBOXES] =
        SANDBOXES("MaxSandboxes", max_sandboxes, parse_count, "32768", 1, UINT32_MAX),
    [BERTH_KEY_ALLOWED_MODES] =
        SANDBOXES("AllowedModes", allowed_modes, parse_modes, ALL_MODES, 0, 0),

    [BERTH_KEY_MAX_TRANSFERS] =
        TRANSFERS("MaxTransfers", max_transfers, parse_count, "16", 0, UINT32_MAX),
    [BERTH_KEY_MAX_TRANSFERS_PER_USER] =
        TRANSFERS("MaxTransfersPerUser", max_transfers_per_user, parse_count, "4", 0, UINT32_MAX),
    [BERTH_KEY_MAX_DOWNLOADS_PER_TRANSFER] =
        TRANSFERS("MaxDownloadsPerTransfer", max_downloads_per_transfer, parse_count, "6", 1,
                  UINT32_MAX),
    [BERTH_KEY_MAX_UPLOADS_PER_TRANSFER] =
        TRANSFERS("MaxUploadsPerTransfer", max_uploads_per_transfer, parse_count, "6", 1,
                  UINT32_MAX),
    [BERTH_KEY_MAX_BANDWIDTH] =
        TRANSFERS("MaxBandwidth", max_bandwidth, parse_size, "0", 0, INT64_MAX),
    [BERTH_KEY_WORKER_USER] =
        TRANSFERS("WorkerUser", worker_user, parse_user, "berth", 0, 0),

    [BERTH_KEY_STORE_PATH] = STORE("Path", store_path, parse_path, "store", 0, 0),
    [BERTH_KEY_STORE_MIN_FREE] =
        STORE("MinFree", store_min_free, parse_size, "1G", 0, INT64_MAX),
};
/* clang-format on */

const BerthSettingsKey *berth_settings_key(BerthSettingsKeyId id)
{
    g_assert(id < _BERTH_KEY_MAX);
    return &keys[id];
}

int berth_settings_key_find(const char *group, const char *name)
{
    for (int id = 0; id < _BERTH_KEY_MAX; id++)
        if (g_str_equal(keys[id].group, group) && g_str_equal(keys[id].name, name))
            return id;
    return -ENOENT;
}

bool berth_settings_group_exists(const char *group)
{
    for (int id = 0; id < _BERTH_KEY_MAX; id++)
        if (g_str_equal(keys[id].group, group))
            return true;
    return false;
}
