/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Option dictionaries: each type is read, and every way to get one wrong is refused with the key in
 * the message and nothing leaked.
 */

#include "base/error.h"
#include "base/options.h"
#include "bus-fixture.h"

#include <fcntl.h>
#include <string.h>

typedef struct {
    char *text;
    bool flag;
    uint64_t size;
    uint32_t id;
    char **list;
    GHashTable *table;
    int fd;
    GHashTable *lists;
    GPtrArray *rows; /* (element-type Row) */
} Target;

typedef struct {
    char *name;
    int fd;
} Row;

static const BerthOption row_options[] = {
    { "Name", "s", offsetof(Row, name), .required = true },
    { "Secret", "h", offsetof(Row, fd) },
    { NULL },
};

static const BerthOption options[] = {
    { "Text", "s", offsetof(Target, text) },
    { "Flag", "b", offsetof(Target, flag) },
    { "Size", "t", offsetof(Target, size) },
    { "Id", "u", offsetof(Target, id) },
    { "List", "as", offsetof(Target, list) },
    { "Table", "a{ss}", offsetof(Target, table) },
    { "Process", "h", offsetof(Target, fd) },
    { "Lists", "a{sas}", offsetof(Target, lists) },
    { "Rows", "aa{sv}", offsetof(Target, rows), false, row_options, sizeof(Row) },
    { NULL },
};

typedef struct {
    sd_bus *bus;
    sd_bus_message *message;
    Target target;
} Fixture;

static void set_up(Fixture *fixture, const void *data)
{
    fixture->bus = test_bus_new();
    fixture->message = test_message_new(fixture->bus);
    berth_options_init(options, &fixture->target);
    g_assert_cmpint(fixture->target.fd, ==, -1);
}

static void tear_down(Fixture *fixture, const void *data)
{
    berth_options_clear(options, &fixture->target);
    g_assert_cmpint(fixture->target.fd, ==, -1);
    g_assert_null(fixture->target.rows);
    sd_bus_message_unref(fixture->message);
    sd_bus_unref(fixture->bus);
}

static bool read_options(Fixture *fixture, uint32_t *seen, GError **error)
{
    test_message_seal(fixture->message);
    return berth_options_read(fixture->message, options, &fixture->target, seen, error);
}

static void assert_refused(Fixture *fixture, const char *pattern)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(read_options(fixture, NULL, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_ARGS);
    g_assert_true(g_pattern_match_simple(pattern, error->message));
}

static void test_all_types(Fixture *fixture, const void *data)
{
    BERTH_AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    Target *target = &fixture->target;
    g_autoptr(GError) error = NULL;
    uint32_t seen;

    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 7, "Text", "s", "a b", "Flag",
                                          "b", 1, "Size", "t", UINT64_MAX, "Id", "u", 7u, "List",
                                          "as", 2, "x", "y", "Table", "a{ss}", 1, "k", "v",
                                          "Process", "h", fd),
                    >=, 0);
    g_assert_true(read_options(fixture, &seen, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(seen, ==, 0x7f);
    g_assert_cmpstr(target->text, ==, "a b");
    g_assert_true(target->flag);
    g_assert_cmpuint(target->size, ==, UINT64_MAX);
    g_assert_cmpuint(target->id, ==, 7);
    g_assert_cmpuint(g_strv_length(target->list), ==, 2);
    g_assert_cmpstr(g_hash_table_lookup(target->table, "k"), ==, "v");
    g_assert_cmpint(target->fd, >, 2);
    g_assert_cmpint(fcntl(target->fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
}

static void test_empty(Fixture *fixture, const void *data)
{
    g_autoptr(GError) error = NULL;
    uint32_t seen = 1;

    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 0), >=, 0);
    g_assert_true(read_options(fixture, &seen, &error));
    g_assert_cmpuint(seen, ==, 0);
}

static void test_unknown(Fixture *fixture, const void *data)
{
    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Txet", "s", "a"), >=, 0);
    assert_refused(fixture, "unknown option 'Txet': known are Text, *");
}

static void test_control_characters(Fixture *fixture, const void *data)
{
    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "a\033[31m\n", "s", "a"),
                    >=, 0);
    assert_refused(fixture, "unknown option 'a\\u001b*");
}

