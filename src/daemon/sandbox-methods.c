/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Sandbox interface: one object for each sandbox, served by a fallback vtable, so that a
 * sandbox costs nothing on the bus until somebody looks at it. Every function looks its sandbox up
 * by path.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/attach.h"
#include "daemon/objects.h"
#include "daemon/sandboxes.h"
#include "daemon/snapshot.h"
#include "daemon/wanted.h"
#include "ipc/publish.h"

#include <string.h>

static const BerthOption no_options[] = { { NULL } };

BerthSandbox *berth_sandbox_of_call(const BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = berth_sandboxes_by_id(call->daemon->sandboxes, call->sandbox);

    if (!sandbox)
        berth_set_error(error, BERTH_ERROR_NO_SUCH_SANDBOX,
                        "there is no sandbox %s; List shows those there are", call->sandbox);
    return sandbox;
}

/* The sandbox of @call, unless it was handed over. */
static BerthSandbox *held_sandbox(const BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = berth_sandbox_of_call(call, error);

    if (!sandbox || !berth_sandbox_check_held(sandbox, berth_sandbox_title(sandbox), error))
        return NULL;
    return sandbox;
}

void berth_fill_details(BerthDetails *details, const BerthSandbox *sandbox)
{
    if (!sandbox)
        return;
    details->sandbox = g_strdup(sandbox->name);
    details->sandbox_id = g_strdup(sandbox->id);
    details->mode = g_strdup(berth_ipc_mode_to_string(sandbox->mode));
    details->donor = g_strdup(sandbox->donor);
    details->owner = g_strdup_printf("%u", sandbox->owner);
}

void berth_authorize_sandbox(const BerthCall *call, const BerthSandbox *sandbox,
                             BerthRequest *request)
{
    const BerthAccess *access = &call->method->access;

    if (sandbox &&
        ((access->who >= BERTH_WHO_MEMBER && berth_sandbox_admits(sandbox, call->caller)) ||
         (access->who >= BERTH_WHO_OWNER && sandbox->owner == call->caller->uid)))
        return;
    berth_fill_details(berth_request_add(request, access->action), sandbox);
}

static bool authorize_own(BerthCall *call, BerthRequest *request, GError **error)
{
    berth_authorize_sandbox(call, berth_sandboxes_by_id(call->daemon->sandboxes, call->sandbox),
                            request);
    return true;
}

/* For what changes contents or limits: those of a joiner are its donor's. */
static bool authorize_contents(BerthCall *call, BerthRequest *request, GError **error)
{
    const BerthSandbox *sandbox = berth_sandboxes_by_id(call->daemon->sandboxes, call->sandbox);
    BerthDetails *details;

    if (sandbox && sandbox->contents->owner == call->caller->uid)
        return true;
    details = berth_request_add(request, call->method->access.action);
    berth_fill_details(details, sandbox);
    if (sandbox) {
        /* the joiner's would let a rule that looks at it take the caller for the donor's owner */
        g_free(details->owner);
        details->owner = g_strdup_printf("%u", sandbox->contents->owner);
    }
    return true;
}

