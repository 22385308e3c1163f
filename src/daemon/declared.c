/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandboxes that the administrator declares: made before the service reports ready, and looked at
 * again at each reload. They are root's and explicit like any other; what makes them special is
 * that a reload never takes one away from the units that use it: what can change in use is changed,
 * the rest is reported. One that cannot be made does not keep the others, or the service, from
 * starting.
 */

#include "daemon/declared.h"

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "daemon/ids.h"
#include "daemon/sandboxes.h"
#include "daemon/wanted.h"
#include "settings/declared.h"

/* A walk over the declared sandboxes: looking up their users can take time. */
typedef struct {
    BerthDaemon *daemon;
    GPtrArray *declared; /* owned reference: a reload may replace the daemon's */
    guint next;
    BerthIds ids; /* of the one at hand */
    BerthDeclaredDone done;
    void *userdata;
} Walk;

static void proceed(Walk *walk);

bool berth_declared_check(const BerthSettings *settings, GPtrArray *declared, GError **error)
{
    for (guint i = 0; i < declared->len; i++) {
        BerthDeclared *one = declared->pdata[i];
        g_autoptr(GError) failure = NULL;
        BerthIpcMode mode;
        const char *donor;

        if (!berth_wanted_check(settings, &one->wanted, &mode, &donor, &failure))
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s: sandbox %s: %s",
                                   one->origin, one->wanted.name, failure->message);
    }
    return true;
}

const char *berth_declared_origin(const BerthDaemon *daemon, const char *name)
{
    for (guint i = 0; daemon->declared && name && i < daemon->declared->len; i++) {
        const BerthDeclared *one = daemon->declared->pdata[i];

        if (g_str_equal(one->wanted.name, name))
            return one->origin;
    }
    return NULL;
}

static void report(const BerthDeclared *one, const char *what)
{
    g_autofree char *field = g_strconcat("SANDBOX_NAME=", one->wanted.name, NULL);

    berth_log_event(LOG_WARNING, BERTH_MESSAGE_DECLARED, ((const char *const[]){ field, NULL }),
                    "%s: declared sandbox %s: %s", one->origin, one->wanted.name, what);
}

void berth_declared_report_dropped(const BerthDaemon *daemon, const GPtrArray *before)
{
    for (guint i = 0; i < before->len; i++) {
        const BerthDeclared *one = before->pdata[i];

        g_autofree char *ref = g_strconcat("0/", one->wanted.name, NULL);

        if (!berth_declared_origin(daemon, one->wanted.name) &&
            berth_sandboxes_find(daemon->sandboxes, ref, 0, NULL))
            report(one, "it is not declared any more; it stays until it is removed");
    }
}

static bool same_ids(const GArray *a, const GArray *b)
{
    guint n = a ? a->len : 0;

    if (n != (b ? b->len : 0))
        return false;
    for (guint i = 0; i < n; i++)
        if (!berth_ids_contain(b, g_array_index(a, uint32_t, i)))
            return false;
    return true;
}

static bool same_labels(GHashTable *a, GHashTable *b)
{
    GHashTableIter iter;
    gpointer key, value;

    if ((a ? g_hash_table_size(a) : 0) != (b ? g_hash_table_size(b) : 0))
        return false;
    if (!a)
        return true;
    g_hash_table_iter_init(&iter, a);
    while (g_hash_table_iter_next(&iter, &key, &value))
        if (g_strcmp0(b ? g_hash_table_lookup(b, key) : NULL, value) != 0)
            return false;
    return true;
}

/* What cannot change while a sandbox is in use. */
static void report_fixed(const BerthDaemon *daemon, const BerthDeclared *one,
                         const BerthSandbox *sandbox, BerthIpcMode mode, const char *donor)
{
    const BerthSandbox *base =
        donor ? berth_sandboxes_find(daemon->sandboxes, donor, 0, NULL) : NULL;

    if (sandbox->mode != mode || (base && !g_str_equal(base->id, sandbox->donor)))
        report(one, "its mode changed; remove it and reload when the units that use it can be "
                    "restarted");
    else if (g_strcmp0(sandbox->huge, one->wanted.huge) != 0 ||
             g_strcmp0(sandbox->numa, one->wanted.numa) != 0)
        report(one, "ShmHuge= or ShmNuma= changed; remove it and reload when the units that use it "
                    "can be restarted");
}

