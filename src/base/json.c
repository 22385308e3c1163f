/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading JSON from registries and archives. It relies on Jansson for the syntax, for UTF-8 and for
 * refusing duplicate keys; what Jansson does not bound, the memory that a hostile text turns into,
 * is counted here before. Members are read with their type and bounds or not at all.
 */

#include "base/json.h"

#include "base/error.h"
#include "base/names.h"

#include <inttypes.h>
#include <string.h>

static bool set_invalid(GError **error, const char *key, const char *why)
{
    return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "\"%s\" %s", key, why);
}

/*
 * Counts brackets and commas outside strings. Wrong nesting is left to the parser: it stops where
 * the text stops being JSON, and until there the counts are right.
 */
static const char *check_limits(const char *text, size_t length, const BerthJsonLimits *limits)
{
    unsigned depth = 0, containers = 0, values = 0;
    bool in_string = false;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"')
            in_string = true;
        else if (c == '{' || c == '[') {
            if (++depth > limits->depth)
                return "it is nested too deeply";
            containers++;
            values++;
        } else if (c == '}' || c == ']') {
            if (depth > 0)
                depth--;
        } else if (c == ',')
            values++;
        if (containers > limits->containers || values > limits->values)
            return "it holds too many values";
    }
    return NULL;
}

/* Whatever @data holds. */
static json_t *load(const void *data, size_t length, const BerthJsonLimits *limits, GError **error)
{
    g_autofree char *text = NULL;
    json_error_t failure;
    const char *why;
    json_t *root;

    if (length > limits->bytes) {
        (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                              "it has %zu bytes; at most %zu are taken", length, limits->bytes);
        return NULL;
    }
    why = check_limits(data, length, limits);
    if (why) {
        (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "%s", why);
        return NULL;
    }
    root = json_loadb(data, length, JSON_REJECT_DUPLICATES, &failure);
    if (!root) {
        text = berth_quote(failure.text);
        (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "not JSON, line %d: %s",
                              failure.line, text);
    }
    return root;
}

json_t *berth_json_load(const void *data, size_t length, const BerthJsonLimits *limits,
                        GError **error)
{
    g_autoptr(json_t) root = load(data, length, limits, error);

    if (!root || json_is_object(root))
        return g_steal_pointer(&root);
    (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "not a JSON object");
    return NULL;
}

json_t *berth_json_load_array(const void *data, size_t length, const BerthJsonLimits *limits,
                              GError **error)
{
    g_autoptr(json_t) root = load(data, length, limits, error);

    if (!root || json_is_array(root))
        return g_steal_pointer(&root);
    (void)berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID, "not a JSON array");
    return NULL;
}

/* Returns the member @key, or NULL when it is absent or null. */
static const json_t *get(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return value && !json_is_null(value) ? value : NULL;
}

bool berth_json_get_string(const json_t *object, const char *key, size_t max, const char **value,
                           GError **error)
{
    const json_t *member = get(object, key);

    *value = NULL;
    if (!member)
        return true;
    if (!json_is_string(member))
        return set_invalid(error, key, "is not a string");
    if (json_string_length(member) > max)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "\"%s\" has %zu bytes; at most %zu are taken", key,
                               json_string_length(member), max);
    *value = json_string_value(member);
    return true;
}

bool berth_json_get_array(const json_t *object, const char *key, size_t max, const json_t **value,
                          GError **error)
{
    *value = get(object, key);
    if (!*value)
        return true;
    if (!json_is_array(*value))
        return set_invalid(error, key, "is not an array");
    if (json_array_size(*value) > max)
        return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                               "\"%s\" has %zu entries; at most %zu are taken", key,
                               json_array_size(*value), max);
    return true;
}

bool berth_json_get_object(const json_t *object, const char *key, const json_t **value,
                           GError **error)
{
    *value = get(object, key);
    return !*value || json_is_object(*value) || set_invalid(error, key, "is not an object");
}

bool berth_json_get_integer(const json_t *object, const char *key, int64_t max, int64_t *value,
                            GError **error)
{
    const json_t *member = get(object, key);

    if (!member)
        return set_invalid(error, key, "is missing");
    if (!json_is_integer(member))
        return set_invalid(error, key, "is not a whole number");
    *value = json_integer_value(member);
    return (*value >= 0 && *value <= max) ||
           berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                           "\"%s\" is %" PRId64 "; from 0 to %" PRId64 " are taken", key, *value,
                           max);
}

bool berth_json_get_strings(const json_t *object, const char *key, GHashTable **value,
                            GError **error)
{
    g_autoptr(GHashTable) table = NULL;
    const json_t *member;

    *value = NULL;
    if (!berth_json_get_object(object, key, &member, error))
        return false;
    if (!member)
        return true;

    table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    /* Jansson's iterators take no const, although they change nothing */
    for (void *i = json_object_iter((json_t *)member); i;
         i = json_object_iter_next((json_t *)member, i)) {
        const char *name = json_object_iter_key(i);
        const char *text = json_string_value(json_object_iter_value(i));

        if (!text) {
            g_autofree char *quoted = berth_quote(name);
            return berth_set_error(error, BERTH_ERROR_MANIFEST_INVALID,
                                   "\"%s\" has a value that is not a string, '%s'", key, quoted);
        }
        g_hash_table_insert(table, g_strdup(name), g_strdup(text));
    }
    *value = g_steal_pointer(&table);
    return true;
}
