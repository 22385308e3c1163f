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
#include "daemon/ids.h"
#include "daemon/objects.h"
#include "daemon/owner-namespace.h"
#include "daemon/sandboxes.h"
#include "ipc/machine.h"
#include "ipc/pidfd.h"
#include "ipc/sysctls.h"

#include <inttypes.h>
#include <string.h>

#define MAX_LABELS      64
#define MAX_LABEL_BYTES 1024 /* of key and value together */

/* The kernel counts 1 KiB for each inode when it bounds nr_inodes (mm/shmem.c). */
#define MAX_INODES (UINT64_C(1) << 40)

/* While the kernel frees namespaces in the background, as kernels before 6.9 do slowly. */
#define RETRY_USEC (50 * UINT64_C(1000))
#define RETRIES    60

typedef struct {
    char *name;
    char *mode;
    uint64_t shm_size, shm_inodes;
    char *huge, *numa, *lifetime;
    GHashTable *sysctls, *labels;
    char **users, **groups;
    int process;
    bool publish;
    uint32_t seen;

    BerthIpcMode parsed_mode;
    const char *donor; /* inside mode */
    BerthLifetime parsed_lifetime;
    pid_t pid; /* of process */
    uint64_t pid_start;

    BerthIds ids; /* users and groups, once resolved */
    bool resolved;
    int ns;          /* IPC namespace for an owner other than root, once made */
    GError *failure; /* of what was waited for */
} Arguments;

enum {
    OPTION_MODE,
    OPTION_SHM_SIZE,
    OPTION_SHM_INODES,
    OPTION_SHM_HUGE,
    OPTION_SHM_NUMA,
    OPTION_SYSCTLS,
    OPTION_PUBLISH,
    OPTION_LIFETIME,
    OPTION_PROCESS,
    OPTION_USERS,
    OPTION_GROUPS,
    OPTION_LABELS,
};

static const BerthOption options[] = {
    [OPTION_MODE] = { "Mode", "s", offsetof(Arguments, mode) },
    [OPTION_SHM_SIZE] = { "ShmSize", "t", offsetof(Arguments, shm_size) },
    [OPTION_SHM_INODES] = { "ShmInodes", "t", offsetof(Arguments, shm_inodes) },
    [OPTION_SHM_HUGE] = { "ShmHuge", "s", offsetof(Arguments, huge) },
    [OPTION_SHM_NUMA] = { "ShmNuma", "s", offsetof(Arguments, numa) },
    [OPTION_SYSCTLS] = { "Sysctls", "a{ss}", offsetof(Arguments, sysctls) },
    [OPTION_PUBLISH] = { "Publish", "b", offsetof(Arguments, publish) },
    [OPTION_LIFETIME] = { "Lifetime", "s", offsetof(Arguments, lifetime) },
    [OPTION_PROCESS] = { "Process", "h", offsetof(Arguments, process) },
    [OPTION_USERS] = { "Users", "as", offsetof(Arguments, users) },
    [OPTION_GROUPS] = { "Groups", "as", offsetof(Arguments, groups) },
    [OPTION_LABELS] = { "Labels", "a{ss}", offsetof(Arguments, labels) },
    { NULL },
};

const BerthOption *berth_create_options(void)
{
    return options;
}

static bool was_given(const Arguments *arguments, unsigned option)
{
    return arguments->seen & (1u << option);
}

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
    if (*inodes <= MAX_INODES)
        return true;
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "%" PRIu64
                           " inodes are more than a tmpfs can have; use at most %" PRIu64,
                           *inodes, MAX_INODES);
}

/* Options that mean nothing with a mode are refused, so that nobody relies on them. */
static bool check_combination(const Arguments *arguments, GError **error)
{
    const char *mode = berth_ipc_mode_to_string(arguments->parsed_mode);
    bool handed_over = berth_ipc_mode_is_handed_over(arguments->parsed_mode);
    bool shared = arguments->parsed_mode == BERTH_IPC_MODE_HOST ||
                  arguments->parsed_mode == BERTH_IPC_MODE_CONTAINER;
    struct {
        unsigned option;
        bool refused;
        const char *why;
    } const rules[] = {
        { OPTION_PUBLISH, handed_over && arguments->publish, "it is handed over once" },
        { OPTION_USERS, handed_over, "it is handed over once" },
        { OPTION_GROUPS, handed_over, "it is handed over once" },
        { OPTION_SYSCTLS, shared, "its namespace is somebody else's" },
        { OPTION_SHM_HUGE, shared, "its shm is somebody else's" },
        { OPTION_SHM_NUMA, shared, "its shm is somebody else's" },
        { OPTION_SHM_HUGE, arguments->parsed_mode == BERTH_IPC_MODE_NONE, "it has no shm" },
        { OPTION_SHM_NUMA, arguments->parsed_mode == BERTH_IPC_MODE_NONE, "it has no shm" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++)
        if (was_given(arguments, rules[i].option) && rules[i].refused)
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   "option '%s' does not go with mode %s: %s",
                                   options[rules[i].option].key, mode, rules[i].why);
    return true;
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
    if ((arguments->parsed_lifetime == BERTH_LIFETIME_PROCESS) !=
        was_given(arguments, OPTION_PROCESS))
        return berth_set_error(
            error, BERTH_ERROR_INVALID_OPTION,
            "Lifetime '%s' %s: give Process, a pidfd, with Lifetime 'process' "
            "only",
            quoted, arguments->process >= 0 ? "does not go with Process" : "needs Process");
    return arguments->process < 0 || berth_pidfd_check(arguments->process, error);
}

