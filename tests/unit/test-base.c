/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of src/base: the grammars of modes, sizes, names and references, quoting, and the table of
 * error names. They look at no file and need no privilege.
 */

#include "base/error.h"
#include "base/log.h"
#include "base/mode.h"
#include "base/names.h"
#include "base/size.h"

#include <errno.h>
#include <string.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)
#define PIB (UINT64_C(1) << 50)

#define ID  "0123456789abcdef0123456789abcdef"

/* Modes */

static void test_mode_words(void)
{
    static const struct {
        const char *text;
        BerthIpcMode mode;
        const char *donor;
    } cases[] = {
        { "", BERTH_IPC_MODE_DEFAULT, NULL },
        { "private", BERTH_IPC_MODE_PRIVATE, NULL },
        { "shareable", BERTH_IPC_MODE_SHAREABLE, NULL },
        { "none", BERTH_IPC_MODE_NONE, NULL },
        { "host", BERTH_IPC_MODE_HOST, NULL },
        { "container:demo", BERTH_IPC_MODE_CONTAINER, "demo" },
        { "container:", BERTH_IPC_MODE_CONTAINER, "" },
        { "container:a:b", BERTH_IPC_MODE_CONTAINER, "a:b" },
        { "container::", BERTH_IPC_MODE_CONTAINER, ":" },
        { "container: demo", BERTH_IPC_MODE_CONTAINER, " demo" },
        { "container:1000/demo", BERTH_IPC_MODE_CONTAINER, "1000/demo" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        BerthIpcMode mode = _BERTH_IPC_MODE_INVALID;
        const char *donor = "untouched";

        g_assert_true(berth_ipc_mode_parse(cases[i].text, &mode, &donor, &error));
        g_assert_no_error(error);
        g_assert_cmpint(mode, ==, cases[i].mode);
        g_assert_cmpstr(donor, ==, cases[i].donor);
    }
}

static void test_mode_invalid(void)
{
    static const char *const cases[] = {
        " private",    "private ", " ",         "Private", "PRIVATE",    "container",
        "host:",       "private:", "host:name", "none:x",  "default",    "Container:a",
        " container:", ":",        ":a",        "privat",  "shareable:", "shareable\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        BerthIpcMode mode;
        const char *donor;

        if (berth_ipc_mode_parse(cases[i], &mode, &donor, &error))
            g_error("'%s' was taken for a mode", cases[i]);
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_MODE);
        g_assert_true(g_str_has_prefix(error->message, "invalid IPC mode: "));
    }
}

static void test_mode_message(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) long_error = NULL;
    g_autofree char *huge = g_strnfill(10000, 'x');
    BerthIpcMode mode;
    const char *donor;

    g_assert_false(berth_ipc_mode_parse(" private", &mode, &donor, &error));
    g_assert_cmpstr(error->message, ==, "invalid IPC mode:  private");
    g_clear_error(&error);
    g_assert_false(berth_ipc_mode_parse("host:name", &mode, &donor, &error));
    g_assert_cmpstr(error->message, ==, "invalid IPC mode: host:name");
    g_clear_error(&error);
    g_assert_false(berth_ipc_mode_parse("a\n<0>b", &mode, &donor, &error));
    g_assert_cmpstr(error->message, ==, "invalid IPC mode: a\\u000a<0>b");

    g_assert_false(berth_ipc_mode_parse(huge, &mode, &donor, &long_error));
    g_assert_cmpuint(strlen(long_error->message), <, 300);
}

static void test_mode_to_string(void)
{
    for (BerthIpcMode mode = BERTH_IPC_MODE_DEFAULT + 1; mode < _BERTH_IPC_MODE_MAX; mode++) {
        g_assert_cmpint(berth_ipc_mode_from_word(berth_ipc_mode_to_string(mode)), ==, mode);
        g_assert_true(berth_ipc_mode_may_be_default(mode) ==
                      (mode == BERTH_IPC_MODE_SHAREABLE || mode == BERTH_IPC_MODE_PRIVATE));
        g_assert_true(berth_ipc_mode_is_handed_over(mode) ==
                      (mode == BERTH_IPC_MODE_NONE || mode == BERTH_IPC_MODE_PRIVATE));
    }
    g_assert_cmpint(berth_ipc_mode_from_word(""), ==, _BERTH_IPC_MODE_INVALID);
    g_assert_cmpint(berth_ipc_mode_from_word("container:"), ==, _BERTH_IPC_MODE_INVALID);
    g_assert_false(berth_ipc_mode_may_be_default(BERTH_IPC_MODE_DEFAULT));
}

/* Sizes */

