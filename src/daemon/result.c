/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What workers answer about the store, on its way to a caller. A worker may be in somebody else's
 * hands, so nothing of it is passed on unseen: only the keys that belong there, with their types,
 * each once, and no more than a message on the bus may hold, since a larger one would cost the
 * service its connection.
 */

#include "daemon/result.h"

#include "base/error.h"
#include "base/names.h"
#include "daemon/entries.h"
#include "daemon/worker.h"

#include <errno.h>
#include <string.h>

#define ENTRY_BYTES 48 /* about what an entry or a row takes besides its texts */

static bool set_lie(GError **error, const char *key)
{
    g_autofree char *quoted = berth_quote(key);

    return berth_set_error(error, BERTH_ERROR_FAILED,
                           "the worker's answer makes no sense at '%s'; report a bug, or look at "
                           "what else uses the store",
                           quoted);
}

static bool check(int r, const char *key, GError **error)
{
    return r >= 0 || set_lie(error, key);
}

static bool spend(size_t *bytes, size_t more, GError **error)
{
    if (more > *bytes)
        return berth_set_error(error, BERTH_ERROR_LIMITS_EXCEEDED,
                               "the answer is longer than a message on the bus may be; ask for "
                               "less, by a prefix of the references");
    *bytes -= more;
    return true;
}

static bool copy_text(sd_bus_message *result, const BerthResultKey *key, sd_bus_message *reply,
                      size_t *bytes, GError **error)
{
    const char *text;
    BerthDigest digest;

    if (!check(sd_bus_message_read_basic(result, 's', &text), key->key, error) ||
        !spend(bytes, strlen(text), error))
        return false;
    if (key->what == BERTH_RESULT_DIGEST && !berth_digest_parse(text, &digest, NULL))
        return set_lie(error, key->key);
    return check(sd_bus_message_append_basic(reply, 's', text), key->key, error);
}

static bool copy_texts(sd_bus_message *result, const BerthResultKey *key, sd_bus_message *reply,
                       size_t *bytes, GError **error)
{
    const BerthResultKey item = { key->key, "s", BERTH_RESULT_ANY, NULL };
    int r = sd_bus_message_enter_container(result, 'a', "s");

    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "s");
    while (r >= 0 && (r = !sd_bus_message_at_end(result, false)) > 0)
        if (!spend(bytes, sizeof(uint64_t), error) ||
            !copy_text(result, &item, reply, bytes, error))
            return false;
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_message_exit_container(result);
    return check(r, key->key, error);
}

static bool copy_rows(sd_bus_message *result, const BerthResultKey *key, sd_bus_message *reply,
                      size_t *bytes, GError **error)
{
    int r = sd_bus_message_enter_container(result, 'a', "a{sv}");

    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    while (r >= 0 && (r = !sd_bus_message_at_end(result, false)) > 0)
        if (!berth_result_copy(result, key->rows, reply, bytes, error))
            return false;
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_message_exit_container(result);
    return check(r, key->key, error);
}

static bool copy_basic(sd_bus_message *result, const BerthResultKey *key, sd_bus_message *reply,
                       GError **error)
{
    union {
        uint64_t t;
        uint32_t u;
        int b;
    } value;
    int r = sd_bus_message_read_basic(result, key->type[0], &value);

    if (r >= 0)
        r = sd_bus_message_append_basic(reply, key->type[0], &value);
    return check(r, key->key, error);
}

static bool copy_value(sd_bus_message *result, const BerthResultKey *key, sd_bus_message *reply,
                       size_t *bytes, GError **error)
{
    if (g_str_equal(key->type, "s"))
        return copy_text(result, key, reply, bytes, error);
    if (g_str_equal(key->type, "as"))
        return copy_texts(result, key, reply, bytes, error);
    if (g_str_equal(key->type, "aa{sv}"))
        return copy_rows(result, key, reply, bytes, error);
    return copy_basic(result, key, reply, error);
}

