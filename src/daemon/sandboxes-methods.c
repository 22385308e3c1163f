/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Sandboxes interface of the root object: Create (see create.c), Join, Get and List.
 */

#include "base/error.h"
#include "base/fd.h"
#include "daemon/create.h"
#include "daemon/objects.h"
#include "daemon/sandboxes.h"

#include <string.h>

#define LIST_SLICE 64 /* rows made before other callers get their turn */

/* Bytes of a reply that what Describe gives may take; a message bus takes 32 MiB in all. */
#define LIST_DETAILS_MAX (16u << 20)

static const BerthOption no_options[] = { { NULL } };

/* Join and Get: a sandbox as the caller names it. */
typedef struct {
    char *sandbox;
} NameArguments;

static void clear_name(void *data)
{
    g_free(((NameArguments *)data)->sandbox);
}

static bool parse_get(BerthCall *call, GError **error)
{
    NameArguments *arguments = call->arguments;
    BerthSandboxRef ref;
    const char *text;
    int r = sd_bus_message_read(call->message, "s", &text);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r,
                                     "cannot read the sandbox");
    arguments->sandbox = g_strdup(text);
    return berth_sandbox_ref_parse(text, &ref, error);
}

static bool parse_join(BerthCall *call, GError **error)
{
    return parse_get(call, error) &&
           berth_options_read(call->message, no_options, NULL, NULL, error);
}

static bool authorize_join(BerthCall *call, BerthRequest *request, GError **error)
{
    const NameArguments *arguments = call->arguments;

    berth_authorize_sandbox(
        call,
        berth_sandboxes_find(call->daemon->sandboxes, arguments->sandbox, call->caller->uid, NULL),
        request);
    return true;
}

static BerthVerdict act_join(BerthCall *call, GError **error)
{
    const NameArguments *arguments = call->arguments;
    BerthSandbox *sandbox =
        berth_sandboxes_find(call->daemon->sandboxes, arguments->sandbox, call->caller->uid, error);

    return sandbox ? berth_join(call, sandbox, arguments->sandbox, error) : BERTH_CALL_FAILED;
}

static BerthVerdict act_get(BerthCall *call, GError **error)
{
    const NameArguments *arguments = call->arguments;
    const BerthSandbox *sandbox =
        berth_sandboxes_find(call->daemon->sandboxes, arguments->sandbox, call->caller->uid, error);
    g_autofree char *path = sandbox ? berth_sandbox_path(sandbox->id) : NULL;

    return path ? berth_call_reply_value(call, 'o', path, error) : BERTH_CALL_FAILED;
}

typedef struct {
    char *name, *mode;
    uint32_t owner;
    GHashTable *labels;
    uint32_t seen;
    GPtrArray *ids; /* of all sandboxes when the list began */
    guint next;
    size_t details; /* bytes, about, that Describe's part of the rows so far takes */
    sd_bus_message *reply;
} ListArguments;

enum {
    FILTER_NAME,
    FILTER_OWNER,
    FILTER_MODE,
    FILTER_LABELS,
};

static const BerthOption filter_options[] = {
    [FILTER_NAME] = { "Name", "s", offsetof(ListArguments, name) },
    [FILTER_OWNER] = { "Owner", "u", offsetof(ListArguments, owner) },
    [FILTER_MODE] = { "Mode", "s", offsetof(ListArguments, mode) },
    [FILTER_LABELS] = { "Labels", "a{ss}", offsetof(ListArguments, labels) },
    { NULL },
};

static void clear_list(void *data)
{
    ListArguments *arguments = data;

    g_free(arguments->name);
    g_free(arguments->mode);
    g_clear_pointer(&arguments->labels, g_hash_table_unref);
    g_clear_pointer(&arguments->ids, g_ptr_array_unref);
    sd_bus_message_unref(arguments->reply);
}

static bool parse_list(BerthCall *call, GError **error)
{
    ListArguments *arguments = call->arguments;

    if (!berth_options_read(call->message, filter_options, arguments, &arguments->seen, error))
        return false;
    /* a word alone, container too, or the mode as a row has it */
    if (arguments->mode && (int)berth_ipc_mode_from_word(arguments->mode) < 0) {
        BerthIpcMode mode;
        const char *donor;

        return berth_ipc_mode_parse(arguments->mode, &mode, &donor, error);
    }
    return true;
}

/* Who may see what Describe gives, in a list. */
static bool sees_all(const BerthCall *call, const BerthSandbox *sandbox)
{
    return call->caller->uid == 0 || call->caller->uid == sandbox->owner;
}

static bool matches_labels(const BerthSandbox *sandbox, GHashTable *wanted)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, wanted);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *has = sandbox->labels ? g_hash_table_lookup(sandbox->labels, key) : NULL;

        if (!has || !g_str_equal(has, value))
            return false;
    }
    return true;
}

static bool matches_mode(const BerthSandbox *sandbox, const char *wanted)
{
    g_autofree char *mode = berth_sandbox_mode(sandbox);

    return g_str_equal(mode, wanted) ||
           g_str_equal(berth_ipc_mode_to_string(sandbox->mode), wanted);
}