static void test_size_valid(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        { "0", 0 },
        { "00", 0 },
        { "0g", 0 },
        { "32", 32 },
        { "32b", 32 },
        { "32B", 32 },
        { "32 ", 32 },
        { "32k", 32 * KIB },
        { "32K", 32 * KIB },
        { "32 kb", 32 * KIB },
        { "32kib", 32 * KIB },
        { "32KIB", 32 * KIB },
        { "32Kb", 32 * KIB },
        { "64M", 64 * MIB },
        { "64 MiB", 64 * MIB },
        { "32Gb", 32 * GIB },
        { "32Tb", 32 * TIB },
        { "32P", 32 * PIB },
        { "1.5g", GIB + GIB / 2 },
        { ".5k", 512 },
        { "5.", 5 },
        { "5.k", 5 * KIB },
        { "32.3", 32 },
        { "32.9b", 32 },
        { "0.3MB", 314572 },
        { "0.1k", 102 },
        { "1.00000000000000000000000000000000000001k", KIB },
        { "8191p", 8191 * PIB },
        { "9223372036854775807", INT64_MAX },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t bytes = 1;

        if (!berth_size_parse(cases[i].text, &bytes, &error))
            g_error("%s", error->message);
        if (bytes != cases[i].bytes)
            g_error("'%s' became %" G_GUINT64_FORMAT, cases[i].text, bytes);
    }
}

static void test_size_invalid(void)
{
    static const char *const cases[] = {
        "",
        " ",
        "k",
        "b",
        "hello",
        "-1",
        "+1",
        "-0",
        "32  m",
        " 32m",
        "32m ",
        "32mm",
        "32bm",
        "32m b",
        "32mbb",
        "32i",
        "32mi",
        "32ibb",
        "32e",
        "32x",
        "0x10",
        "1e3",
        "1.2.3",
        ".",
        ".k",
        "..5",
        "1,5g",
        "32\t",
        "32\tm",
        "32\n",
        "1 000",
        "50%",
        "inf",
        "nan",
        "8192p",
        "64M\n",
        "6 4M",
        "64 M B",
        "64\xc2\xa0M",
        "٣",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "99999999999999999999999999999999",
        "18446744073709551615p",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t bytes = 7;

        if (berth_size_parse(cases[i], &bytes, &error))
            g_error("'%s' was taken for a size", cases[i]);
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_SIZE);
        g_assert_cmpuint(bytes, ==, 7);
    }
}

static void test_size_percent(void)
{
    static const struct {
        const char *text;
        uint64_t total, bytes;
    } cases[] = {
        { "50%", 8 * GIB, 4 * GIB },
        { "0%", 8 * GIB, 0 },
        { "100%", 8 * GIB, 8 * GIB },
        { "100.0%", 8 * GIB, 8 * GIB },
        { "12.5%", 8 * GIB, GIB },
        { ".5%", 2000, 10 },
        { "33%", 100, 33 },
        { "1%", 99, 0 },
        { "100%", INT64_MAX, INT64_MAX },
        { "50%", 0, 0 },
        { "64M", 1, 64 * MIB },
    };
    static const char *const bad[] = {
        "%",    "-1%",
        "101%", "100.000000001%",
        "50 %", " 50%",
        "50%%", "50k%",
        "5%0",  "1e1%",
        "+5%",  "50% ",
        "x%",   "99999999999999999999999%",
    };
    uint64_t bytes;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        if (!berth_size_or_percent_parse(cases[i].text, cases[i].total, &bytes, &error))
            g_error("%s", error->message);
        if (bytes != cases[i].bytes)
            g_error("'%s' became %" G_GUINT64_FORMAT, cases[i].text, bytes);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        if (berth_size_or_percent_parse(bad[i], GIB, &bytes, &error))
            g_error("'%s' was taken for a percentage", bad[i]);
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_SIZE);
    }
}

static void test_size_message(void)
{
    g_autofree char *huge = g_strnfill(10000, '9');
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) long_error = NULL;
    uint64_t bytes;

    g_assert_false(berth_size_parse("32\nmm", &bytes, &error));
    g_assert_nonnull(strstr(error->message, "'32\\u000amm'"));
    g_assert_false(berth_size_parse(huge, &bytes, &long_error));
    g_assert_cmpuint(strlen(long_error->message), <, 400);
    g_assert_false(berth_size_parse(huge, &bytes, NULL));
}

