/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of src/settings below the values: the line reader from memory, where everything that it
 * does not understand is an error that names the line, and which files apply.
 */

#include "settings-fixture.h"
#include "settings/files.h"
#include "settings/reader.h"

#include <sys/socket.h>
#include <sys/un.h>

/* The reader */

static void assert_reads(const char *text, const char *expected)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();
    g_autoptr(GString) got = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    if (!berth_settings_read_text("f", text, strlen(text), lines, &error))
        g_error("%s", error->message);
    for (unsigned i = 0; i < lines->len; i++) {
        const BerthSettingsLine *line = lines->pdata[i];

        g_assert_cmpstr(line->file, ==, "f");
        g_assert_true((line->key != NULL) == (line->value != NULL));
        g_string_append_printf(got, "%u{%s}", line->line, line->group);
        if (line->key)
            g_string_append_printf(got, "{%s}{%s}", line->key, line->value);
        g_string_append_c(got, '|');
    }
    g_assert_cmpstr(got->str, ==, expected);
}

static void test_reader_lines(void)
{
    assert_reads("", "");
    assert_reads("\n \n\t\n# c\n;c\n  # c=d\n", "");
    assert_reads("[A]", "1{A}|");
    assert_reads("[A]\nk=v", "1{A}|2{A}{k}{v}|");
    assert_reads("\n[A]\n\nk=v\nk=w\n[B]\nk=\n", "2{A}|4{A}{k}{v}|5{A}{k}{w}|6{B}|7{B}{k}{}|");
    assert_reads("[A]\r\nk = v \r\n", "1{A}|2{A}{k}{v}|");
    assert_reads(" [A] \n\t k\t=\t v w \t", "1{A}|2{A}{k}{v w}|");
    assert_reads("[A]\nk=a=b\nl=# no comment\nm=x ; neither\n",
                 "1{A}|2{A}{k}{a=b}|3{A}{l}{# no comment}|4{A}{m}{x ; neither}|");
    assert_reads("\xef\xbb\xbf[A]\nk=é", "1{A}|2{A}{k}{é}|");
    assert_reads("[A]\na b=[x]\n", "1{A}|2{A}{a b}{[x]}|");
}

static void test_reader_groups(void)
{
    assert_reads("[registry [::1]:5000]\nRetries=3\n",
                 "1{registry [::1]:5000}|2{registry [::1]:5000}{Retries}{3}|");
    assert_reads("[registry [::1]]", "1{registry [::1]}|");
    assert_reads(
        "[registry *.corp.example]\n[registry 10.10.0.0/16]\n[registry h/team]\n[defaults]",
        "1{registry *.corp.example}|2{registry 10.10.0.0/16}|3{registry h/team}|"
        "4{defaults}|");
    assert_reads("[[]", "1{[}|");
    assert_reads("[]]", "1{]}|");
}

static void assert_unreadable(const char *text, gssize length, const char *message)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();
    g_autoptr(GError) error = NULL;

    if (berth_settings_read_text("f", text, length < 0 ? strlen(text) : (size_t)length, lines,
                                 &error))
        g_error("'%s' was read", text);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_SETTINGS_INVALID);
    if (!g_str_has_prefix(error->message, message))
        g_error("'%s' is not '%s…'", error->message, message);
}

static void test_reader_errors(void)
{
    g_autofree char *line = g_strnfill(BERTH_SETTINGS_LINE_MAX + 1, '#');
    g_autofree char *file = g_strnfill(BERTH_SETTINGS_FILE_MAX + 1, '\n');

    assert_unreadable("k=v", -1, "f:1: a key before the first group");
    assert_unreadable("[A]\nMaxSandboxes 5\n", -1, "f:2: 'MaxSandboxes 5' is neither");
    assert_unreadable("\n[A\n", -1, "f:2: the group name has no closing");
    assert_unreadable("[A] # c", -1, "f:1: text after the group's ']'");
    assert_unreadable("[]", -1, "f:1: the group name is empty");
    assert_unreadable("[A]\n=v", -1, "f:2: no key");
    assert_unreadable("[A]\n \t= v", -1, "f:2: no key");
    assert_unreadable("[A]\nk=a \\\n b", -1, "f:2: a line cannot be continued");
    assert_unreadable("[A]\nk=a\x1b[0m", -1, "f:2: control character");
    assert_unreadable("[A]\rk=a\n", -1, "f:1: control character");
    assert_unreadable("[A]\nk=\xc2\x9b", -1, "f:2: control character");
    assert_unreadable("[A]\n# caf\xe9\n", -1, "f:2: not valid UTF-8");
    assert_unreadable("[A]\n\nk=\0v", 8, "f:3: NUL byte");
    assert_unreadable("\xef\xbb", -1, "f:1: not valid UTF-8");
    assert_unreadable(line, -1, "f:1: the line is too long");
    assert_unreadable(file, -1, "f: larger than the 1048576 bytes");
    line[BERTH_SETTINGS_LINE_MAX] = '\0';
    assert_reads(line, "");
    file[BERTH_SETTINGS_FILE_MAX] = '\0';
    assert_reads(file, "");
}

/* Which files apply */

static void test_files_main(Fixture *f, gconstpointer unused)
{
    load_ok(f); /* none at all */
    assert_row(f, "Sandboxes", "MaxSandboxes", "32768", "built-in");

    put(f, "lib/berth.conf", "[Sandboxes]\nMaxSandboxes=1\nMaxSandboxesPerUser=1\n");
    load_ok(f);
    assert_row(f, "Sandboxes", "MaxSandboxes", "1", "lib/berth.conf:2");

    put(f, "run/berth.conf", "[Sandboxes]\n\nMaxSandboxes=2\n");
    load_ok(f);
    assert_row(f, "Sandboxes", "MaxSandboxes", "2", "run/berth.conf:3");
    assert_row(f, "Sandboxes", "MaxSandboxesPerUser", "64", "built-in");

    put_link(f, "etc/berth.conf", "/dev/null");
    load_ok(f);
    assert_row(f, "Sandboxes", "MaxSandboxes", "32768", "built-in");
}

