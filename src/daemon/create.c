/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sandboxes.Create: its options, read and checked against settings and machine, and the sandbox
 * made of them. Everything that can be wrong with an argument is found before anybody is asked for
 * permission; a donor is looked up after.
 */

#include "daemon/create.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "daemon/declared.h"
#include "daemon/ids.h"
#include "daemon/objects.h"
#include "daemon/owner-namespace.h"
#include "daemon/sandboxes.h"
#include "daemon/wanted.h"
#include "ipc/pidfd.h"

#include <inttypes.h>
#include <string.h>

/* While the kernel frees namespaces in the background, as kernels before 6.9 do slowly. */
#define RETRY_USEC (50 * UINT64_C(1000))
#define RETRIES    60

typedef struct {
    BerthWanted wanted;
    char *lifetime;
    int process; /* owned: a pidfd, or -1 */

    BerthIpcMode parsed_mode;
    const char *donor; /* inside wanted.mode */
    BerthLifetime parsed_lifetime;
    pid_t pid; /* of process */
    uint64_t pid_start;

    BerthIds ids; /* users and groups, once resolved */
    bool resolved;
    int ns;          /* IPC namespace for an owner other than root, once made */
    GError *failure; /* of what was waited for */
} Arguments;

static const BerthOption options[] = {
    { "Mode", "s", offsetof(Arguments, wanted.mode) },
    { "ShmSize", "t", offsetof(Arguments, wanted.shm_size) },
    { "ShmInodes", "t", offsetof(Arguments, wanted.shm_inodes) },
    { "ShmHuge", "s", offsetof(Arguments, wanted.huge) },
    { "ShmNuma", "s", offsetof(Arguments, wanted.numa) },
    { "Sysctls", "a{ss}", offsetof(Arguments, wanted.sysctls) },
    { "Publish", "b", offsetof(Arguments, wanted.publish) },
    { "Lifetime", "s", offsetof(Arguments, lifetime) },
    { "Process", "h", offsetof(Arguments, process) },
    { "Users", "as", offsetof(Arguments, wanted.users) },
    { "Groups", "as", offsetof(Arguments, wanted.groups) },
    { "Labels", "a{ss}", offsetof(Arguments, wanted.labels) },
    { NULL },
};

const BerthOption *berth_create_options(void)
{
    return options;
}

static bool check_lifetime(Arguments *arguments, GError **error)
{
    const char *word = arguments->lifetime ? arguments->lifetime : "explicit";
    g_autofree char *quoted = berth_quote(word);

    arguments->parsed_lifetime = berth_lifetime_from_string(word);
    if ((int)arguments->parsed_lifetime < 0)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "invalid Lifetime '%s': use explicit, connection or process",
                               quoted);
    if ((arguments->parsed_lifetime == BERTH_LIFETIME_PROCESS) != (arguments->process >= 0))
        return berth_set_error(
            error, BERTH_ERROR_INVALID_OPTION,
            "Lifetime '%s' %s: give Process, a pidfd, with Lifetime 'process' "
            "only",
            quoted, arguments->process >= 0 ? "does not go with Process" : "needs Process");
    return arguments->process < 0 || berth_pidfd_check(arguments->process, error);
}

bool berth_create_parse(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    const char *name;
    int r = sd_bus_message_read(call->message, "s", &name);

    arguments->process = -1;
    arguments->ns = -1;
    berth_ids_init(&arguments->ids);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the name");
    if (*name)
        arguments->wanted.name = g_strdup(name);
    return berth_options_read(call->message, options, arguments, NULL, error) &&
           berth_wanted_check(call->daemon->settings, &arguments->wanted, &arguments->parsed_mode,
                              &arguments->donor, error) &&
           check_lifetime(arguments, error);
}

/* The donor of container:X, or NULL while there is none. */
static BerthSandbox *look_up_donor(const BerthCall *call)
{
    const Arguments *arguments = call->arguments;

    if (arguments->parsed_mode != BERTH_IPC_MODE_CONTAINER)
        return NULL;
    return berth_sandboxes_find(call->daemon->sandboxes, arguments->donor, call->caller->uid, NULL);
}

