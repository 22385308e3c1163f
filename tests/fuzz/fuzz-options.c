/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the arguments of Create, from the dictionary on the wire to the checked values. The
 * input is a small program that writes a message: an option each, with a known or any key, of the
 * right or another type. Whatever it is, it is accepted or refused with an error that can be sent,
 * and nothing leaks.
 */

#include "../unit/bus-fixture.h"
#include "base/error.h"
#include "daemon/create.h"
#include "settings/settings.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const uint8_t *data;
    size_t size;
} Input;

static uint8_t take_byte(Input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

/* Text up to a zero byte or the end; sd-bus takes only valid UTF-8. */
static char *take_text(Input *input)
{
    size_t length = strnlen((const char *)input->data, input->size);
    char *text = g_utf8_make_valid((const char *)input->data, (gssize)length);

    input->data += length;
    input->size -= length;
    (void)take_byte(input);
    return text;
}

static uint64_t take_number(Input *input)
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++)
        number = number << 8 | take_byte(input);
    return number;
}

static int append_texts(sd_bus_message *message, Input *input, bool pairs)
{
    int r = sd_bus_message_open_container(message, 'a', pairs ? "{ss}" : "s");

    for (unsigned n = take_byte(input) % 80; r >= 0 && n > 0; n--) {
        g_autofree char *first = take_text(input);
        g_autofree char *second = pairs ? take_text(input) : NULL;

        r = pairs ? sd_bus_message_append(message, "{ss}", first, second)
                  : sd_bus_message_append_basic(message, 's', first);
    }
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int append_value(sd_bus_message *message, Input *input, const char *type)
{
    g_autofree char *text = NULL;
    uint64_t number;
    int flag, r = sd_bus_message_open_container(message, 'v', type);

    if (r < 0)
        return r;
    switch (type[0]) {
    case 's':
        text = take_text(input);
        r = sd_bus_message_append_basic(message, 's', text);
        break;
    case 't':
        number = take_number(input);
        r = sd_bus_message_append_basic(message, 't', &number);
        break;
    case 'b':
        flag = take_byte(input) & 1;
        r = sd_bus_message_append_basic(message, 'b', &flag);
        break;
    case 'h':
        flag = STDERR_FILENO;
        r = sd_bus_message_append_basic(message, 'h', &flag);
        break;
    default:
        r = append_texts(message, input, g_str_equal(type, "a{ss}"));
    }
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int append_option(sd_bus_message *message, Input *input)
{
    static const char *const types[] = { "s", "t", "b", "as", "a{ss}", "h" };
    const BerthOption *known = berth_create_options();
    uint8_t key_choice = take_byte(input), type_choice = take_byte(input);
    g_autofree char *key = NULL;
    const char *type = types[type_choice % G_N_ELEMENTS(types)];
    unsigned count = 0;
    int r;

    while (known[count].key)
        count++;
    if (key_choice % (count + 1) < count) {
        key = g_strdup(known[key_choice % (count + 1)].key);
        if (type_choice < 0xc0)
            type = known[key_choice % (count + 1)].type;
    } else {
        key = take_text(input);
    }
    r = sd_bus_message_open_container(message, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append_basic(message, 's', key);
    if (r >= 0)
        r = append_value(message, input, type);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static int write_message(sd_bus_message *message, Input *input)
{
    g_autofree char *name = take_text(input);
    int r = sd_bus_message_append_basic(message, 's', name);

    if (r >= 0)
        r = sd_bus_message_open_container(message, 'a', "{sv}");
    while (r >= 0 && input->size > 0)
        r = append_option(message, input);
    return r >= 0 ? sd_bus_message_close_container(message) : r;
}

static BerthDaemon *make_daemon(void)
{
    static BerthDaemon daemon;
    static const char *const none[] = { NULL };
    const BerthSettingsPaths paths = { none, "/var/lib/berth", NULL, NULL };
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);

    if (!daemon.settings)
        daemon.settings = berth_settings_load(&paths, UINT64_C(1) << 30, warnings, NULL);
    g_assert(daemon.settings);
    return &daemon;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sd_bus *bus;
    Input input = { data, size };
    BerthCall call = { .daemon = make_daemon() };
    g_autoptr(GError) error = NULL;

    if (!bus)
        bus = test_bus_new();
    call.message = test_message_new(bus);
    if (write_message(call.message, &input) >= 0) {
        bool ok;

        test_message_seal(call.message);
        call.arguments = g_malloc0(berth_create_arguments_size);
        ok = berth_create_parse(&call, &error);
        g_assert(ok == !error);
        g_assert(!error ||
                 (error->domain == BERTH_ERROR && g_utf8_validate(error->message, -1, NULL)));
        berth_create_clear(call.arguments);
        g_free(call.arguments);
    }
    sd_bus_message_unref(call.message);
    return 0;
}
