/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Declared sandboxes: every key, lists over several lines, and what is refused with the place where
 * it stands.
 */

#include "base/error.h"
#include "settings/declared.h"
#include "settings/reader.h"

#include <string.h>

#define MEMORY (UINT64_C(1) << 30)

static GPtrArray *parse(const char *text, GPtrArray *warnings, GError **error)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();
    g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(g_free);

    if (!berth_settings_read_text("s.conf", text, strlen(text), lines, error))
        return NULL;
    return berth_declared_from_lines(lines, MEMORY, warnings ? warnings : dropped, error);
}

static void test_every_key(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) declared =
        parse("[Sandbox]\n"
              "Name=render\n"
              "Mode=shareable\n"
              "ShmSize=25%\n"
              "ShmInodes=16k\n"
              "ShmHuge=advise\n"
              "ShmNuma=bind:0\n"
              "Sysctls=kernel.shmmni=100 \"kernel.sem=250 32000 32 128\"\n"
              "Sysctls=kernel.msgmni=5\n"
              "Users=alice 1000\n"
              "Users=bob\n"
              "Groups=render\n"
              "Labels=a=b c=\n"
              "Publish=yes\n"
              "\n"
              "[Sandbox]\n"
              "Name=joiner\n"
              "Mode=container:render\n",
              NULL, &error);
    const BerthDeclared *first;
    const BerthWanted *wanted;

    g_assert_no_error(error);
    g_assert_cmpuint(declared->len, ==, 2);
    first = declared->pdata[0];
    wanted = &first->wanted;
    g_assert_cmpstr(first->origin, ==, "s.conf:1");
    g_assert_cmpstr(wanted->name, ==, "render");
    g_assert_cmpstr(wanted->mode, ==, "shareable");
    g_assert_cmpuint(wanted->shm_size, ==, MEMORY / 4);
    g_assert_cmpuint(wanted->shm_inodes, ==, 16384);
    g_assert_cmpstr(wanted->huge, ==, "advise");
    g_assert_cmpstr(wanted->numa, ==, "bind:0");
    g_assert_cmpuint(g_hash_table_size(wanted->sysctls), ==, 3);
    g_assert_cmpstr(g_hash_table_lookup(wanted->sysctls, "kernel.sem"), ==, "250 32000 32 128");
    g_assert_cmpuint(g_strv_length(wanted->users), ==, 3);
    g_assert_cmpstr(wanted->users[2], ==, "bob");
    g_assert_cmpstr(wanted->groups[0], ==, "render");
    g_assert_cmpstr(g_hash_table_lookup(wanted->labels, "c"), ==, "");
    g_assert_true(wanted->publish);
    wanted = &((const BerthDeclared *)declared->pdata[1])->wanted;
    g_assert_cmpstr(wanted->mode, ==, "container:render");
    g_assert_false(wanted->publish);
    g_assert_null(wanted->users);
}

static void test_cleared(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) declared =
        parse("[Sandbox]\nName=a\nUsers=x y\nUsers=\nLabels=a=b\nLabels=\n"
              "ShmSize=1M\nShmSize=\nMode=host\nMode=\n",
              NULL, &error);
    const BerthWanted *wanted;

    g_assert_no_error(error);
    wanted = &((const BerthDeclared *)declared->pdata[0])->wanted;
    g_assert_null(wanted->users);
    g_assert_null(wanted->labels);
    g_assert_null(wanted->mode);
    g_assert_cmpuint(wanted->shm_size, ==, 0);
}

static void test_warnings(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) declared =
        parse("[Box]\nName=b\n[Sandbox]\nName=a\nLifetime=process\n", warnings, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(declared->len, ==, 1);
    g_assert_cmpuint(warnings->len, ==, 2);
    g_assert_true(strstr(warnings->pdata[0], "s.conf:1: unknown group [Box]"));
    g_assert_true(strstr(warnings->pdata[1], "s.conf:5: unknown key Lifetime="));
}

static void test_refused(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "[Sandbox]\nMode=private\n", "s.conf:1: a [Sandbox] without Name=" },
        { "[Sandbox]\nName=a\n[Sandbox]\nName=a\n", "s.conf:3: Name=a is declared at s.conf:1" },
        { "[Sandbox]\nName=a/b\n", "s.conf:2: Name=a/b" },
        { "[Sandbox]\nName=a\nShmSize=-1\n", "s.conf:3: ShmSize=-1" },
        { "[Sandbox]\nName=a\nShmSize=101%\n", "s.conf:3: ShmSize=101%" },
        { "[Sandbox]\nName=a\nPublish=maybe\n", "s.conf:3: Publish=maybe" },
        { "[Sandbox]\nName=a\nSysctls=kernel.shmmni\n", "s.conf:3: Sysctls=kernel.shmmni" },
        { "[Sandbox]\nName=a\nLabels=\"a=b\n", "s.conf:3: Labels=\"a=b" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(cases[i].text, NULL, &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
        g_assert_true(g_str_has_prefix(error->message, cases[i].message));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/declared/every-key", test_every_key);
    g_test_add_func("/declared/cleared", test_cleared);
    g_test_add_func("/declared/warnings", test_warnings);
    g_test_add_func("/declared/refused", test_refused);
    return g_test_run();
}