/* Takes one entry, whose key is one of @keys that was not there before. */
static bool copy_entry(sd_bus_message *result, const BerthResultKey *keys, uint32_t *seen,
                       sd_bus_message *reply, size_t *bytes, GError **error)
{
    const char *name;
    unsigned i = 0;

    if (!check(sd_bus_message_read_basic(result, 's', &name), "a key", error) ||
        !spend(bytes, ENTRY_BYTES, error))
        return false;
    while (keys[i].key && !g_str_equal(keys[i].key, name))
        i++;
    if (!keys[i].key || (*seen & (1u << i)))
        return set_lie(error, name);
    *seen |= 1u << i;
    if (keys[i].what == BERTH_RESULT_HIDDEN)
        return check(sd_bus_message_skip(result, "v"), name, error);
    if (!check(sd_bus_message_enter_container(result, 'v', keys[i].type), name, error) ||
        !check(berth_entry_open(reply, name, keys[i].type), name, error) ||
        !copy_value(result, &keys[i], reply, bytes, error))
        return false;
    return check(berth_entry_close(reply), name, error) &&
           check(sd_bus_message_exit_container(result), name, error);
}

bool berth_result_copy(sd_bus_message *result, const BerthResultKey *keys, sd_bus_message *reply,
                       size_t *bytes, GError **error)
{
    uint32_t seen = 0;
    int r = sd_bus_message_enter_container(result, 'a', "{sv}");

    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(result, 'e', "sv")) > 0) {
        if (!copy_entry(result, keys, &seen, reply, bytes, error))
            return false;
        r = sd_bus_message_exit_container(result);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_message_exit_container(result);
    for (unsigned i = 0; r >= 0 && keys[i].key; i++)
        if (!(seen & (1u << i)))
            return set_lie(error, keys[i].key);
    return check(r, "its form", error);
}

int berth_result_seek(sd_bus_message *result, const char *key, const char *type)
{
    const char *name;
    int r = sd_bus_message_rewind(result, true);

    if (r >= 0)
        r = sd_bus_message_enter_container(result, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(result, 'e', "sv")) > 0) {
        r = sd_bus_message_read_basic(result, 's', &name);
        if (r >= 0 && g_str_equal(name, key))
            return sd_bus_message_enter_container(result, 'v', type) >= 0 ? 1 : -EBADMSG;
        if (r >= 0)
            r = sd_bus_message_skip(result, "v");
        if (r >= 0)
            r = sd_bus_message_exit_container(result);
    }
    return r;
}

bool berth_result_read(sd_bus_message *result, const char *key, char type, void *value,
                       GError **error)
{
    const char signature[] = { type, '\0' };
    int r = berth_result_seek(result, key, signature);

    if (r > 0)
        r = sd_bus_message_read_basic(result, type, value);
    return r > 0 || set_lie(error, key);
}

GArray *berth_result_read_ids(sd_bus_message *result, const char *key, GError **error)
{
    GArray *ids;
    const void *data = NULL;
    size_t size = 0;
    int r = berth_result_seek(result, key, "au");

    if (r > 0)
        r = sd_bus_message_read_array(result, 'u', &data, &size);
    if (r < 0 || !data) {
        set_lie(error, key);
        return NULL;
    }
    ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_array_append_vals(ids, data, (guint)(size / sizeof(uint32_t)));
    return ids;
}

static const BerthOption digest_keys[] = { { "Digest", "s", 0 }, { NULL } };

char *berth_result_read_digest(sd_bus_message *result, GError **error)
{
    g_autofree char *digest = NULL;
    BerthDigest parsed;

    if (!berth_worker_read_result(result, digest_keys, &digest, NULL, error))
        return NULL;
    if (digest && berth_digest_parse(digest, &parsed, NULL))
        return g_steal_pointer(&digest);
    berth_set_error(error, BERTH_ERROR_FAILED, "the worker does not say what the transfer led to");
    return NULL;
}