static bool check_mode(const BerthSettings *settings, Arguments *arguments, GError **error)
{
    if (!berth_ipc_mode_parse(arguments->mode ? arguments->mode : "", &arguments->parsed_mode,
                              &arguments->donor, error))
        return false;
    if (arguments->parsed_mode == BERTH_IPC_MODE_DEFAULT)
        arguments->parsed_mode = settings->default_ipc_mode;
    if (settings->allowed_modes & (1u << arguments->parsed_mode))
        return true;
    return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                           "mode %s is not allowed on this machine (AllowedModes=)",
                           berth_ipc_mode_to_string(arguments->parsed_mode));
}

bool berth_create_parse(BerthCall *call, GError **error)
{
    const BerthSettings *settings = call->daemon->settings;
    Arguments *arguments = call->arguments;
    const char *name;
    int r = sd_bus_message_read(call->message, "s", &name);

    arguments->process = -1;
    arguments->ns = -1;
    berth_ids_init(&arguments->ids);
    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the name");
    if (*name) {
        if (!berth_name_check(name, error))
            return false;
        arguments->name = g_strdup(name);
    }
    return berth_options_read(call->message, options, arguments, &arguments->seen, error) &&
           check_mode(settings, arguments, error) && check_combination(arguments, error) &&
           check_lifetime(arguments, error) && berth_ids_check(arguments->users, "Users", error) &&
           berth_ids_check(arguments->groups, "Groups", error) &&
           berth_check_shm_size(settings, &arguments->shm_size, error) &&
           berth_check_shm_inodes(settings, &arguments->shm_inodes, error) &&
           (!arguments->huge || berth_machine_check_huge(arguments->huge, error)) &&
           (!arguments->numa || berth_machine_check_mempolicy(arguments->numa, error)) &&
           berth_check_sysctls(arguments->sysctls, error) &&
           berth_check_shmall(arguments->sysctls, arguments->shm_size, error) &&
           check_labels(arguments->labels, error);
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

    details->sandbox = g_strdup(arguments->name);
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
    if (arguments->publish)
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
        if (!berth_ids_resolve(daemon->event, arguments->users, arguments->groups, &arguments->ids,
                               &pending, on_ids, call, error))
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

static BerthVerdict reply_sandbox(BerthCall *call, const BerthSandbox *sandbox, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);
    g_autofree char *path = berth_sandbox_path(sandbox->id);

    if (!reply)
        return BERTH_CALL_FAILED;
    if (sd_bus_message_append(reply, "o", path) < 0) {
        berth_set_error(error, BERTH_ERROR_FAILED, "cannot make a reply");
        return BERTH_CALL_FAILED;
    }
    return berth_call_reply(call, reply, error);
}

BerthVerdict berth_create_act(BerthCall *call, GError **error)
{
    BerthDaemon *daemon = call->daemon;
    Arguments *arguments = call->arguments;
    g_autoptr(GError) failure = g_steal_pointer(&arguments->failure);
    BerthSandboxSpec spec = {
        .name = arguments->name,
        .owner = call->caller->uid,
        .mode = arguments->parsed_mode,
        .shm = { arguments->shm_size, arguments->shm_inodes, arguments->huge, arguments->numa },
        .sysctls = arguments->sysctls,
        .labels = arguments->labels,
        .publish = arguments->publish,
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
    if (!berth_sandboxes_check_room(daemon->sandboxes, &spec, error))
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
    if (sandbox)
        return reply_sandbox(call, sandbox, error);
    if (g_error_matches(failure, BERTH_ERROR, BERTH_ERROR_LIMITS_EXCEEDED))
        return try_again(call, failure, error);
    g_propagate_error(error, g_steal_pointer(&failure));
    return BERTH_CALL_FAILED;
}

const size_t berth_create_arguments_size = sizeof(Arguments);

void berth_create_clear(void *data)
{
    Arguments *arguments = data;

    g_free(arguments->name);
    g_free(arguments->mode);
    g_free(arguments->huge);
    g_free(arguments->numa);
    g_free(arguments->lifetime);
    g_clear_pointer(&arguments->sysctls, g_hash_table_unref);
    g_clear_pointer(&arguments->labels, g_hash_table_unref);
    g_strfreev(arguments->users);
    g_strfreev(arguments->groups);
    arguments->process = berth_close(arguments->process);
    arguments->ns = berth_close(arguments->ns);
    berth_ids_clear(&arguments->ids);
    g_clear_error(&arguments->failure);
}
