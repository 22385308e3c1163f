/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Transfer interface: one object for each transfer, served by a fallback vtable as sandboxes
 * are, and the signals about it. What everybody may know is a property; of what it is and how far
 * each layer is only its owner and root are told, by Describe and by signals to nobody else.
 */

#include "base/error.h"
#include "base/log.h"
#include "base/names.h"
#include "daemon/entries.h"
#include "daemon/objects.h"
#include "daemon/transfers.h"

/* messages that wait for the bus; the library drops those beyond 393216 */
#define QUEUE_MAX 8192

BerthTransfer *berth_transfer_of_call(const BerthCall *call, GError **error)
{
    BerthTransfer *transfer = berth_transfers_by_id(call->daemon->transfers, call->transfer);

    if (!transfer)
        berth_set_error(error, BERTH_ERROR_NO_SUCH_TRANSFER,
                        "there is no transfer %u; ListTransfers shows those there are",
                        call->transfer);
    return transfer;
}

void berth_fill_image_details(BerthDetails *details, const BerthReference *reference)
{
    details->registry = g_strdup(reference->registry);
    details->repository = g_strdup(reference->repository);
    details->reference = berth_reference_to_string(reference);
}

static bool authorize_own(BerthCall *call, BerthRequest *request, GError **error)
{
    const BerthTransfer *transfer = berth_transfer_of_call(call, error);
    BerthDetails *details;

    if (!transfer)
        return false;
    if (transfer->owner == call->caller->uid)
        return true;
    details = berth_request_add(request, call->method->access.action);
    if (transfer->reference)
        berth_fill_image_details(details, transfer->reference);
    details->owner = g_strdup_printf("%u", transfer->owner);
    return true;
}

static int append_public(sd_bus_message *reply, const BerthTransfer *transfer)
{
    return sd_bus_message_append(
        reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Id", "u", transfer->id, "Kind", "s",
        transfer->kind->name, "Owner", "u", (uint32_t)transfer->owner, "State", "s",
        berth_transfer_state_to_string(transfer->state), "BytesDone", "t", transfer->bytes_done,
        "BytesTotal", "t", transfer->bytes_total, "Rate", "t", transfer->rate, "StartedUSec", "t",
        transfer->started_usec);
}

static const char *error_name(const BerthTransfer *transfer)
{
    return transfer->error ? berth_error_dbus_name(transfer->error->code) : "";
}

static const char *error_message(const BerthTransfer *transfer)
{
    return transfer->error ? transfer->error->message : "";
}

static int append_private(sd_bus_message *reply, const BerthTransfer *transfer)
{
    g_autofree char *reference = berth_transfer_reference(transfer);

    return sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Reference", "s", reference, "Digest",
                                 "s", transfer->digest ? transfer->digest : "", "ErrorName", "s",
                                 error_name(transfer), "ErrorMessage", "s",
                                 error_message(transfer));
}

int berth_transfer_append_row(sd_bus_message *reply, const BerthTransfer *transfer, bool all)
{
    g_autofree char *path = berth_transfer_path(transfer->id);
    int r = sd_bus_message_open_container(reply, 'a', "{sv}");

    if (r >= 0)
        r = append_public(reply, transfer);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}", "Path", "o", path);
    if (r >= 0 && all)
        r = append_private(reply, transfer);
    return r >= 0 ? sd_bus_message_close_container(reply) : r;
}

static int append_layers(sd_bus_message *reply, const BerthTransfer *transfer)
{
    int r = berth_entry_open(reply, "Layers", "aa{sv}");

    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < transfer->layers->len; i++) {
        const BerthTransferLayer *layer = &g_array_index(transfer->layers, BerthTransferLayer, i);

        r = sd_bus_message_append(reply, "a{sv}", 5, "Digest", "s", layer->digest.text, "State",
                                  "s", berth_layer_state_to_string(layer->state), "Done", "t",
                                  layer->done, "Total", "t", layer->total, "Source", "s",
                                  berth_layer_source_to_string(layer->source));
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r >= 0 ? berth_entry_close(reply) : r;
}