static bool parse_no_options(BerthCall *call, GError **error)
{
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

static BerthVerdict act_join(BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = berth_sandbox_of_call(call, error);

    return sandbox ? berth_join(call, sandbox, berth_sandbox_title(sandbox), error)
                   : BERTH_CALL_FAILED;
}

static BerthVerdict act_describe(BerthCall *call, GError **error)
{
    const BerthSandbox *sandbox = berth_sandbox_of_call(call, error);
    BERTH_AUTO_MESSAGE *reply = sandbox ? berth_call_new_reply(call, error) : NULL;
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    r = sd_bus_message_open_container(reply, 'a', "{sv}");
    if (r >= 0 && !berth_describe_private(reply, call->daemon, sandbox, error))
        return BERTH_CALL_FAILED;
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

typedef struct {
    uint64_t size, inodes;
} ResizeArguments;

static const BerthOption resize_options[] = {
    { "Inodes", "t", offsetof(ResizeArguments, inodes) },
    { NULL },
};

static bool parse_resize(BerthCall *call, GError **error)
{
    ResizeArguments *arguments = call->arguments;
    int r = sd_bus_message_read(call->message, "t", &arguments->size);
    uint32_t seen;

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the size");
    if (!berth_options_read(call->message, resize_options, arguments, &seen, error) ||
        !berth_check_shm_size(call->daemon->settings, &arguments->size, error))
        return false;
    return !seen || berth_check_shm_inodes(call->daemon->settings, &arguments->inodes, error);
}

static BerthVerdict act_resize(BerthCall *call, GError **error)
{
    const ResizeArguments *arguments = call->arguments;
    BerthSandbox *sandbox = held_sandbox(call, error);

    if (!sandbox)
        return BERTH_CALL_FAILED;
    if (!sandbox->contents->info.shm_device || sandbox->contents->is_host) {
        berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                        "sandbox %s has no shm of its own to resize (mode %s)",
                        berth_sandbox_title(sandbox), berth_ipc_mode_to_string(sandbox->mode));
        return BERTH_CALL_FAILED;
    }
    if (!berth_sandboxes_resize(call->daemon->sandboxes, call->daemon->settings, sandbox,
                                arguments->size, arguments->inodes, error))
        return BERTH_CALL_FAILED;
    return berth_call_reply_empty(call, error);
}

typedef struct {
    GHashTable *sysctls;
} SysctlArguments;

static void clear_sysctls(void *data)
{
    g_clear_pointer(&((SysctlArguments *)data)->sysctls, g_hash_table_unref);
}

static bool parse_sysctls(BerthCall *call, GError **error)
{
    SysctlArguments *arguments = call->arguments;

    return berth_dictionary_read(call->message, "the argument", &arguments->sysctls, error) &&
           berth_check_sysctls(arguments->sysctls, error);
}

static BerthVerdict act_sysctls(BerthCall *call, GError **error)
{
    const SysctlArguments *arguments = call->arguments;
    BerthSandbox *sandbox = held_sandbox(call, error);
    uint64_t size;

    if (!sandbox)
        return BERTH_CALL_FAILED;
    if (sandbox->contents->is_host) {
        berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                        "sandbox %s shares the host's namespace; change its sysctls with sysctl(8)",
                        berth_sandbox_title(sandbox));
        return BERTH_CALL_FAILED;
    }
    if (sandbox->contents->copying) {
        berth_set_error(error, BERTH_ERROR_SANDBOX_BUSY,
                        "sandbox %s is being saved or restored just now; wait for it",
                        berth_sandbox_title(sandbox));
        return BERTH_CALL_FAILED;
    }
    size = sandbox->contents->info.shm_size;
    if (!size)
        size = sandbox->contents->sysv_limit;
    if (!berth_check_shmall(arguments->sysctls, size, error) ||
        !berth_sandboxes_set_sysctls(call->daemon->sandboxes, sandbox, arguments->sysctls, error))
        return BERTH_CALL_FAILED;
    return berth_call_reply_empty(call, error);
}

/* Publishing what is handed over once would hold it. */
static BerthSandbox *publishable_sandbox(const BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = held_sandbox(call, error);

    if (sandbox && berth_ipc_mode_is_handed_over(sandbox->mode)) {
        berth_set_error(error, BERTH_ERROR_NOT_SHAREABLE,
                        "sandbox %s: non-shareable IPC (hint: use mode shareable for the donor "
                        "sandbox)",
                        berth_sandbox_title(sandbox));
        return NULL;
    }
    return sandbox;
}

static BerthVerdict act_publish(BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = publishable_sandbox(call, error);
    g_autofree char *path = NULL;

    if (!sandbox || !berth_sandboxes_publish(call->daemon->sandboxes, sandbox, error))
        return BERTH_CALL_FAILED;
    path = berth_published_path(call->daemon->vault, sandbox->id);
    return berth_call_reply_value(call, 's', path, error);
}

static BerthVerdict act_unpublish(BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = publishable_sandbox(call, error);

    if (!sandbox || !berth_sandboxes_unpublish(call->daemon->sandboxes, sandbox, error))
        return BERTH_CALL_FAILED;
    return berth_call_reply_empty(call, error);
}

static BerthVerdict act_remove(BerthCall *call, GError **error)
{
    BerthSandbox *sandbox = berth_sandbox_of_call(call, error);

    if (!sandbox)
        return BERTH_CALL_FAILED;
    if (sandbox->moving) {
        (void)berth_sandbox_check_held(sandbox, berth_sandbox_title(sandbox), error);
        return BERTH_CALL_FAILED;
    }
    if (!berth_sandboxes_remove(call->daemon->sandboxes, sandbox, error))
        return BERTH_CALL_FAILED;
    return berth_call_reply_empty(call, error);
}