/* Brings a sandbox that is there to what is declared. */
static bool adapt(BerthDaemon *daemon, BerthDeclared *one, const BerthIds *ids,
                  BerthSandbox *sandbox, BerthIpcMode mode, const char *donor, GError **error)
{
    const BerthSlotInfo *info = &sandbox->contents->info;
    BerthWanted *wanted = &one->wanted;

    report_fixed(daemon, one, sandbox, mode, donor);
    if (sandbox->mode != mode)
        return true;
    if (!*sandbox->donor && !sandbox->contents->is_host && info->shm_device &&
        (info->shm_size != wanted->shm_size || info->shm_inodes != wanted->shm_inodes) &&
        !berth_sandboxes_resize(daemon->sandboxes, daemon->settings, sandbox, wanted->shm_size,
                                wanted->shm_inodes, error))
        return false;
    if (wanted->sysctls &&
        !berth_sandboxes_set_sysctls(daemon->sandboxes, sandbox, wanted->sysctls, error))
        return false;
    if ((!same_ids(sandbox->ids.users, ids->users) ||
         !same_ids(sandbox->ids.groups, ids->groups)) &&
        !berth_sandboxes_set_ids(daemon->sandboxes, sandbox, ids, error))
        return false;
    if (!same_labels(sandbox->labels, wanted->labels) &&
        !berth_sandboxes_set_labels(daemon->sandboxes, sandbox, wanted->labels, error))
        return false;
    if (sandbox->published == wanted->publish)
        return true;
    return wanted->publish ? berth_sandboxes_publish(daemon->sandboxes, sandbox, error)
                           : berth_sandboxes_unpublish(daemon->sandboxes, sandbox, error);
}

static bool make(BerthDaemon *daemon, const BerthDeclared *one, const BerthIds *ids,
                 BerthIpcMode mode, const char *donor, GError **error)
{
    const BerthWanted *wanted = &one->wanted;
    BerthSandboxSpec spec = {
        .name = wanted->name,
        .mode = mode,
        .shm = { wanted->shm_size, wanted->shm_inodes, wanted->huge, wanted->numa },
        .sysctls = wanted->sysctls,
        .labels = wanted->labels,
        .publish = wanted->publish,
        .ns = -1,
        .ids = ids,
        .settings = daemon->settings,
    };

    if (donor) {
        spec.donor = berth_sandboxes_find(daemon->sandboxes, donor, 0, error);
        if (!spec.donor)
            return false;
        if (berth_ipc_mode_is_handed_over(spec.donor->mode))
            return berth_set_error(error, BERTH_ERROR_NOT_SHAREABLE,
                                   "sandbox %s: non-shareable IPC (hint: use mode shareable for "
                                   "the donor sandbox)",
                                   donor);
    }
    return berth_sandboxes_create(daemon->sandboxes, &spec, error);
}

static void settle(Walk *walk, BerthDeclared *one)
{
    BerthDaemon *daemon = walk->daemon;
    g_autofree char *ref = g_strconcat("0/", one->wanted.name, NULL);
    BerthSandbox *sandbox = berth_sandboxes_find(daemon->sandboxes, ref, 0, NULL);
    g_autoptr(GError) error = NULL;
    BerthIpcMode mode;
    const char *donor;
    bool ok = berth_wanted_check(daemon->settings, &one->wanted, &mode, &donor, &error);

    if (ok && sandbox)
        ok = adapt(daemon, one, &walk->ids, sandbox, mode, donor, &error);
    else if (ok)
        ok = make(daemon, one, &walk->ids, mode, donor, &error);
    if (!ok)
        report(one, error->message);
}

static void on_ids(const GError *error, void *userdata)
{
    Walk *walk = userdata;
    BerthDeclared *one = walk->declared->pdata[walk->next++];

    if (error)
        report(one, error->message);
    else
        settle(walk, one);
    berth_ids_clear(&walk->ids);
    proceed(walk);
}

static void proceed(Walk *walk)
{
    while (walk->next < walk->declared->len) {
        BerthDeclared *one = walk->declared->pdata[walk->next];
        g_autoptr(GError) error = NULL;
        bool pending;

        berth_ids_init(&walk->ids);
        if (!berth_ids_resolve(walk->daemon->event, 0, one->wanted.users, one->wanted.groups,
                               &walk->ids, &pending, on_ids, walk, &error))
            report(one, error->message);
        else if (pending)
            return;
        else
            settle(walk, one);
        berth_ids_clear(&walk->ids);
        walk->next++;
    }
    walk->done(walk->userdata);
    g_ptr_array_unref(walk->declared);
    g_free(walk);
}

void berth_declared_apply(BerthDaemon *daemon, BerthDeclaredDone done, void *userdata)
{
    Walk *walk = g_new0(Walk, 1);

    walk->daemon = daemon;
    walk->declared = g_ptr_array_ref(daemon->declared);
    walk->done = done;
    walk->userdata = userdata;
    proceed(walk);
}