static BerthVerdict act_describe(BerthCall *call, GError **error)
{
    const BerthTransfer *transfer = berth_transfer_of_call(call, error);
    BERTH_AUTO_MESSAGE *reply = transfer ? berth_call_new_reply(call, error) : NULL;
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    r = sd_bus_message_open_container(reply, 'a', "{sv}");
    if (r >= 0)
        r = append_public(reply, transfer);
    if (r >= 0)
        r = append_private(reply, transfer);
    if (r >= 0)
        r = append_layers(reply, transfer);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

static BerthVerdict act_subscribe(BerthCall *call, GError **error)
{
    BerthTransfer *transfer = berth_transfer_of_call(call, error);

    if (!transfer || (!call->gone && !berth_transfers_subscribe(call->daemon->transfers, transfer,
                                                                call->caller->name, error)))
        return BERTH_CALL_FAILED;
    return berth_call_reply_empty(call, error);
}

static BerthVerdict act_cancel(BerthCall *call, GError **error)
{
    BerthTransfer *transfer = berth_transfer_of_call(call, error);

    if (!transfer)
        return BERTH_CALL_FAILED;
    berth_transfers_cancel(call->daemon->transfers, transfer);
    return berth_call_reply_empty(call, error);
}

static const BerthMethod methods[] = {
    BERTH_METHOD(BERTH_IF_TRANSFER, "Describe", "", "", "a{sv}", SD_BUS_PARAM(description),
                 BERTH_NEEDS("manage-transfer", BERTH_WHO_OWNER), .authorize = authorize_own,
                 .act = act_describe),
    BERTH_METHOD(BERTH_IF_TRANSFER, "Subscribe", "", "", "", "",
                 BERTH_NEEDS("manage-transfer", BERTH_WHO_OWNER), .authorize = authorize_own,
                 .act = act_subscribe),
    BERTH_METHOD(BERTH_IF_TRANSFER, "Cancel", "", "", "", "",
                 BERTH_NEEDS("manage-transfer", BERTH_WHO_OWNER), .authorize = authorize_own,
                 .act = act_cancel),
    { NULL },
};

static BerthTransfer *of_path(BerthDaemon *daemon, const char *path)
{
    return berth_transfers_by_id(daemon->transfers, berth_transfer_id_of_path(path));
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    const BerthTransfer *transfer = of_path(userdata, path);

    if (!transfer)
        return sd_bus_error_setf(ret_error, berth_error_dbus_name(BERTH_ERROR_NO_SUCH_TRANSFER),
                                 "there is no transfer at %s", path);
    if (g_str_equal(property, "Id"))
        return sd_bus_message_append(reply, "u", transfer->id);
    if (g_str_equal(property, "Kind"))
        return sd_bus_message_append(reply, "s", transfer->kind->name);
    if (g_str_equal(property, "Owner"))
        return sd_bus_message_append(reply, "u", (uint32_t)transfer->owner);
    if (g_str_equal(property, "State"))
        return sd_bus_message_append(reply, "s", berth_transfer_state_to_string(transfer->state));
    if (g_str_equal(property, "BytesDone"))
        return sd_bus_message_append(reply, "t", transfer->bytes_done);
    if (g_str_equal(property, "BytesTotal"))
        return sd_bus_message_append(reply, "t", transfer->bytes_total);
    if (g_str_equal(property, "Rate"))
        return sd_bus_message_append(reply, "t", transfer->rate);
    g_assert(g_str_equal(property, "StartedUSec"));
    return sd_bus_message_append(reply, "t", transfer->started_usec);
}

static const sd_bus_vtable others[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Id", "u", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Kind", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Owner", "u", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("BytesDone", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("BytesTotal", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Rate", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("StartedUSec", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_SIGNAL_WITH_NAMES("LayerProgress", "usstt",
                             SD_BUS_PARAM(index) SD_BUS_PARAM(digest) SD_BUS_PARAM(state)
                                 SD_BUS_PARAM(done) SD_BUS_PARAM(total),
                             0),
    SD_BUS_SIGNAL_WITH_NAMES("Finished", "ssss",
                             SD_BUS_PARAM(state) SD_BUS_PARAM(digest) SD_BUS_PARAM(error_name)
                                 SD_BUS_PARAM(error_message),
                             0),
    SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **found,
                sd_bus_error *ret_error)
{
    if (!of_path(userdata, path))
        return 0;
    *found = userdata; /* a transfer can go while a call waits, the daemon cannot */
    return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***nodes,
                     sd_bus_error *ret_error)
{
    BerthDaemon *daemon = userdata;
    GHashTableIter iter;
    BerthTransfer *transfer;
    char **paths = g_new0(char *, berth_transfers_count(daemon->transfers) + 1);
    size_t n = 0;

    berth_transfers_iter(daemon->transfers, &iter);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&transfer))
        paths[n++] = berth_transfer_path(transfer->id);
    *nodes = paths; /* sd-bus frees it with free(), which g_malloc() is since GLib 2.46 */
    return 1;
}

/* A call on the object of a transfer that is gone gets the error that says so. */
static int on_missing(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
    const char *path = sd_bus_message_get_path(message);

    if (of_path(userdata, path) || !sd_bus_message_is_method_call(message, BERTH_IF_TRANSFER, NULL))
        return 0;
    return sd_bus_reply_method_errorf(
        message, berth_error_dbus_name(BERTH_ERROR_NO_SUCH_TRANSFER),
        "there is no transfer at %s; ListTransfers shows those there are", path);
}