/* The first ones lack the size of their arguments, see berth_sandbox_register(). */
static BerthMethod methods[] = {
    BERTH_METHOD(BERTH_IF_SANDBOX, "Attach", "ha{sv}", SD_BUS_PARAM(process) SD_BUS_PARAM(options),
                 "", "", BERTH_NEEDS("join-sandbox", BERTH_WHO_MEMBER), .parse = berth_attach_parse,
                 .authorize = berth_attach_authorize, .act = berth_attach_act,
                 .clear = berth_attach_clear),
    BERTH_METHOD(
        BERTH_IF_SANDBOX, "Snapshot", "ha{sv}", SD_BUS_PARAM(archive) SD_BUS_PARAM(options), "", "",
        BERTH_NEEDS("manage-sandbox", BERTH_WHO_OWNER), .parse = berth_snapshot_parse,
        .authorize = authorize_contents, .act = berth_snapshot_act, .clear = berth_snapshot_clear),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Restore", "ha{sv}", SD_BUS_PARAM(archive) SD_BUS_PARAM(options),
                 "", "", BERTH_NEEDS("manage-sandbox", BERTH_WHO_OWNER),
                 .parse = berth_snapshot_parse, .authorize = authorize_contents,
                 .act = berth_restore_act, .clear = berth_snapshot_clear),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Join", "a{sv}", SD_BUS_PARAM(options), "a{sh}",
                 SD_BUS_PARAM(fds), BERTH_NEEDS("join-sandbox", BERTH_WHO_MEMBER),
                 .parse = parse_no_options, .authorize = authorize_own, .act = act_join),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Describe", "", "", "a{sv}", SD_BUS_PARAM(description),
                 BERTH_NEEDS("manage-sandbox", BERTH_WHO_MEMBER), .authorize = authorize_own,
                 .act = act_describe),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Resize", "ta{sv}", SD_BUS_PARAM(shm_size) SD_BUS_PARAM(options),
                 "", "", BERTH_NEEDS("manage-sandbox", BERTH_WHO_OWNER),
                 .arguments_size = sizeof(ResizeArguments), .parse = parse_resize,
                 .authorize = authorize_contents, .act = act_resize),
    BERTH_METHOD(BERTH_IF_SANDBOX, "SetSysctls", "a{ss}", SD_BUS_PARAM(sysctls), "", "",
                 BERTH_NEEDS("manage-sandbox", BERTH_WHO_OWNER),
                 .arguments_size = sizeof(SysctlArguments), .parse = parse_sysctls,
                 .authorize = authorize_contents, .act = act_sysctls, .clear = clear_sysctls),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Publish", "", "", "s", SD_BUS_PARAM(path),
                 BERTH_NEEDS("publish-sandbox", BERTH_WHO_ROOT), .authorize = authorize_own,
                 .act = act_publish),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Unpublish", "", "", "", "",
                 BERTH_NEEDS("publish-sandbox", BERTH_WHO_ROOT), .authorize = authorize_own,
                 .act = act_unpublish),
    BERTH_METHOD(BERTH_IF_SANDBOX, "Remove", "a{sv}", SD_BUS_PARAM(options), "", "",
                 BERTH_NEEDS("manage-sandbox", BERTH_WHO_OWNER), .parse = parse_no_options,
                 .authorize = authorize_own, .act = act_remove),
    { NULL },
};

static BerthSandbox *of_path(BerthDaemon *daemon, const char *path)
{
    static const char prefix[] = BERTH_SANDBOX_PATH "/";

    if (!g_str_has_prefix(path, prefix))
        return NULL;
    return berth_sandboxes_by_id(daemon->sandboxes, path + sizeof(prefix) - 1);
}