static void test_size_format(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0B" },         { 1023, "1023B" },           { KIB, "1K" },
        { 64 * MIB, "64M" }, { MIB + 512 * KIB, "1.5M" }, { GIB * 3 / 2, "1.5G" },
        { 7 * TIB, "7T" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = berth_size_format(cases[i].bytes);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

/* Names and references */

static void test_names(void)
{
    static const char *const good[] = {
        "a",
        "A",
        "0",
        "demo",
        "a.b-c_d",
        "render-1",
        "0123456789abcdef0123456789abcde",
        "0123456789ABCDEF0123456789ABCDEF",
        "g123456789abcdef0123456789abcdef",
    };
    static const char *const bad[] = {
        "",      "-a",   ".a", "_a", "a b", "a/b", "a:b",   "a\n", "a\x01",
        "a\x7f", "\xff", "é",  " a", "a ",  "..",  "a\xc3", ID,
    };
    g_autofree char *longest = g_strnfill(BERTH_NAME_LENGTH, 'a');
    g_autofree char *too_long = g_strnfill(BERTH_NAME_LENGTH + 1, 'a');
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        if (!berth_name_check(good[i], &error))
            g_error("%s", error->message);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        if (berth_name_check(bad[i], &error))
            g_error("'%s' was taken for a name", bad[i]);
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_NAME);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_clear_error(&error);
    }
    g_assert_true(berth_name_check(longest, NULL));
    g_assert_false(berth_name_check(too_long, NULL));
}

static void test_ids(void)
{
    g_assert_true(berth_id_is_valid(ID));
    g_assert_false(berth_id_is_valid(""));
    g_assert_false(berth_id_is_valid(ID "0"));
    g_assert_false(berth_id_is_valid("0123456789abcdef0123456789abcde"));
    g_assert_false(berth_id_is_valid("0123456789ABCDEF0123456789ABCDEF"));
    g_assert_false(berth_id_is_valid("0123456789abcdef0123456789abcdeg"));
}

static void test_references(void)
{
    static const struct {
        const char *text;
        int kind;
        uid_t uid;
        const char *name;
    } good[] = {
        { ID, BERTH_REF_ID, 0, ID },
        { "demo", BERTH_REF_NAME, 0, "demo" },
        { "1000", BERTH_REF_NAME, 0, "1000" },
        { "0/demo", BERTH_REF_UID_NAME, 0, "demo" },
        { "1000/demo", BERTH_REF_UID_NAME, 1000, "demo" },
        { "4294967294/a", BERTH_REF_UID_NAME, 4294967294u, "a" },
    };
    static const char *const bad[] = {
        "",         "/",         "/demo",        "1000/",
        "1000/a/b", "root/demo", "-1/demo",      "+1/a",
        " 1/demo",  "0x10/demo", "4294967295/a", "4294967296/a",
        "1000 /a",  "1000/ a",   ("1000/" ID),   "99999999999999999999999/a",
        "1000\n/a",
    };
    g_autoptr(GError) error = NULL;
    BerthSandboxRef ref;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        if (!berth_sandbox_ref_parse(good[i].text, &ref, &error))
            g_error("%s", error->message);
        g_assert_cmpint(ref.kind, ==, good[i].kind);
        g_assert_cmpuint(ref.uid, ==, good[i].uid);
        g_assert_cmpstr(ref.text, ==, good[i].name);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        if (berth_sandbox_ref_parse(bad[i], &ref, &error))
            g_error("'%s' was taken for a reference", bad[i]);
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_NAME);
        g_clear_error(&error);
    }
}

/* Quoting */

