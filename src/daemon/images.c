/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Images interface of the root object: its table of methods, and those that look at transfers
 * only. The others are in files of their own, see image-methods.h.
 */

#include "base/error.h"
#include "daemon/image-methods.h"
#include "daemon/objects.h"
#include "daemon/transfers.h"

static const BerthOption no_options[] = { { NULL } };

static bool parse_list_transfers(BerthCall *call, GError **error)
{
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

static int compare(const void *a, const void *b)
{
    const BerthTransfer *const *x = a, *const *y = b;

    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static BerthVerdict act_list_transfers(BerthCall *call, GError **error)
{
    g_autoptr(GPtrArray) transfers = g_ptr_array_new();
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);
    GHashTableIter iter;
    BerthTransfer *transfer;
    uid_t uid = call->caller->uid;
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    berth_transfers_iter(call->daemon->transfers, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&transfer))
        g_ptr_array_add(transfers, transfer);
    g_ptr_array_sort(transfers, compare);
    r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < transfers->len; i++) {
        transfer = transfers->pdata[i];
        r = berth_transfer_append_row(reply, transfer, uid == 0 || uid == transfer->owner);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

typedef struct {
    uint32_t id;
} GetArguments;

static bool parse_get_transfer(BerthCall *call, GError **error)
{
    GetArguments *arguments = call->arguments;
    int r = sd_bus_message_read(call->message, "u", &arguments->id);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the ID");
}

static BerthVerdict act_get_transfer(BerthCall *call, GError **error)
{
    const GetArguments *arguments = call->arguments;
    g_autofree char *path = berth_transfer_path(arguments->id);

    if (berth_transfers_by_id(call->daemon->transfers, arguments->id))
        return berth_call_reply_value(call, 'o', path, error);
    berth_set_error(error, BERTH_ERROR_NO_SUCH_TRANSFER,
                    "there is no transfer %u; ListTransfers shows those there are", arguments->id);
    return BERTH_CALL_FAILED;
}

static BerthMethod methods[] = {
    BERTH_METHOD(BERTH_IF_IMAGES, "Pull", "sa{sv}", SD_BUS_PARAM(reference) SD_BUS_PARAM(options),
                 "o", SD_BUS_PARAM(transfer), BERTH_NEEDS("pull", BERTH_WHO_ROOT),
                 .parse = berth_pull_parse, .authorize = berth_pull_authorize,
                 .act = berth_pull_act, .clear = berth_pull_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Push", "ssa{sv}",
                 SD_BUS_PARAM(image) SD_BUS_PARAM(reference) SD_BUS_PARAM(options), "o",
                 SD_BUS_PARAM(transfer), BERTH_NEEDS("push", BERTH_WHO_ROOT),
                 .parse = berth_push_parse, .authorize = berth_push_authorize,
                 .act = berth_push_act, .clear = berth_push_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Copy", "ssa{sv}",
                 SD_BUS_PARAM(source) SD_BUS_PARAM(destination) SD_BUS_PARAM(options), "o",
                 SD_BUS_PARAM(transfer), BERTH_NEEDS("push", BERTH_WHO_ROOT),
                 .parse = berth_copy_parse, .authorize = berth_copy_authorize,
                 .act = berth_copy_act, .clear = berth_push_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Import", "ha{sv}", SD_BUS_PARAM(archive) SD_BUS_PARAM(options),
                 "o", SD_BUS_PARAM(transfer), BERTH_NEEDS("import", BERTH_WHO_ROOT),
                 .parse = berth_import_parse, .authorize = berth_import_authorize,
                 .act = berth_import_act, .clear = berth_import_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "ImportBlob", "sha{sv}",
                 SD_BUS_PARAM(digest) SD_BUS_PARAM(blob) SD_BUS_PARAM(options), "o",
                 SD_BUS_PARAM(transfer), BERTH_NEEDS("import", BERTH_WHO_ROOT),
                 .parse = berth_import_blob_parse, .authorize = berth_import_authorize,
                 .act = berth_import_blob_act, .clear = berth_import_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Export", "asha{sv}",
                 SD_BUS_PARAM(images) SD_BUS_PARAM(archive) SD_BUS_PARAM(options), "o",
                 SD_BUS_PARAM(transfer), BERTH_NEEDS("read-image", BERTH_WHO_OWNER),
                 .parse = berth_export_parse, .authorize = berth_export_authorize,
                 .act = berth_export_act, .clear = berth_export_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "List", "a{sv}", SD_BUS_PARAM(filter), "aa{sv}",
                 SD_BUS_PARAM(images), BERTH_OPEN_TO_ALL, .parse = berth_image_list_parse,
                 .act = berth_image_list_act, .clear = berth_image_list_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Inspect", "sa{sv}", SD_BUS_PARAM(image) SD_BUS_PARAM(options),
                 "a{sv}", SD_BUS_PARAM(description), BERTH_NEEDS("read-image", BERTH_WHO_OWNER),
                 .parse = berth_image_inspect_parse, .authorize = berth_image_inspect_authorize,
                 .act = berth_image_inspect_act, .clear = berth_image_inspect_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Tag", "ssa{sv}",
                 SD_BUS_PARAM(image) SD_BUS_PARAM(reference) SD_BUS_PARAM(options), "", "",
                 BERTH_NEEDS("manage-images", BERTH_WHO_OWNER), .parse = berth_image_tag_parse,
                 .authorize = berth_image_change_authorize, .act = berth_image_tag_act,
                 .clear = berth_image_change_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Remove", "sa{sv}", SD_BUS_PARAM(image) SD_BUS_PARAM(options), "",
                 "", BERTH_NEEDS("manage-images", BERTH_WHO_OWNER),
                 .parse = berth_image_remove_parse, .authorize = berth_image_change_authorize,
                 .act = berth_image_remove_act, .clear = berth_image_change_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "Prune", "a{sv}", SD_BUS_PARAM(options), "tu",
                 SD_BUS_PARAM(bytes) SD_BUS_PARAM(blobs),
                 BERTH_NEEDS("manage-images", BERTH_WHO_ROOT), .parse = berth_prune_parse,
                 .act = berth_prune_act, .clear = berth_prune_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "OpenBlob", "sa{sv}", SD_BUS_PARAM(digest) SD_BUS_PARAM(options),
                 "hb", SD_BUS_PARAM(blob) SD_BUS_PARAM(sealed),
                 BERTH_NEEDS("read-image", BERTH_WHO_OWNER), .parse = berth_open_blob_parse,
                 .authorize = berth_open_blob_authorize, .act = berth_open_blob_act,
                 .clear = berth_open_blob_clear),
    BERTH_METHOD(BERTH_IF_IMAGES, "ListTransfers", "a{sv}", SD_BUS_PARAM(options), "aa{sv}",
                 SD_BUS_PARAM(transfers), BERTH_OPEN_TO_ALL, .parse = parse_list_transfers,
                 .act = act_list_transfers),
    BERTH_METHOD(BERTH_IF_IMAGES, "GetTransfer", "u", SD_BUS_PARAM(id), "o", SD_BUS_PARAM(transfer),
                 BERTH_OPEN_TO_ALL, .arguments_size = sizeof(GetArguments),
                 .parse = parse_get_transfer, .act = act_get_transfer),
    { NULL },
};

static const sd_bus_vtable others[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_VTABLE_END,
};

/* Which cannot be in the table: they are constants of other files. */
static void set_sizes(void)
{
    const struct {
        const char *member;
        size_t size;
    } sizes[] = {
        { "Pull", berth_pull_arguments_size },
        { "Push", berth_push_arguments_size },
        { "Copy", berth_push_arguments_size },
        { "Import", berth_import_arguments_size },
        { "ImportBlob", berth_import_arguments_size },
        { "Export", berth_export_arguments_size },
        { "List", berth_image_list_arguments_size },
        { "Inspect", berth_image_inspect_arguments_size },
        { "Tag", berth_image_change_arguments_size },
        { "Remove", berth_image_change_arguments_size },
        { "Prune", berth_prune_arguments_size },
        { "OpenBlob", berth_open_blob_arguments_size },
    };

    for (BerthMethod *method = methods; method->member; method++)
        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
            if (g_str_equal(method->member, sizes[i].member))
                method->arguments_size = sizes[i].size;
}

int berth_images_register(BerthDaemon *daemon)
{
    static sd_bus_vtable *vtable;

    set_sizes();
    berth_methods_register(methods);
    if (!vtable)
        vtable = berth_methods_vtable(methods, others);
    return sd_bus_add_object_vtable(daemon->bus, NULL, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, vtable,
                                    daemon);
}