static void test_wrong_type(Fixture *fixture, const void *data)
{
    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Size", "u", 1u), >=, 0);
    assert_refused(fixture, "option 'Size' has the D-Bus type 'u'; use 't'");
}

static void test_twice(Fixture *fixture, const void *data)
{
    g_assert_cmpint(
        sd_bus_message_append(fixture->message, "a{sv}", 2, "Text", "s", "a", "Text", "s", "b"), >=,
        0);
    assert_refused(fixture, "option 'Text' is given twice");
}

static void test_table_twice(Fixture *fixture, const void *data)
{
    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Table", "a{ss}", 2, "k",
                                          "1", "k", "2"),
                    >=, 0);
    assert_refused(fixture, "Table has the key 'k' twice");
}

static void test_lists(Fixture *fixture, const void *data)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Lists", "a{sas}", 2, "a",
                                          0, "b", 2, "x", "y"),
                    >=, 0);
    g_assert_true(read_options(fixture, NULL, &error));
    g_assert_cmpuint(g_strv_length(g_hash_table_lookup(fixture->target.lists, "a")), ==, 0);
    g_assert_cmpuint(g_strv_length(g_hash_table_lookup(fixture->target.lists, "b")), ==, 2);
}

static void test_list_twice(Fixture *fixture, const void *data)
{
    g_assert_cmpint(
        sd_bus_message_append(fixture->message, "a{sv}", 1, "Lists", "a{sas}", 2, "a", 0, "a", 0),
        >=, 0);
    assert_refused(fixture, "Lists has the key 'a' twice");
}

static void test_rows(Fixture *fixture, const void *data)
{
    BERTH_AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    const Row *first, *second;

    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Rows", "aa{sv}", 2, 1,
                                          "Name", "s", "one", 2, "Secret", "h", fd, "Name", "s",
                                          "two"),
                    >=, 0);
    g_assert_true(read_options(fixture, NULL, &error));
    g_assert_cmpuint(fixture->target.rows->len, ==, 2);
    first = fixture->target.rows->pdata[0];
    second = fixture->target.rows->pdata[1];
    g_assert_cmpstr(first->name, ==, "one");
    g_assert_cmpint(first->fd, ==, -1);
    g_assert_cmpstr(second->name, ==, "two");
    g_assert_cmpint(second->fd, >, 2);
}

static void test_row_without(Fixture *fixture, const void *data)
{
    BERTH_AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Rows", "aa{sv}", 2, 1,
                                          "Name", "s", "one", 1, "Secret", "h", fd),
                    >=, 0);
    assert_refused(fixture, "option 'Name' is missing");
}

static void test_row_unknown(Fixture *fixture, const void *data)
{
    g_assert_cmpint(sd_bus_message_append(fixture->message, "a{sv}", 1, "Rows", "aa{sv}", 1, 1,
                                          "Nmae", "s", "one"),
                    >=, 0);
    assert_refused(fixture, "unknown option 'Nmae': known are Name, Secret");
}

#define ADD(name, func) g_test_add("/options/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("all-types", test_all_types);
    ADD("empty", test_empty);
    ADD("unknown", test_unknown);
    ADD("control-characters", test_control_characters);
    ADD("wrong-type", test_wrong_type);
    ADD("twice", test_twice);
    ADD("table-twice", test_table_twice);
    ADD("lists", test_lists);
    ADD("list-twice", test_list_twice);
    ADD("rows", test_rows);
    ADD("row-without", test_row_without);
    ADD("row-unknown", test_row_unknown);
    return g_test_run();
}
