/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a sandbox: what a restarted service must know and cannot ask the kernel. A key
 * file, so that a newer version can add keys and an older record can lack them; limits that the
 * kernel holds (size, inodes, sysctls) are not in it while the service holds the sandbox.
 */

#include "base/error.h"
#include "daemon/sandbox.h"

#include <inttypes.h>
#include <string.h>

#define GROUP "Sandbox"

static void set_string(GKeyFile *file, const char *key, const char *value)
{
    if (value && *value)
        g_key_file_set_string(file, GROUP, key, value);
}

/* Labels as a list of key, value, key, value: both are free text. */
static void set_labels(GKeyFile *file, GHashTable *labels)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    GHashTableIter iter;
    gpointer key, value;

    if (!labels)
        return;
    g_hash_table_iter_init(&iter, labels);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_ptr_array_add(list, key);
        g_ptr_array_add(list, value);
    }
    g_key_file_set_string_list(file, GROUP, "Labels", (const char *const *)list->pdata, list->len);
}

static void set_ids(GKeyFile *file, const char *key, const GArray *ids)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; ids && i < ids->len; i++)
        g_string_append_printf(text, "%s%u", i ? " " : "", g_array_index(ids, uint32_t, i));
    set_string(file, key, text->str);
}

static void set_lifetime(GKeyFile *file, const BerthSandbox *sandbox)
{
    if (sandbox->lifetime == BERTH_LIFETIME_EXPLICIT)
        return;
    set_string(file, "Lifetime", berth_lifetime_to_string(sandbox->lifetime));
    set_string(file, "Peer", sandbox->peer);
    set_string(file, "Bus", sandbox->bus);
    g_key_file_set_uint64(file, GROUP, "Pid", (guint64)sandbox->pid);
    g_key_file_set_uint64(file, GROUP, "PidStart", sandbox->pid_start);
}

char *berth_sandbox_to_record(const BerthSandbox *sandbox)
{
    const BerthContents *contents = sandbox->contents;
    g_autoptr(GKeyFile) file = g_key_file_new();

    set_string(file, "Mode", berth_ipc_mode_to_string(sandbox->mode));
    set_string(file, "Name", sandbox->name);
    g_key_file_set_uint64(file, GROUP, "Owner", sandbox->owner);
    g_key_file_set_uint64(file, GROUP, "CreatedUSec", sandbox->created_usec);
    set_string(file, "State", berth_sandbox_state_to_string(sandbox->state));
    set_string(file, "Donor", sandbox->donor);
    set_string(file, "Base", contents->base);
    g_key_file_set_uint64(file, GROUP, "BaseOwner", contents->owner);
    g_key_file_set_uint64(file, GROUP, "SysvLimit", contents->sysv_limit);
    g_key_file_set_boolean(file, GROUP, "ShmallSet", contents->shmall_set);
    if (contents->resizing)
        g_key_file_set_boolean(file, GROUP, "Resizing", TRUE);
    g_key_file_set_boolean(file, GROUP, "Published", sandbox->published);
    set_string(file, "ShmHuge", sandbox->huge);
    set_string(file, "ShmNuma", sandbox->numa);
    set_labels(file, sandbox->labels);
    set_ids(file, "Users", sandbox->ids.users);
    set_ids(file, "Groups", sandbox->ids.groups);
    set_lifetime(file, sandbox);
    if (contents->wd >= 0)
        g_key_file_set_integer(file, GROUP, "Watch", contents->wd);
    if (sandbox->state != BERTH_SANDBOX_READY) {
        g_key_file_set_uint64(file, GROUP, "NamespaceId", contents->info.namespace_id);
        g_key_file_set_uint64(file, GROUP, "ShmDevice", contents->info.shm_device);
        g_key_file_set_uint64(file, GROUP, "ShmSize", contents->info.shm_size);
        g_key_file_set_uint64(file, GROUP, "ShmInodes", contents->info.shm_inodes);
    }
    return g_key_file_to_data(file, NULL, NULL);
}

static bool get_id(GKeyFile *file, const char *key, char id[BERTH_ID_LENGTH + 1])
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, key, NULL);

    if (!text)
        return true;
    if (!berth_id_is_valid(text))
        return false;
    memcpy(id, text, BERTH_ID_LENGTH + 1);
    return true;
}

static GHashTable *get_labels(GKeyFile *file)
{
    gsize length = 0;
    g_auto(GStrv) list = g_key_file_get_string_list(file, GROUP, "Labels", &length, NULL);
    GHashTable *labels = NULL;

    for (gsize i = 0; i + 1 < length; i += 2) {
        if (!labels)
            labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(labels, g_strdup(list[i]), g_strdup(list[i + 1]));
    }
    return labels;
}