static bool matches(const BerthCall *call, const BerthSandbox *sandbox)
{
    const ListArguments *arguments = call->arguments;

    if (arguments->name && g_strcmp0(sandbox->name, arguments->name) != 0)
        return false;
    if ((arguments->seen & (1u << FILTER_OWNER)) && sandbox->owner != arguments->owner)
        return false;
    if (arguments->mode && !matches_mode(sandbox, arguments->mode))
        return false;
    /* labels are not everybody's business, and so is not whether they match */
    return !arguments->labels ||
           (sees_all(call, sandbox) && matches_labels(sandbox, arguments->labels));
}

/* Whether what Describe gives still fits; a list too long for it goes on without. */
static bool fits(ListArguments *arguments, const BerthSandbox *sandbox)
{
    size_t bytes = 2048; /* with sysctls and usage */
    GHashTableIter iter;
    gpointer key, value;

    if (sandbox->labels) {
        g_hash_table_iter_init(&iter, sandbox->labels);
        while (g_hash_table_iter_next(&iter, &key, &value))
            bytes += strlen(key) + strlen(value) + 16;
    }
    arguments->details += bytes;
    return arguments->details <= LIST_DETAILS_MAX;
}

static bool append_row(BerthCall *call, const BerthSandbox *sandbox, GError **error)
{
    ListArguments *arguments = call->arguments;
    int r = sd_bus_message_open_container(arguments->reply, 'a', "{sv}");

    if (r >= 0)
        r = berth_describe_public(arguments->reply, sandbox);
    if (r >= 0 && sees_all(call, sandbox) && fits(arguments, sandbox) &&
        !berth_describe_private(arguments->reply, call->daemon, sandbox, error))
        return false;
    if (r >= 0)
        r = sd_bus_message_close_container(arguments->reply);
    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make a reply");
}

static bool begin_list(BerthCall *call, GError **error)
{
    ListArguments *arguments = call->arguments;
    GHashTableIter iter;
    BerthSandbox *sandbox;

    arguments->reply = berth_call_new_reply(call, error);
    if (!arguments->reply)
        return false;
    if (sd_bus_message_open_container(arguments->reply, 'a', "a{sv}") < 0)
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot make a reply");
    arguments->ids = g_ptr_array_new_with_free_func(g_free);
    berth_sandboxes_iter(call->daemon->sandboxes, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&sandbox))
        if (matches(call, sandbox))
            g_ptr_array_add(arguments->ids, g_strdup(sandbox->id));
    return true;
}

/* Runs again and again until the list is complete: measuring thousands at once would block others.
 */
static BerthVerdict act_list(BerthCall *call, GError **error)
{
    ListArguments *arguments = call->arguments;
    int r;

    if (!arguments->reply && !begin_list(call, error))
        return BERTH_CALL_FAILED;
    for (unsigned n = 0; n < LIST_SLICE && arguments->next < arguments->ids->len; n++) {
        const char *id = arguments->ids->pdata[arguments->next++];
        const BerthSandbox *sandbox = berth_sandboxes_by_id(call->daemon->sandboxes, id);

        if (sandbox && !append_row(call, sandbox, error))
            return BERTH_CALL_FAILED;
    }
    if (arguments->next < arguments->ids->len)
        return berth_call_retry(call, 0, error);
    r = sd_bus_message_close_container(arguments->reply);
    return berth_call_reply(call, arguments->reply, r, error);
}

static BerthMethod methods[] = {
    BERTH_METHOD(BERTH_IF_SANDBOXES, "Create", "sa{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(options),
                 "o", SD_BUS_PARAM(sandbox), BERTH_NEEDS("create-sandbox", BERTH_WHO_ROOT),
                 .parse = berth_create_parse, .authorize = berth_create_authorize,
                 .act = berth_create_act, .clear = berth_create_clear),
    BERTH_METHOD(BERTH_IF_SANDBOXES, "Join", "sa{sv}", SD_BUS_PARAM(sandbox) SD_BUS_PARAM(options),
                 "a{sh}", SD_BUS_PARAM(fds), BERTH_NEEDS("join-sandbox", BERTH_WHO_MEMBER),
                 .arguments_size = sizeof(NameArguments), .parse = parse_join,
                 .authorize = authorize_join, .act = act_join, .clear = clear_name),
    BERTH_METHOD(BERTH_IF_SANDBOXES, "Get", "s", SD_BUS_PARAM(sandbox), "o", SD_BUS_PARAM(sandbox),
                 BERTH_OPEN_TO_ALL, .arguments_size = sizeof(NameArguments), .parse = parse_get,
                 .act = act_get, .clear = clear_name),
    BERTH_METHOD(BERTH_IF_SANDBOXES, "List", "a{sv}", SD_BUS_PARAM(filter), "aa{sv}",
                 SD_BUS_PARAM(sandboxes), BERTH_OPEN_TO_ALL,
                 .arguments_size = sizeof(ListArguments), .parse = parse_list, .act = act_list,
                 .clear = clear_list),
    { NULL },
};

static const sd_bus_vtable others[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_VTABLE_END,
};

int berth_sandboxes_register(BerthDaemon *daemon)
{
    static sd_bus_vtable *vtable;

    methods[0].arguments_size = berth_create_arguments_size;
    berth_methods_register(methods);
    if (!vtable)
        vtable = berth_methods_vtable(methods, others);
    return sd_bus_add_object_vtable(daemon->bus, NULL, BERTH_OBJECT_ROOT, BERTH_IF_SANDBOXES,
                                    vtable, daemon);
}
