/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From D-Bus values to JSON. berthctl keeps every answer in this one form: --json= prints it as it
 * is, tables pick from it. So a key that a newer service adds shows in JSON without a change here.
 */

#include "ctl/json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

static json_t *from_unsigned(uint64_t number)
{
    g_autofree char *digits = NULL;

    if (number <= INT64_MAX)
        return json_integer((json_int_t)number);
    digits = g_strdup_printf("%" PRIu64, number);
    return json_string(digits);
}

static int read_basic(sd_bus_message *message, char type, json_t **value)
{
    union {
        uint8_t u8;
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        uint32_t u32;
        int64_t i64;
        uint64_t u64;
        int truth;
        double real;
        const char *text;
    } basic;
    int r = sd_bus_message_read_basic(message, type, &basic);

    if (r < 0)
        return r;
    switch (type) {
    case 'y':
        *value = json_integer(basic.u8);
        break;
    case 'n':
        *value = json_integer(basic.i16);
        break;
    case 'q':
        *value = json_integer(basic.u16);
        break;
    case 'i':
    case 'h':
        *value = json_integer(basic.i32);
        break;
    case 'u':
        *value = json_integer(basic.u32);
        break;
    case 'x':
        *value = json_integer(basic.i64);
        break;
    case 't':
        *value = from_unsigned(basic.u64);
        break;
    case 'b':
        *value = json_boolean(basic.truth);
        break;
    case 'd':
        *value = json_real(basic.real);
        break;
    default:
        *value = json_string(basic.text);
    }
    return *value ? 0 : -ENOMEM;
}

static int read_entry(sd_bus_message *message, json_t *object)
{
    g_autoptr(json_t) key = NULL;
    g_autoptr(json_t) item = NULL;
    g_autofree char *digits = NULL;
    const char *contents = NULL;
    int r = sd_bus_message_peek_type(message, NULL, &contents);

    if (r >= 0)
        r = sd_bus_message_enter_container(message, 'e', contents);
    if (r >= 0)
        r = ctl_json_read(message, &key);
    if (r >= 0)
        r = ctl_json_read(message, &item);
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return r;
    if (!json_is_string(key))
        digits = json_dumps(key, JSON_ENCODE_ANY);
    return json_object_set(object, digits ?: json_string_value(key), item) < 0 ? -ENOMEM : 0;
}

static int read_item(sd_bus_message *message, json_t *array)
{
    json_t *item = NULL;
    int r = ctl_json_read(message, &item);

    if (r < 0)
        return r;
    return json_array_append_new(array, item) < 0 ? -ENOMEM : 0;
}

int ctl_json_read(sd_bus_message *message, json_t **value)
{
    g_autoptr(json_t) container = NULL;
    const char *contents = NULL;
    char type = 0;
    int r = sd_bus_message_peek_type(message, &type, &contents);

    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    if (type != 'v' && type != 'a' && type != 'r')
        return read_basic(message, type, value);

    r = sd_bus_message_enter_container(message, type, contents);
    if (r < 0)
        return r;
    if (type == 'v') {
        r = ctl_json_read(message, &container);
    } else {
        bool is_dictionary = type == 'a' && contents[0] == '{';

        container = is_dictionary ? json_object() : json_array();
        while (r >= 0 && (r = sd_bus_message_at_end(message, 0)) == 0)
            r = is_dictionary ? read_entry(message, container) : read_item(message, container);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return r;
    *value = g_steal_pointer(&container);
    return 0;
}

const char *ctl_json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key)) ?: "";
}

json_int_t ctl_json_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

json_t *ctl_json_sort(const json_t *rows, GCompareFunc compare)
{
    g_autoptr(GPtrArray) order = g_ptr_array_new();
    json_t *sorted = json_array();

    for (size_t i = 0; i < json_array_size(rows); i++)
        g_ptr_array_add(order, json_array_get(rows, i));
    g_ptr_array_sort(order, compare);
    for (guint i = 0; i < order->len; i++)
        json_array_append(sorted, order->pdata[i]);
    return sorted;
}