static bool get_enums(GKeyFile *file, BerthSandbox *sandbox)
{
    g_autofree char *mode = g_key_file_get_string(file, GROUP, "Mode", NULL);
    g_autofree char *state = g_key_file_get_string(file, GROUP, "State", NULL);
    g_autofree char *lifetime = g_key_file_get_string(file, GROUP, "Lifetime", NULL);

    sandbox->mode = mode ? berth_ipc_mode_from_word(mode) : BERTH_IPC_MODE_SHAREABLE;
    sandbox->state = state ? berth_sandbox_state_from_string(state) : BERTH_SANDBOX_READY;
    sandbox->lifetime = lifetime ? berth_lifetime_from_string(lifetime) : BERTH_LIFETIME_EXPLICIT;
    return (int)sandbox->mode >= 0 && (int)sandbox->state >= 0 && (int)sandbox->lifetime >= 0;
}

static GArray *get_ids(GKeyFile *file, const char *key)
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, key, NULL);
    g_auto(GStrv) words = text ? g_strsplit(text, " ", -1) : NULL;
    GArray *ids = NULL;

    for (char **word = words; word && *word; word++) {
        guint64 value;
        uint32_t id;

        if (!g_ascii_string_to_unsigned(*word, 10, 0, UINT32_MAX - 1, &value, NULL))
            continue;
        id = (uint32_t)value;
        if (!ids)
            ids = g_array_new(FALSE, FALSE, sizeof(id));
        g_array_append_val(ids, id);
    }
    return ids;
}

static void get_info(GKeyFile *file, BerthSlotInfo *info)
{
    info->namespace_id = g_key_file_get_uint64(file, GROUP, "NamespaceId", NULL);
    info->shm_device = g_key_file_get_uint64(file, GROUP, "ShmDevice", NULL);
    info->shm_size = g_key_file_get_uint64(file, GROUP, "ShmSize", NULL);
    info->shm_inodes = g_key_file_get_uint64(file, GROUP, "ShmInodes", NULL);
}

BerthSandbox *berth_sandbox_from_record(const char *id, const char *record, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(BerthSandbox) sandbox = berth_sandbox_new();
    BerthContents *contents = sandbox->contents;

    memcpy(sandbox->id, id, BERTH_ID_LENGTH + 1);
    memcpy(contents->base, id, BERTH_ID_LENGTH + 1);
    if (!g_key_file_load_from_data(file, record, strlen(record), G_KEY_FILE_NONE, NULL) ||
        !get_enums(file, sandbox) || !get_id(file, "Donor", sandbox->donor) ||
        !get_id(file, "Base", contents->base)) {
        berth_set_error(error, BERTH_ERROR_FAILED, "the record of sandbox %s is damaged", id);
        return NULL;
    }
    sandbox->name = g_key_file_get_string(file, GROUP, "Name", NULL);
    if (sandbox->name && !berth_name_check(sandbox->name, error))
        return NULL;
    sandbox->owner = (uid_t)g_key_file_get_uint64(file, GROUP, "Owner", NULL);
    sandbox->created_usec = g_key_file_get_uint64(file, GROUP, "CreatedUSec", NULL);
    sandbox->published = g_key_file_get_boolean(file, GROUP, "Published", NULL);
    sandbox->huge = g_key_file_get_string(file, GROUP, "ShmHuge", NULL);
    sandbox->numa = g_key_file_get_string(file, GROUP, "ShmNuma", NULL);
    sandbox->labels = get_labels(file);
    contents->owner = (uid_t)g_key_file_get_uint64(file, GROUP, "BaseOwner", NULL);
    contents->sysv_limit = g_key_file_get_uint64(file, GROUP, "SysvLimit", NULL);
    contents->shmall_set = g_key_file_get_boolean(file, GROUP, "ShmallSet", NULL);
    contents->resizing = g_key_file_get_boolean(file, GROUP, "Resizing", NULL);
    sandbox->ids.users = get_ids(file, "Users");
    sandbox->ids.groups = get_ids(file, "Groups");
    sandbox->peer = g_key_file_get_string(file, GROUP, "Peer", NULL);
    sandbox->bus = g_key_file_get_string(file, GROUP, "Bus", NULL);
    sandbox->pid = (pid_t)g_key_file_get_uint64(file, GROUP, "Pid", NULL);
    sandbox->pid_start = g_key_file_get_uint64(file, GROUP, "PidStart", NULL);
    if (g_key_file_has_key(file, GROUP, "Watch", NULL))
        contents->wd = g_key_file_get_integer(file, GROUP, "Watch", NULL);
    if (sandbox->state != BERTH_SANDBOX_READY)
        get_info(file, &contents->info);
    return g_steal_pointer(&sandbox);
}