static void test_files_dropins(Fixture *f, gconstpointer unused)
{
    put(f, "etc/berth.conf", "[Sandboxes]\nMaxSandboxes=1\nMaxSandboxesPerUser=1\n");
    put(f, "lib/berth.conf.d/10-a.conf", "[Sandboxes]\nMaxSandboxes=2\n");
    put(f, "etc/berth.conf.d/20-b.conf", "[Sandboxes]\nMaxSandboxes=3\n");
    put(f, "run/berth.conf.d/30-c.conf", "[Sandboxes]\nMaxSandboxes=4\n");
    put(f, "lib/berth.conf.d/20-b.conf", "[Sandboxes]\nMaxSandboxesPerUser=9\n");
    load_ok(f); /* by name, not by directory; the higher 20-b masks the lower */
    assert_row(f, "Sandboxes", "MaxSandboxes", "4", "run/berth.conf.d/30-c.conf:2");
    assert_row(f, "Sandboxes", "MaxSandboxesPerUser", "1", "etc/berth.conf:3");

    put_link(f, "etc/berth.conf.d/30-c.conf", "/dev/null");
    load_ok(f);
    assert_row(f, "Sandboxes", "MaxSandboxes", "3", "etc/berth.conf.d/20-b.conf:2");

    put(f, "etc/berth.conf.d/90-x.conf~", "nonsense");
    put(f, "etc/berth.conf.d/.91-x.conf", "nonsense");
    put(f, "etc/berth.conf.d/92-x", "nonsense");
    put(f, "etc/berth.conf.d/93.conf.bak", "nonsense");
    load_ok(f);
    assert_row(f, "Sandboxes", "MaxSandboxes", "3", "etc/berth.conf.d/20-b.conf:2");
}

static void test_files_links(Fixture *f, gconstpointer unused)
{
    put(f, "elsewhere", "[Sandboxes]\nMaxSandboxes=5\n");
    put_link(f, "etc/berth.conf", "../elsewhere");
    load_ok(f);
    assert_row(f, "Sandboxes", "MaxSandboxes", "5", "etc/berth.conf:2");

    put_link(f, "etc/berth.conf.d/x.conf", "nowhere");
    load_fails(f, "~/etc/berth.conf.d/x.conf: link to a missing file");
    put_link(f, "etc/berth.conf.d/a.conf", "a.conf");
    load_fails(f, "~/etc/berth.conf.d/a.conf: cannot open the settings file: Too many levels");
}

/* What is no file is an error, and none of it may block. */
static void test_files_irregular(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = path_of(f, "run/berth.conf.d/x.conf");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    load_fails(f, "~/run/berth.conf.d/x.conf: not a regular file");
    g_assert_cmpint(g_rmdir(path), ==, 0);

    g_assert_cmpint(mkfifo(path, 0644), ==, 0);
    load_fails(f, "~/run/berth.conf.d/x.conf: not a regular file");
    g_assert_cmpint(g_unlink(path), ==, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    load_fails(f, "~/run/berth.conf.d/x.conf: not a regular file");
    close(fd);
    g_assert_cmpint(g_unlink(path), ==, 0);

    put_link(f, "run/berth.conf.d/x.conf", "/dev/zero");
    load_fails(f, "~/run/berth.conf.d/x.conf: not a regular file");
    g_assert_cmpint(g_unlink(path), ==, 0);

    put(f, "lib/berth.conf.d", "");
    load_fails(f, "~/lib/berth.conf.d: cannot read the directory of settings: Not a directory");

    g_free(f->directories[2]);
    f->directories[2] = g_build_filename(f->root, "lib/berth.conf.d/below", NULL);
    load_fails(f, "~/lib/berth.conf.d/below/berth.conf: cannot look for settings: Not a directory");
}

static void test_files_large(Fixture *f, gconstpointer unused)
{
    g_autofree char *text = g_strnfill(BERTH_SETTINGS_FILE_MAX + 1, '\n');

    put(f, "etc/berth.conf", text);
    load_fails(f, "~/etc/berth.conf: larger than the 1048576 bytes");
}

/* A file name that is not UTF-8 must not get into messages as it is: they go over the bus. */
static void test_files_names(Fixture *f, gconstpointer unused)
{
    put(f, "etc/berth.conf.d/\xff.conf", "[Sandboxes]\nMaxSandboxes=x\n");
    load_fails(f, "~/etc/berth.conf.d/\xef\xbf\xbd.conf:2: MaxSandboxes=x is invalid");
    g_assert_true(g_utf8_validate(f->error->message, -1, NULL));
}

static void test_files_vanished(Fixture *f, gconstpointer unused)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();
    g_autofree char *path = path_of(f, "etc/gone.conf");

    g_assert_true(berth_settings_files_read(path, lines, &f->error));
    g_assert_cmpuint(lines->len, ==, 0);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/reader/lines", test_reader_lines);
    g_test_add_func("/settings/reader/groups", test_reader_groups);
    g_test_add_func("/settings/reader/errors", test_reader_errors);
    ADD("files/main", test_files_main);
    ADD("files/dropins", test_files_dropins);
    ADD("files/links", test_files_links);
    ADD("files/irregular", test_files_irregular);
    ADD("files/large", test_files_large);
    ADD("files/names", test_files_names);
    ADD("files/vanished", test_files_vanished);
    return g_test_run();
}