static void add_demand(const BerthCall *call, BerthRequest *request, const char *action)
{
    const Arguments *arguments = call->arguments;
    BerthDetails *details = berth_request_add(request, action);
    const BerthSandbox *donor = look_up_donor(call);

    details->sandbox = g_strdup(arguments->wanted.name);
    details->mode = g_strdup(berth_ipc_mode_to_string(arguments->parsed_mode));
    details->donor = donor ? g_strdup(donor->id) : NULL;
    details->owner = g_strdup_printf("%u", call->caller->uid);
}

bool berth_create_authorize(BerthCall *call, BerthRequest *request, GError **error)
{
    const Arguments *arguments = call->arguments;
    const BerthSandbox *donor = look_up_donor(call);

    add_demand(call, request, call->method->access.action);
    if (arguments->parsed_mode == BERTH_IPC_MODE_HOST)
        add_demand(call, request, "host-ipc");
    if (arguments->parsed_mode == BERTH_IPC_MODE_CONTAINER &&
        !(donor && berth_sandbox_admits(donor, call->caller)))
        berth_fill_details(berth_request_add(request, "join-sandbox"), donor);
    if (arguments->wanted.publish)
        add_demand(call, request, "publish-sandbox");
    return true;
}

static bool is_subset(const GArray *ids, const GArray *of, uint32_t also)
{
    for (guint i = 0; i < ids->len; i++) {
        uint32_t id = g_array_index(ids, uint32_t, i);

        if (id != also && !berth_ids_contain(of, id))
            return false;
    }
    return true;
}

/* The donor of container:X must be there, be one that can be joined, and admit whom the joiner
 * does. */
static BerthSandbox *find_donor(const BerthCall *call, GError **error)
{
    const Arguments *arguments = call->arguments;
    g_autofree char *quoted = berth_quote(arguments->donor);
    BerthSandbox *donor = look_up_donor(call);

    if (!donor)
        berth_set_error(error, BERTH_ERROR_NO_SUCH_SANDBOX,
                        "the donor sandbox '%s' does not exist; List shows those that do", quoted);
    else if (berth_ipc_mode_is_handed_over(donor->mode))
        berth_set_error(error, BERTH_ERROR_NOT_SHAREABLE,
                        "sandbox %s: non-shareable IPC (hint: use mode shareable for the donor "
                        "sandbox)",
                        quoted);
    else if (!is_subset(arguments->ids.users, donor->ids.users, donor->owner) ||
             !is_subset(arguments->ids.groups, donor->ids.groups, UINT32_MAX))
        berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                        "Users and Groups of a sandbox that joins '%s' can only be some of those "
                        "that the donor admits",
                        quoted);
    else
        return donor;
    return NULL;
}

static bool find_process(const BerthCall *call, GError **error)
{
    const BerthPlaces *places = call->daemon->vault->places;
    Arguments *arguments = call->arguments;

    if (arguments->process < 0)
        return true;
    if (!berth_pidfd_pid(places, arguments->process, &arguments->pid, error))
        return false;
    if (!berth_process_start(places, arguments->pid, &arguments->pid_start))
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "process %d has ended",
                               arguments->pid);
    return berth_pidfd_check(arguments->process, error); /* so it was that one's start */
}

/* After a wait: goes on with act, or ends with what went wrong. */
static void resume(BerthCall *call, const GError *error)
{
    if (error)
        berth_call_finish(call, BERTH_CALL_FAILED, error);
    else
        berth_call_resume(call);
}

static void on_ids(const GError *error, void *userdata)
{
    resume(userdata, error);
}

static void on_namespace(int ns, const GError *error, void *userdata)
{
    BerthCall *call = userdata;
    Arguments *arguments = call->arguments;

    arguments->ns = ns;
    if (error && g_error_matches(error, BERTH_ERROR, BERTH_ERROR_LIMITS_EXCEEDED)) {
        arguments->failure = g_error_copy(error);
        error = NULL;
    }
    resume(call, error);
}

/*
 * What takes time, one after the other: names of users, and a namespace for an owner other than
 * root. BERTH_CALL_REPLIED stands for "nothing more to wait for".
 */
