/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References: defaults, every part, bounds, and the spellings of a host that must come out as one.
 */

#include "base/error.h"
#include "base/reference.h"

#include <string.h>

#define HEX    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256 "sha256:" HEX
#define SHA512 "sha512:" HEX HEX

static void assert_full(const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthReference) reference = berth_reference_parse(text, &error);
    g_autoptr(BerthReference) again = NULL;
    g_autofree char *full = NULL, *full_again = NULL;

    g_assert_no_error(error);
    g_assert_nonnull(reference);
    full = berth_reference_to_string(reference);
    g_assert_cmpstr(full, ==, expected);
    again = berth_reference_parse(full, &error);
    g_assert_no_error(error);
    full_again = berth_reference_to_string(again);
    g_assert_cmpstr(full_again, ==, full);
}

static void assert_invalid(const char *text, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthReference) reference = berth_reference_parse(text, &error);

    if (reference)
        g_test_message("taken: '%s'", text);
    g_assert_null(reference);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_REFERENCE);
    if (!strstr(error->message, why))
        g_test_message("'%s': %s", text, error->message);
    g_assert_nonnull(strstr(error->message, why));
    g_assert_true(g_str_has_prefix(error->message, "invalid reference '"));
    g_assert_cmpuint(strlen(error->message), <, 800);
}

static void test_defaults(void)
{
    assert_full("busybox", "docker.io/library/busybox:latest");
    assert_full("busybox:1", "docker.io/library/busybox:1");
    assert_full("team/app", "docker.io/team/app:latest");
    assert_full("docker.io/busybox", "docker.io/library/busybox:latest");
    assert_full("docker.io/library/busybox", "docker.io/library/busybox:latest");
    assert_full("index.docker.io/busybox:2", "docker.io/library/busybox:2");
    assert_full("index.docker.io/a/b", "docker.io/a/b:latest");
    assert_full("localhost/app", "localhost/app:latest");
    assert_full("localhost:5000/app", "localhost:5000/app:latest");
    assert_full("localhost:5000", "docker.io/library/localhost:5000");
    assert_full("registry.example/app", "registry.example/app:latest");
    assert_full("a/b/c/d/e", "docker.io/a/b/c/d/e:latest");
    assert_full("docker.io:443/busybox", "docker.io:443/busybox:latest");
}

static void test_parts(void)
{
    g_autoptr(BerthReference) both =
        berth_reference_parse("127.0.0.1:5000/team/app:1@" SHA256, NULL);
    g_autoptr(BerthReference) tagged = berth_reference_parse("h.example/app:V1.0_x-y", NULL);
    g_autoptr(BerthReference) bare = berth_reference_parse("app@" SHA512, NULL);

    g_assert_cmpstr(both->registry, ==, "127.0.0.1:5000");
    g_assert_cmpstr(both->repository, ==, "team/app");
    g_assert_cmpstr(both->tag, ==, "1");
    g_assert_true(both->has_digest);
    g_assert_cmpstr(both->digest.text, ==, SHA256);
    g_assert_cmpstr(berth_reference_target(both), ==, SHA256);

    g_assert_cmpstr(tagged->tag, ==, "V1.0_x-y");
    g_assert_false(tagged->has_digest);
    g_assert_cmpstr(berth_reference_target(tagged), ==, "V1.0_x-y");

    g_assert_null(bare->tag);
    g_assert_cmpstr(berth_reference_target(bare), ==, SHA512);
    assert_full("127.0.0.1:5000/team/app:1@" SHA256, "127.0.0.1:5000/team/app:1@" SHA256);
    assert_full("app@" SHA512, "docker.io/library/app@" SHA512);
}

static void test_hosts(void)
{
    assert_full("Registry.EXAMPLE:5000/app", "registry.example:5000/app:latest");
    assert_full("LocalHost/app", "localhost/app:latest");
    assert_full("Docker.IO/busybox", "docker.io/library/busybox:latest");
    assert_full("HOST:80/app", "host:80/app:latest");
    assert_invalid("HOST/app", "lower case"); /* in lower case it would be a path in docker.io */
    assert_full("[::1]:5000/app", "[::1]:5000/app:latest");
    assert_full("[0:0::0:1]/app", "[::1]/app:latest");
    assert_full("[2001:DB8::0:A]:80/app", "[2001:db8::a]:80/app:latest");
    assert_full("my-registry:5000/app", "my-registry:5000/app:latest");
    assert_full("10.1.2.3/app", "10.1.2.3/app:latest");
    assert_full("h.example:65535/app", "h.example:65535/app:latest");
    assert_full("xn--bcher-kva.example/app", "xn--bcher-kva.example/app:latest");
}