static int append_mode(sd_bus_message *reply, const BerthSandbox *sandbox)
{
    g_autofree char *mode = berth_sandbox_mode(sandbox);

    return sd_bus_message_append(reply, "s", mode);
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    const BerthSandbox *sandbox = of_path(userdata, path);

    if (!sandbox)
        return sd_bus_error_setf(ret_error, berth_error_dbus_name(BERTH_ERROR_NO_SUCH_SANDBOX),
                                 "there is no sandbox at %s", path);
    if (g_str_equal(property, "Id"))
        return sd_bus_message_append(reply, "s", sandbox->id);
    if (g_str_equal(property, "Name"))
        return sd_bus_message_append(reply, "s", sandbox->name ? sandbox->name : "");
    if (g_str_equal(property, "Mode"))
        return append_mode(reply, sandbox);
    if (g_str_equal(property, "Owner"))
        return sd_bus_message_append(reply, "u", (uint32_t)sandbox->owner);
    if (g_str_equal(property, "State"))
        return sd_bus_message_append(reply, "s", berth_sandbox_state_to_string(sandbox->state));
    if (g_str_equal(property, "CreatedUSec"))
        return sd_bus_message_append(reply, "t", sandbox->created_usec);
    g_assert(g_str_equal(property, "ShmSize"));
    return sd_bus_message_append(reply, "t", sandbox->contents->info.shm_size);
}

static const sd_bus_vtable others[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Id", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Name", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Mode", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Owner", "u", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CreatedUSec", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("ShmSize", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **found,
                sd_bus_error *ret_error)
{
    if (!of_path(userdata, path))
        return 0;
    *found = userdata; /* a sandbox can go while a call waits, the daemon cannot */
    return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***nodes,
                     sd_bus_error *ret_error)
{
    BerthDaemon *daemon = userdata;
    GHashTableIter iter;
    BerthSandbox *sandbox;
    char **paths;
    size_t n = 0;

    /* sd-bus frees it with free(), which g_malloc() is since GLib 2.46 */
    paths = g_new0(char *, berth_sandboxes_count(daemon->sandboxes) + 1);
    berth_sandboxes_iter(daemon->sandboxes, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox))
        paths[n++] = berth_sandbox_path(sandbox->id);
    *nodes = paths;
    return 1;
}

/* A call on the object of a sandbox that is gone gets the error that says so. */
static int on_missing(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
    const char *path = sd_bus_message_get_path(message);

    if (of_path(userdata, path) || !sd_bus_message_is_method_call(message, BERTH_IF_SANDBOX, NULL))
        return 0;
    return sd_bus_reply_method_errorf(message, berth_error_dbus_name(BERTH_ERROR_NO_SUCH_SANDBOX),
                                      "there is no sandbox at %s; List shows those there are",
                                      path);
}

int berth_sandbox_register(BerthDaemon *daemon)
{
    static sd_bus_vtable *vtable;
    int r;

    methods[0].arguments_size = berth_attach_arguments_size;
    methods[1].arguments_size = berth_snapshot_arguments_size;
    methods[2].arguments_size = berth_snapshot_arguments_size;
    berth_methods_register(methods);
    if (!vtable)
        vtable = berth_methods_vtable(methods, others);
    r = sd_bus_add_fallback(daemon->bus, NULL, BERTH_SANDBOX_PATH, on_missing, daemon);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(daemon->bus, NULL, BERTH_SANDBOX_PATH, BERTH_IF_SANDBOX,
                                       vtable, find, daemon);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(daemon->bus, NULL, BERTH_SANDBOX_PATH, enumerate, daemon);
    return r;
}

static void check_announced(int r)
{
    if (r < 0)
        berth_warning("cannot announce a sandbox: %s", g_strerror(-r));
}

void berth_sandbox_announce_added(const BerthSandbox *sandbox, void *userdata)
{
    BerthDaemon *daemon = userdata;
    g_autofree char *path = berth_sandbox_path(sandbox->id);

    if (!daemon->serving)
        return;
    check_announced(sd_bus_emit_interfaces_added(daemon->bus, path, BERTH_IF_SANDBOX, NULL));
}

void berth_sandbox_announce_removed(const BerthSandbox *sandbox, void *userdata)
{
    BerthDaemon *daemon = userdata;
    g_autofree char *path = berth_sandbox_path(sandbox->id);

    if (!daemon->serving)
        return;
    check_announced(sd_bus_emit_interfaces_removed(daemon->bus, path, BERTH_IF_SANDBOX, NULL));
}

void berth_sandbox_announce_changed(const BerthSandbox *sandbox, const char *property,
                                    void *userdata)
{
    BerthDaemon *daemon = userdata;
    g_autofree char *path = berth_sandbox_path(sandbox->id);

    if (!daemon->serving)
        return;
    check_announced(
        sd_bus_emit_properties_changed(daemon->bus, path, BERTH_IF_SANDBOX, property, NULL));
}