static void test_quote(void)
{
    static const struct {
        const char *text, *quoted;
    } cases[] = {
        { "", "" },
        { "plain text, é, 漢", "plain text, é, 漢" },
        { "a\nb\tc\x1b[0m\x7f", "a\\u000ab\\u0009c\\u001b[0m\\u007f" },
        { "\xc2\x9b", "\\u009b" },         /* a C1 control character */
        { "a\xe2\x80\xaez", "a\\u202ez" }, /* NOLINT(misc-misleading-bidirectional) */
        { "a\xe2\x80\xa8z", "a\\u2028z" }, /* line separator */
        { "a\xffz", "a\xef\xbf\xbdz" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *quoted = berth_quote(cases[i].text);

        g_assert_cmpstr(quoted, ==, cases[i].quoted);
    }
}

/* Every length around the limit, of characters of one to six bytes as shown. */
static void test_quote_long(void)
{
    static const char *const fillers[] = { "a", "é", "漢", "\xf0\x9f\x9a\xa2", "\n", "\xff" };

    for (size_t i = 0; i < G_N_ELEMENTS(fillers); i++)
        for (unsigned lead = 0; lead < 8; lead++) {
            g_autofree char *start = g_strnfill(lead, 'x');
            g_autoptr(GString) text = g_string_new(start);
            g_autofree char *quoted = NULL;

            while (text->len < 10000)
                g_string_append(text, fillers[i]);
            quoted = berth_quote(text->str);
            g_assert_true(g_utf8_validate(quoted, -1, NULL));
            g_assert_true(g_str_has_suffix(quoted, "…"));
            g_assert_cmpuint(strlen(quoted), <=, 200 + strlen("…"));
            g_assert_cmpuint(strlen(quoted), >, 200 - 6);
            if (i < 4) /* a character that the cut broke is not shown */
                g_assert_null(strstr(quoted, "\xef\xbf\xbd"));
        }
    for (size_t length = 195; length <= 200; length++) {
        g_autofree char *text = g_strnfill(length, 'a');
        g_autofree char *quoted = berth_quote(text);

        g_assert_cmpstr(quoted, ==, text);
    }
}

/* Errors and log */

static void test_error_names(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (int code = 0; code < _BERTH_ERROR_MAX; code++) {
        const char *name = berth_error_dbus_name(code);

        g_assert_nonnull(name);
        g_assert_true(g_str_has_prefix(name, "org.freedesktop.DBus.Error.") ||
                      g_str_has_prefix(name, "org.berthd.Berth1.Error."));
        g_assert_true(g_hash_table_add(seen, (gpointer)name));
        g_assert_cmpint(berth_error_from_dbus_name(name), ==, code);
    }
    g_assert_cmpstr(berth_error_dbus_name(BERTH_ERROR_INVALID_MODE), ==,
                    "org.berthd.Berth1.Error.InvalidMode");
    g_assert_cmpstr(berth_error_dbus_name(BERTH_ERROR_ACCESS_DENIED), ==,
                    "org.freedesktop.DBus.Error.AccessDenied");
    g_assert_cmpstr(berth_error_dbus_name(-1), ==, "org.freedesktop.DBus.Error.Failed");
    g_assert_cmpstr(berth_error_dbus_name(_BERTH_ERROR_MAX), ==,
                    "org.freedesktop.DBus.Error.Failed");
    g_assert_cmpint(berth_error_from_dbus_name("org.berthd.Berth1.Error.Nonsense"), <, 0);
}

static void test_error_set(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(berth_set_error(NULL, BERTH_ERROR_FAILED, "%s", "x"));
    g_assert_false(berth_set_error_errno(NULL, BERTH_ERROR_FAILED, ENOENT, "x"));
    g_assert_false(berth_set_error_errno(&error, BERTH_ERROR_FAILED, ENOENT, "open %s", "%s"));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_FAILED);
    g_assert_cmpstr(error->message, ==, "open %s: No such file or directory");
}

static void test_log(void)
{
    for (int level = LOG_EMERG; level <= LOG_DEBUG; level++)
        g_assert_cmpint(berth_log_level_from_string(berth_log_level_to_string(level)), ==, level);
    g_assert_cmpint(berth_log_level_from_string("loud"), <, 0);
    g_assert_null(berth_log_level_to_string(LOG_DEBUG + 1));
    for (BerthLogTarget t = 0; t < _BERTH_LOG_TARGET_MAX; t++)
        g_assert_cmpint(berth_log_target_from_string(berth_log_target_to_string(t)), ==, t);
    g_assert_cmpint(berth_log_target_from_string("kmsg"), <, 0);

    /* the first line looks whether standard error is the journal; all of them keep errno */
    g_setenv("JOURNAL_STREAM", "1:1", TRUE);
    errno = EXDEV;
    berth_debug("not shown");
    g_assert_cmpint(errno, ==, EXDEV);
    berth_warning("shown");
    g_assert_cmpint(errno, ==, EXDEV);
    berth_log_set_target(BERTH_LOG_NULL);
    berth_warning("not shown");
    g_assert_cmpint(errno, ==, EXDEV);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/mode/words", test_mode_words);
    g_test_add_func("/base/mode/invalid", test_mode_invalid);
    g_test_add_func("/base/mode/message", test_mode_message);
    g_test_add_func("/base/mode/to-string", test_mode_to_string);
    g_test_add_func("/base/size/valid", test_size_valid);
    g_test_add_func("/base/size/invalid", test_size_invalid);
    g_test_add_func("/base/size/percent", test_size_percent);
    g_test_add_func("/base/size/message", test_size_message);
    g_test_add_func("/base/size/format", test_size_format);
    g_test_add_func("/base/names", test_names);
    g_test_add_func("/base/ids", test_ids);
    g_test_add_func("/base/references", test_references);
    g_test_add_func("/base/quote/cases", test_quote);
    g_test_add_func("/base/quote/long", test_quote_long);
    g_test_add_func("/base/error/names", test_error_names);
    g_test_add_func("/base/error/set", test_error_set);
    g_test_add_func("/base/log", test_log);
    return g_test_run();
}