static BerthVerdict prepare(BerthCall *call, GError **error)
{
    BerthDaemon *daemon = call->daemon;
    Arguments *arguments = call->arguments;
    bool pending = false;
    bool own = arguments->parsed_mode != BERTH_IPC_MODE_HOST &&
               arguments->parsed_mode != BERTH_IPC_MODE_CONTAINER;

    if (!arguments->resolved) {
        arguments->resolved = true;
        if (!berth_ids_resolve(daemon->event, call->caller->uid, arguments->wanted.users,
                               arguments->wanted.groups, &arguments->ids, &pending, on_ids, call,
                               error))
            return BERTH_CALL_FAILED;
        if (pending)
            return BERTH_CALL_WAITING;
    }
    if (own && call->caller->uid != 0 && arguments->ns < 0) {
        if (!berth_owner_namespace_start(daemon->event, daemon->vault->places, call->caller,
                                         on_namespace, call, error))
            return BERTH_CALL_FAILED;
        return BERTH_CALL_WAITING;
    }
    return BERTH_CALL_REPLIED;
}

/* Says in the end that it was the kernel, and which limit to look at. */
static BerthVerdict try_again(BerthCall *call, const GError *failure, GError **error)
{
    if (call->tries < RETRIES)
        return berth_call_retry(call, RETRY_USEC, error);
    berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED, "the kernel has no room: %s",
                    failure->message);
    return BERTH_CALL_FAILED;
}

/* A declared sandbox that could not be made, or was removed, keeps its name. */
static bool check_reserved(const BerthCall *call, GError **error)
{
    const Arguments *arguments = call->arguments;
    const char *origin = berth_declared_origin(call->daemon, arguments->wanted.name);

    if (call->caller->uid != 0 || !origin)
        return true;
    return berth_set_error(
        error, BERTH_ERROR_SANDBOX_EXISTS,
        "the name %s is declared at %s; choose another or Reload to make that one",
        arguments->wanted.name, origin);
}

BerthVerdict berth_create_act(BerthCall *call, GError **error)
{
    BerthDaemon *daemon = call->daemon;
    Arguments *arguments = call->arguments;
    g_autoptr(GError) failure = g_steal_pointer(&arguments->failure);
    BerthSandboxSpec spec = {
        .name = arguments->wanted.name,
        .owner = call->caller->uid,
        .mode = arguments->parsed_mode,
        .shm = { arguments->wanted.shm_size, arguments->wanted.shm_inodes, arguments->wanted.huge,
                 arguments->wanted.numa },
        .sysctls = arguments->wanted.sysctls,
        .labels = arguments->wanted.labels,
        .publish = arguments->wanted.publish,
        .ns = arguments->ns,
        .ids = &arguments->ids,
        .lifetime = arguments->parsed_lifetime,
        .settings = daemon->settings,
    };
    BerthSandbox *sandbox;
    BerthVerdict verdict;

    if (failure)
        return try_again(call, failure, error);
    if (call->gone) {
        berth_set_error(error, BERTH_ERROR_FAILED, "the caller left");
        return BERTH_CALL_FAILED;
    }
    if (!check_reserved(call, error) ||
        !berth_sandboxes_check_room(daemon->sandboxes, &spec, error))
        return BERTH_CALL_FAILED;
    verdict = prepare(call, error);
    if (verdict != BERTH_CALL_REPLIED)
        return verdict;
    if (spec.mode == BERTH_IPC_MODE_CONTAINER) {
        spec.donor = find_donor(call, error);
        if (!spec.donor)
            return BERTH_CALL_FAILED;
    }
    if (!find_process(call, error))
        return BERTH_CALL_FAILED;
    spec.pid = arguments->pid;
    spec.pid_start = arguments->pid_start;
    if (spec.lifetime == BERTH_LIFETIME_CONNECTION) {
        spec.peer = call->caller->name;
        spec.bus = berth_daemon_bus_id(daemon);
    }
    sandbox = berth_sandboxes_create(daemon->sandboxes, &spec, &failure);
    if (sandbox) {
        g_autofree char *path = berth_sandbox_path(sandbox->id);

        return berth_call_reply_value(call, 'o', path, error);
    }
    if (g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_LIMITS_EXCEEDED))
        return try_again(call, failure, error);
    g_propagate_error(error, g_steal_pointer(&failure));
    return BERTH_CALL_FAILED;
}

const size_t berth_create_arguments_size = sizeof(Arguments);

void berth_create_clear(void *data)
{
    Arguments *arguments = data;

    berth_wanted_clear(&arguments->wanted);
    g_free(arguments->lifetime);
    arguments->process = berth_close(arguments->process);
    arguments->ns = berth_close(arguments->ns);
    berth_ids_clear(&arguments->ids);
    g_clear_error(&arguments->failure);
}
