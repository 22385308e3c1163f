/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sandbox looks like on the bus: the entries that everybody may see, in List and as
 * properties, and those of Describe, which are measured when asked for. Reads only.
 */

#include "base/error.h"
#include "daemon/objects.h"
#include "daemon/sandboxes.h"
#include "ipc/publish.h"

#include <inttypes.h>
#include <sys/sysmacros.h>

int berth_describe_public(sd_bus_message *reply, const BerthSandbox *sandbox)
{
    g_autofree char *path = berth_sandbox_path(sandbox->id);
    g_autofree char *mode = berth_sandbox_mode(sandbox);

    return sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Id", "s", sandbox->id,
                                 "Name", "s", sandbox->name ? sandbox->name : "", "Mode", "s", mode,
                                 "Owner", "u", (uint32_t)sandbox->owner, "State", "s",
                                 berth_sandbox_state_to_string(sandbox->state), "CreatedUSec", "t",
                                 sandbox->created_usec, "ShmSize", "t",
                                 sandbox->contents->info.shm_size, "Path", "o", path);
}

/* Appends one entry whose value is `a{ss}`; @table may be NULL. */
static int append_table(sd_bus_message *reply, const char *key, GHashTable *table)
{
    GHashTableIter iter;
    gpointer name, value;
    int r = sd_bus_message_open_container(reply, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(reply, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'v', "a{ss}");
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "{ss}");
    if (r >= 0 && table) {
        g_hash_table_iter_init(&iter, table);
        while (r >= 0 && g_hash_table_iter_next(&iter, &name, &value))
            r = sd_bus_message_append(reply, "{ss}", name, value);
    }
    for (int depth = 0; r >= 0 && depth < 3; depth++)
        r = sd_bus_message_close_container(reply);
    return r;
}

/* Appends one entry whose value is `au`; @ids may be NULL. */
static int append_ids(sd_bus_message *reply, const char *key, const GArray *ids)
{
    int r = sd_bus_message_open_container(reply, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(reply, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'v', "au");
    if (r >= 0)
        r = sd_bus_message_append_array(reply, 'u', ids ? ids->data : NULL,
                                        ids ? ids->len * sizeof(uint32_t) : 0);
    for (int depth = 0; r >= 0 && depth < 2; depth++)
        r = sd_bus_message_close_container(reply);
    return r;
}

static int append_stored(sd_bus_message *reply, const BerthDaemon *daemon,
                         const BerthSandbox *sandbox)
{
    const BerthSlotInfo *info = &sandbox->contents->info;
    g_autofree char *published =
        sandbox->published ? berth_published_path(daemon->vault, sandbox->id) : g_strdup("");
    int r = 0;

    if (*sandbox->donor) {
        g_autofree char *donor = berth_sandbox_path(sandbox->donor);

        r = sd_bus_message_append(reply, "{sv}", "Donor", "o", donor);
    }
    if (r >= 0)
        r = append_ids(reply, "Users", sandbox->ids.users);
    if (r >= 0)
        r = append_ids(reply, "Groups", sandbox->ids.groups);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "Lifetime", "s",
                                  berth_lifetime_to_string(sandbox->lifetime), "NamespaceId", "t",
                                  info->namespace_id, "PublishedPath", "s", published);
    if (r >= 0 && info->shm_device) {
        g_autofree char *device =
            g_strdup_printf("%u:%u", major(info->shm_device), minor(info->shm_device));

        r = sd_bus_message_append(reply, "{sv}{sv}", "ShmDevice", "s", device, "ShmInodes", "t",
                                  info->shm_inodes);
    }
    return r >= 0 ? append_table(reply, "Labels", sandbox->labels) : r;
}

static int append_usage(sd_bus_message *reply, const BerthSandbox *sandbox,
                        const BerthShmUsage *shm, const BerthIpcUsage *ipc)
{
    int r = 0;

    if (sandbox->contents->info.shm_device)
        r = sd_bus_message_append(reply, "{sv}{sv}", "ShmUsed", "t", shm->used, "ShmInodesUsed",
                                  "t", shm->inodes_used);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "SysvShmUsed", "t", ipc->shm_used,
                                  "SysvMessages", "t", ipc->messages, "Semaphores", "t",
                                  ipc->semaphores, "MessageQueues", "u", ipc->queues);
    return r;
}

/* What only the kernel knows, while the service holds the sandbox. */
static bool append_measured(sd_bus_message *reply, const BerthDaemon *daemon,
                            const BerthSandbox *sandbox, int *r, GError **error)
{
    g_autoptr(GHashTable) sysctls = NULL;
    BerthShmUsage shm;
    BerthIpcUsage ipc;

    if (!berth_slot_usage(daemon->vault, sandbox->id, &shm, &ipc, error))
        return false;
    sysctls = berth_slot_get_sysctls(daemon->vault, sandbox->id, error);
    if (!sysctls)
        return false;
    *r = append_usage(reply, sandbox, &shm, &ipc);
    if (*r >= 0)
        *r = append_table(reply, "Sysctls", sysctls);
    return true;
}

bool berth_describe_private(sd_bus_message *reply, const BerthDaemon *daemon,
                            const BerthSandbox *sandbox, GError **error)
{
    int r = append_stored(reply, daemon, sandbox);

    if (r >= 0 && sandbox->state == BERTH_SANDBOX_READY &&
        !append_measured(reply, daemon, sandbox, &r, error))
        return false;
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a reply");
    return true;
}