int berth_transfer_register(BerthDaemon *daemon)
{
    static sd_bus_vtable *vtable;
    int r;

    berth_methods_register(methods);
    if (!vtable)
        vtable = berth_methods_vtable(methods, others);
    r = sd_bus_add_fallback(daemon->bus, NULL, BERTH_TRANSFER_PATH, on_missing, daemon);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(daemon->bus, NULL, BERTH_TRANSFER_PATH, BERTH_IF_TRANSFER,
                                       vtable, find, daemon);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(daemon->bus, NULL, BERTH_TRANSFER_PATH, enumerate, daemon);
    return r;
}

static void check_announced(int r)
{
    if (r < 0)
        berth_warning("cannot announce a transfer: %s", g_strerror(-r));
}

static void announce_added(const BerthTransfer *transfer, void *userdata)
{
    BerthDaemon *daemon = userdata;
    g_autofree char *path = berth_transfer_path(transfer->id);

    check_announced(sd_bus_emit_interfaces_added(daemon->bus, path, BERTH_IF_TRANSFER, NULL));
}

static void announce_removed(const BerthTransfer *transfer, void *userdata)
{
    BerthDaemon *daemon = userdata;
    g_autofree char *path = berth_transfer_path(transfer->id);

    check_announced(sd_bus_emit_interfaces_removed(daemon->bus, path, BERTH_IF_TRANSFER, NULL));
}

static void announce_changed(const BerthTransfer *transfer, const char *const *properties,
                             void *userdata)
{
    BerthDaemon *daemon = userdata;
    g_autofree char *path = berth_transfer_path(transfer->id);

    check_announced(sd_bus_emit_properties_changed_strv(daemon->bus, path, BERTH_IF_TRANSFER,
                                                        (char **)properties));
}

/* Sends @signal to @name alone; libsystemd 252 has no function for it. */
static int send_to(sd_bus_message *signal, const char *name)
{
    int r = sd_bus_message_set_destination(signal, name);

    return r >= 0 ? sd_bus_send(NULL, signal, NULL) : r;
}

static int send_layer(BerthDaemon *daemon, const BerthTransfer *transfer, const char *name,
                      uint32_t index, const BerthTransferLayer *layer)
{
    g_autofree char *path = berth_transfer_path(transfer->id);
    BERTH_AUTO_MESSAGE *signal = NULL;
    int r =
        sd_bus_message_new_signal(daemon->bus, &signal, path, BERTH_IF_TRANSFER, "LayerProgress");

    if (r >= 0)
        r = sd_bus_message_append(signal, "usstt", index, layer->digest.text,
                                  berth_layer_state_to_string(layer->state), layer->done,
                                  layer->total);
    return r >= 0 ? send_to(signal, name) : r;
}

static void announce_layer(const BerthTransfer *transfer, uint32_t index,
                           const BerthTransferLayer *layer, void *userdata)
{
    for (guint i = 0; i < transfer->subscribers->len; i++)
        check_announced(
            send_layer(userdata, transfer, transfer->subscribers->pdata[i], index, layer));
}

static int send_finished(BerthDaemon *daemon, const BerthTransfer *transfer, const char *name)
{
    g_autofree char *path = berth_transfer_path(transfer->id);
    BERTH_AUTO_MESSAGE *signal = NULL;
    int r = sd_bus_message_new_signal(daemon->bus, &signal, path, BERTH_IF_TRANSFER, "Finished");

    if (r >= 0)
        r = sd_bus_message_append(signal, "ssss", berth_transfer_state_to_string(transfer->state),
                                  transfer->digest ? transfer->digest : "", error_name(transfer),
                                  error_message(transfer));
    return r >= 0 ? send_to(signal, name) : r;
}

/* To who asked for it, who may have left, and to those who want to know. */
static void announce_finished(const BerthTransfer *transfer, void *userdata)
{
    check_announced(send_finished(userdata, transfer, transfer->caller));
    for (guint i = 0; i < transfer->subscribers->len; i++)
        if (!g_str_equal(transfer->subscribers->pdata[i], transfer->caller))
            check_announced(send_finished(userdata, transfer, transfer->subscribers->pdata[i]));
}

static bool is_busy(void *userdata)
{
    const BerthDaemon *daemon = userdata;
    uint64_t waiting = 0;

    return sd_bus_get_n_queued_write(daemon->bus, &waiting) >= 0 && waiting > QUEUE_MAX;
}

const BerthTransferEvents *berth_transfer_announcements(BerthDaemon *daemon)
{
    static BerthTransferEvents events = { announce_added,
                                          announce_removed,
                                          announce_changed,
                                          announce_layer,
                                          announce_finished,
                                          is_busy,
                                          NULL };

    events.userdata = daemon;
    return &events;
}