static void test_bad_hosts(void)
{
    assert_invalid("https://h.example/app", "leave out");
    assert_invalid("docker://busybox", "leave out");
    assert_invalid("-h.example/app", "a registry is");
    assert_invalid("h-.example/app", "a registry is");
    assert_invalid("h..example/app", "a registry is");
    assert_invalid("h.example./app", "a registry is");
    assert_invalid(".h/app", "a registry is");
    assert_invalid("a_b.example/app", "a registry is");
    assert_invalid("h.exämple/app", "a registry is");
    assert_invalid("user@h.example/app", "invalid digest");
    assert_invalid(":5000/app", "registry");
    assert_invalid("/app", "empty");
    assert_invalid("h.example:/app", "port");
    assert_invalid("h.example:0/app", "port");
    assert_invalid("h.example:05000/app", "port");
    assert_invalid("h.example:65536/app", "port");
    assert_invalid("h.example:80x/app", "port");
    assert_invalid("h.example:80:80/app", "port");
    assert_invalid("[::1/app", "IPv6");
    assert_invalid("[::1]x/app", "IPv6");
    assert_invalid("[fe80::1%eth0]/app", "IPv6");
    assert_invalid("[127.0.0.1]/app", "IPv6");
    assert_invalid("[]:1/app", "IPv6");
    /* other spellings of 127.0.0.1 */
    assert_invalid("127.1/app", "IPv4");
    assert_invalid("0x7f.0.0.1/app", "IPv4");
    assert_invalid("127.0.0.0x1/app", "IPv4");
    assert_invalid("0177.0.0.1/app", "IPv4");
    assert_invalid("2130706433:5000/app", "IPv4");
    assert_invalid("0x7f000001:5000/app", "IPv4");
    assert_invalid("127.0.0.256/app", "IPv4");
}

static void test_names(void)
{
    assert_full("a.b/c", "a.b/c:latest");
    assert_full("x/a.b_c__d-e---f", "docker.io/x/a.b_c__d-e---f:latest");
    assert_full("0", "docker.io/library/0:latest");
    assert_invalid("", "missing");
    assert_invalid(":tag", "missing");
    assert_invalid("@" SHA256, "missing");
    assert_invalid("Busybox", "lower case");
    assert_invalid("team/App", "lower case");
    assert_invalid("a//b", "made of");
    assert_invalid("a/", "made of");
    assert_invalid("a/../b", "made of");
    assert_invalid("a/./b", "made of");
    assert_invalid("a___b", "made of");
    assert_invalid("a..b", "made of");
    assert_invalid("a._b", "made of");
    assert_invalid("-a", "made of");
    assert_invalid("a-", "made of");
    assert_invalid("a b", "made of");
    assert_invalid("a\nb", "made of");
    assert_invalid("a%2fb", "made of");
    assert_invalid("bücher", "made of");
    assert_invalid("a\xff", "made of");
    assert_invalid(HEX, "NAME@sha256");
    assert_invalid(SHA256, "NAME@DIGEST");
    assert_full("h.example/" HEX, "h.example/" HEX ":latest");
}

static void test_tags(void)
{
    assert_full("a:_x", "docker.io/library/a:_x");
    assert_full("a:0", "docker.io/library/a:0");
    assert_invalid("a:", "a tag is");
    assert_invalid("a:.x", "a tag is");
    assert_invalid("a:-x", "a tag is");
    assert_invalid("a:b:c", "a tag is");
    assert_invalid("a:b+c", "a tag is");
    assert_invalid("a:@" SHA256, "a tag is");
    assert_invalid("a:ü", "a tag is");
}

static void test_digests(void)
{
    assert_invalid("a@", "invalid digest");
    assert_invalid("a@sha256:", "invalid digest");
    assert_invalid("a@" SHA256 ":tag", "invalid digest");
    assert_invalid("a@" SHA256 "@" SHA256, "invalid digest");
    assert_invalid("a@md5:d41d8cd98f00b204e9800998ecf8427e", "invalid digest");
}

static void test_lengths(void)
{
    g_autofree char *tag = g_strnfill(128, 't'), *path = g_strnfill(255, 'p');
    g_autofree char *label = g_strnfill(63, 'h'), *huge = g_strnfill(100000, 'a');
    g_autofree char *host = g_strjoin(".", label, label, label, "hh", NULL);
    g_autofree char *full = g_strconcat(host, ":50000/", path, ":", tag, "@" SHA512, NULL);
    g_autofree char *tag_long = g_strconcat("a:", tag, "t", NULL);
    g_autofree char *path_long = g_strconcat("h.example/", path, "p", NULL);
    g_autofree char *library_long = g_strdup(path);
    g_autofree char *label_long = g_strconcat(label, "h.example/a", NULL);
    g_autofree char *host_long = g_strjoin(".", label, label, label, label, "x/a", NULL);

    assert_full(full, full);
    assert_invalid(tag_long, "a tag is");
    assert_invalid(path_long, "255");
    assert_invalid(library_long, "255"); /* with library/ before it */
    assert_invalid(label_long, "a registry is");
    assert_invalid(host_long, "255");
    assert_invalid(huge, "too long");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reference/defaults", test_defaults);
    g_test_add_func("/reference/parts", test_parts);
    g_test_add_func("/reference/hosts", test_hosts);
    g_test_add_func("/reference/bad-hosts", test_bad_hosts);
    g_test_add_func("/reference/names", test_names);
    g_test_add_func("/reference/tags", test_tags);
    g_test_add_func("/reference/digests", test_digests);
    g_test_add_func("/reference/lengths", test_lengths);
    return g_test_run();
}
