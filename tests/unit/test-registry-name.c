/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of registries, patterns and what they consist of: addresses, networks, proxies' URLs, time
 * spans. Each has one spelling and everything else is refused with a message that says why.
 */

#include "base/error.h"
#include "base/registry-name.h"
#include "base/userinfo.h"
#include "settings/duration.h"
#include "settings/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' lacks '%s'", text, part);
}

static void assert_name(const char *text, const char *spelling)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(text, &error);
    g_autofree char *formatted = NULL;

    g_assert_no_error(error);
    formatted = berth_registry_name_format(name);
    g_assert_cmpstr(formatted, ==, spelling);
}

static void test_names(void)
{
    g_autofree char *label = g_strnfill(63, 'a');
    g_autofree char *host = g_strjoin(".", label, label, label, NULL);
    g_autoptr(BerthRegistryName) name = NULL;
    g_autofree char *authority = NULL;

    assert_name("registry.example.com", "registry.example.com");
    assert_name("Registry.Example.COM:5000", "registry.example.com:5000");
    assert_name("localhost", "localhost");
    assert_name("a-b.c--d", "a-b.c--d");
    assert_name("xn--bcher-kva.example", "xn--bcher-kva.example");
    assert_name("1host.2example", "1host.2example");
    assert_name(host, host);
    assert_name("h:0", "h:0");
    assert_name("h:65535", "h:65535");
    assert_name("h:00443", "h:443");
    assert_name("h/team", "h/team");
    assert_name("h:5000/team/a.b_c__d-e---f", "h:5000/team/a.b_c__d-e---f");
    assert_name("docker.io", "docker.io");
    assert_name("Index.Docker.io/library/busybox", "docker.io/library/busybox");
    assert_name("index.docker.io:443", "index.docker.io:443");

    name = berth_registry_name_parse("[2001:DB8::1]:5000/team/app", NULL);
    authority = berth_registry_name_authority(name);
    g_assert_cmpstr(authority, ==, "[2001:db8::1]:5000");
    g_assert_cmpstr(name->host, ==, "2001:db8::1");
    g_assert_cmpint(name->port, ==, 5000);
    g_assert_cmpstr(name->path, ==, "team/app");
    g_assert_true(name->is_address);
}

static void test_literals(void)
{
    assert_name("10.0.0.1", "10.0.0.1");
    assert_name("10.0.0.1:5000/a", "10.0.0.1:5000/a");
    assert_name("::1", "[::1]");
    assert_name("[::1]", "[::1]");
    assert_name("[0:0:0:0:0:0:0:1]:80", "[::1]:80");
    assert_name("2001:DB8:0::1", "[2001:db8::1]");
    /* the same host, however it is written */
    assert_name("[::ffff:10.0.0.1]:5000", "10.0.0.1:5000");
    assert_name("::ffff:a00:1", "10.0.0.1");
    /* in a name a slash and a number are a repository */
    assert_name("10.0.0.0/16", "10.0.0.0/16");
    assert_name("[::]/16", "[::]/16");
}

static void assert_refused(const char *text, const char *part)
{
    g_autoptr(GError) error = NULL, again = NULL;

    if (berth_registry_name_parse(text, &error))
        g_error("'%s' was taken", text);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_REFERENCE);
    assert_contains(error->message, part);
    g_assert_null(berth_registry_pattern_parse(text, &again));
    assert_contains(again->message, part);
}

static void test_refused_hosts(void)
{
    g_autofree char *label = g_strnfill(64, 'a');
    g_autofree char *dots = g_strnfill(300, 'a');

    for (size_t i = 1; i < 300; i += 2)
        dots[i] = '.';
    dots[299] = '\0';
    assert_refused("", "write host[:port]");
    assert_refused(":5000", "the host is missing");
    assert_refused("/team", "the host is missing");
    assert_refused("-invalid-registry", "hyphen");
    assert_refused("mytest-.com", "hyphen");
    assert_refused("a.-b", "hyphen");
    assert_refused("a_b", "other characters");
    assert_refused("a!b", "other characters");
    assert_refused("a..b", "empty");
    assert_refused("a.", "empty");
    assert_refused(".a", "empty");
    assert_refused(label, "63");
    assert_refused(dots, "253");
    assert_refused("b\303\274cher.example", "xn--");
    assert_refused("\"mytest.com\"", "quotes");
    assert_refused("\"mytest.com:5000\"", "quotes");
    assert_refused("'h'", "quotes");
    assert_refused("h?a=b", "query");
    assert_refused("h#a", "fragment");
    assert_refused("a b", "spaces");
    assert_refused("*", "other characters");
    /* what inet_aton(3) would take for an address */
    assert_refused("127.1", "ends like an address");
    assert_refused("2130706433", "ends like an address");
    assert_refused("0x7f000001", "ends like an address");
    assert_refused("0x7f.1", "ends like an address");
    assert_refused("010.0.0.1", "ends like an address");
    assert_refused("256.0.0.1", "ends like an address");
    assert_refused("10.0.0.1.", "empty");
    assert_refused("1200:0000:AB00:1234:0000:2552:7777:1313:8080", "brackets");
    assert_refused("[::1", "brackets");
    assert_refused("[10.0.0.1]:80", "brackets");
    assert_refused("[fe80::1%eth0]:80", "zone");
    assert_refused("[::1]5000", "after the ']'");
}

static void test_refused_rest(void)
{
    g_autofree char *path = g_strnfill(256, 'a');
    g_autofree char *long_path = g_strconcat("h/", path, NULL);

    assert_refused("mytest.com:500000", "port");
    assert_refused("h:65536", "port");
    assert_refused("h:", "port");
    assert_refused("h:http", "port");
    assert_refused("h:-1", "port");
    assert_refused("[::1]:", "port");
    assert_refused("h/", "'/' at the end");
    assert_refused("h/a/", "repository");
    assert_refused("h//a", "repository");
    assert_refused("h/Team", "lower-case");
    assert_refused("h/a:latest", "no tag");
    assert_refused("h/..", "repository");
    assert_refused("h/a___b", "repository");
    assert_refused("h/-a", "repository");
    assert_refused(long_path, "255");
    /* what could be a password is not repeated */
    assert_refused("user:secret@h", "'***@h'");
}

/* The text is a contract: tools match on it. */
static void test_scheme(void)
{
    static const char *const names[] = { "http://myregistry.example.com",
                                         "HTTP://h:5000",
                                         "svn://h/team",
                                         "*.://",
                                         "*.http://h",
                                         "://" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *message = g_strdup_printf(
            "allow-nondistributable-artifacts registry %s should not contain '://'", names[i]);
        g_autoptr(GError) error = NULL;

        g_assert_null(berth_registry_pattern_parse(names[i], &error));
        g_assert_cmpstr(error->message, ==, message);
    }
}

static void assert_pattern(const char *text, int kind, const char *spelling)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthRegistryPattern) pattern = berth_registry_pattern_parse(text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(pattern->kind, ==, kind);
    g_assert_cmpstr(pattern->text, ==, spelling);
}

static void test_patterns(void)
{
    static const char *const refused[] = {
        "*.",          "*.a/b",        "*.10.0.0.1", "*.[::1]",    "*.-a", "*.*.a",           "*a",
        "10.0.0.0/33", "10.0.0.0/016", "[::]/16",    "2001::/129", "h/*",  "[2001:db8::]/32",
    };

    assert_pattern("h:5000/team", BERTH_PATTERN_NAME, "h:5000/team");
    assert_pattern("*.Corp.Example", BERTH_PATTERN_DOMAIN, "*.corp.example");
    assert_pattern("*.corp.example:5000", BERTH_PATTERN_DOMAIN, "*.corp.example:5000");
    assert_pattern("*.index.docker.io", BERTH_PATTERN_DOMAIN, "*.index.docker.io");
    assert_pattern("1.2.3.0/24", BERTH_PATTERN_NETWORK, "1.2.3.0/24");
    assert_pattern("10.10.1.2/16", BERTH_PATTERN_NETWORK, "10.10.0.0/16");
    assert_pattern("2001:DB8::f/120", BERTH_PATTERN_NETWORK, "2001:db8::/120");
    assert_pattern("::ffff:10.1.2.3/104", BERTH_PATTERN_NETWORK, "10.0.0.0/8");
    assert_pattern("::ffff:10.1.2.3/64", BERTH_PATTERN_NETWORK, "::/64");
    assert_pattern("0.0.0.0/0", BERTH_PATTERN_NETWORK, "0.0.0.0/0");
    assert_pattern("10.0.0.0:80/16", BERTH_PATTERN_NAME, "10.0.0.0:80/16");
    assert_pattern("10.0.0.1/team", BERTH_PATTERN_NAME, "10.0.0.1/team");
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;

        if (berth_registry_pattern_parse(refused[i], &error))
            g_error("'%s' was taken", refused[i]);
        assert_contains(error->message, refused[i]);
    }
}

static void test_matching(void)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        { "h", "h", true },
        { "H", "h/team/app", true },
        { "h", "h:443", false },
        { "h:443", "h", false },
        { "h:5000", "H:05000/a", true },
        { "h/team", "h/team", true },
        { "h/team", "h/team/app", true },
        { "h/team", "h/teams", false },
        { "h/team", "h", false },
        { "index.docker.io", "docker.io/a", true },
        { "[::ffff:10.0.0.1]", "10.0.0.1", true },
        { "*.corp.example", "a.corp.example", true },
        { "*.corp.example", "a.b.CORP.example:5000/team", true },
        { "*.corp.example", "corp.example", false },
        { "*.corp.example", "acorp.example", false },
        { "*.corp.example:5000", "a.corp.example:5000", true },
        { "*.corp.example:5000", "a.corp.example", false },
        { "*.docker.io", "docker.io", false },
        { "10.0.0.0/8", "10.0.0.1", false }, /* a matter of addresses */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BerthRegistryPattern) pattern =
            berth_registry_pattern_parse(cases[i].pattern, NULL);
        g_autoptr(BerthRegistryName) name = berth_registry_name_parse(cases[i].name, NULL);

        if (berth_registry_pattern_matches_name(pattern, name) != cases[i].matches)
            g_error("%s and %s", cases[i].pattern, cases[i].name);
    }
}

static void test_networks(void)
{
    static const struct {
        const char *network, *address;
        bool contains;
    } cases[] = {
        { "10.10.0.0/16", "10.10.255.255", true },
        { "10.10.0.0/16", "10.11.0.0", false },
        { "10.10.0.0/15", "10.11.0.0", true },
        { "10.0.0.1/32", "10.0.0.1", true },
        { "10.0.0.1/32", "10.0.0.0", false },
        { "0.0.0.0/0", "255.255.255.255", true },
        { "0.0.0.0/0", "::1", false },
        { "::/0", "10.0.0.1", false },
        { "::/0", "::ffff:10.0.0.1", false }, /* which is IPv4 */
        { "10.0.0.0/8", "::ffff:10.0.0.1", true },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::1/128", "::1", true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        BerthNetwork network;
        BerthAddress address;

        g_assert_true(berth_network_parse(cases[i].network, &network));
        g_assert_true(berth_address_parse(cases[i].address, &address));
        if (berth_network_contains(&network, &address) != cases[i].contains)
            g_error("%s and %s", cases[i].network, cases[i].address);
    }
}

static void assert_public(const char *text, bool wanted)
{
    BerthAddress address;

    g_assert_true(berth_address_parse(text, &address));
    if (berth_address_is_public(&address) != wanted)
        g_error("%s", text);
}

static void test_public(void)
{
    static const char *const inside[] = {
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "::10.0.0.1",
        "64:ff9b::7f00:1",
        "3fff::1",
        "203.0.113.1",
        "198.51.100.1",
        "5f00::1",
        "192.88.99.1",
    };
    static const char *const outside[] = {
        "1.1.1.1",        "172.15.0.1", "172.32.0.1",       "100.128.0.1",     "223.255.255.255",
        "::ffff:1.1.1.1", "2606::1",    "64:ff9b::101:101", "2a00:1450::8888",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(inside); i++)
        assert_public(inside[i], false);
    for (size_t i = 0; i < G_N_ELEMENTS(outside); i++)
        assert_public(outside[i], true);
}

static void test_sockaddr(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_scope_id = 2 };
    struct sockaddr other = { .sa_family = AF_UNIX };
    BerthAddress address, expected;

    in.sin_addr.s_addr = htonl(0x0a000001);
    g_assert_true(berth_address_parse("10.0.0.1", &expected));
    g_assert_true(berth_address_from_sockaddr((struct sockaddr *)&in, &address));
    g_assert_true(berth_address_equal(&address, &expected));

    g_assert_cmpint(inet_pton(AF_INET6, "::ffff:10.0.0.1", &in6.sin6_addr), ==, 1);
    g_assert_true(berth_address_from_sockaddr((struct sockaddr *)&in6, &address));
    g_assert_true(berth_address_equal(&address, &expected));
    g_assert_false(berth_address_from_sockaddr(&other, &address));
}

static void test_proxies(void)
{
    static const char *const good[] = {
        "http://proxy.example:3128",      "https://u:p@proxy.example/",
        "socks5h://[::1]:1080",           "HTTP://h",
        "http://u%40x:p%2Fq@10.0.0.1:80", "socks4a://h:1",
    };
    static const char *const bad[] = {
        "proxy:3128",     "ftp://h",        "http://",      "http://h/path",
        "http://h:99999", "http://u@x@h",   "http://u/p@h", "http://u:%zz@h",
        "http://h?q",     "http://u:%0a@h", "http://h#f",   "http://u:%7F@h",
    };
    const char *hint;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        if (!berth_proxy_check(good[i], &hint))
            g_error("%s: %s", good[i], hint);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        hint = NULL;
        if (berth_proxy_check(bad[i], &hint))
            g_error("'%s' was taken", bad[i]);
        g_assert_nonnull(hint);
    }
}

static void test_redacted(void)
{
    static const char *const cases[][2] = {
        { "http://h:1", "http://h:1" },
        { "http://user:pass@h:1/", "http://***@h:1/" },
        { "http://u:p/w@x@h", "http://***@h" },
        { "u:p@h", "***@h" },
        { "u://p@h", "u://***@h" },
        { "u:p@h://x", "***@h://x" },
        { "none", "none" },
        { "", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *redacted = berth_userinfo_redact(cases[i][0]);

        g_assert_cmpstr(redacted, ==, cases[i][1]);
    }
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        uint64_t usec;
    } good[] = {
        { "0", 0 },
        { "10", 10000000 },
        { "10s", 10000000 },
        { "10 sec", 10000000 },
        { "500ms", 500000 },
        { "7us", 7 },
        { "1min 30s", 90000000 },
        { "1m30s", 90000000 },
        { "2h", UINT64_C(7200000000) },
        { "1d", UINT64_C(86400000000) },
    };
    static const char *const bad[] = {
        "",    " 1s", "-1",  "1.5s", "s",     "10x",        "1s 2",
        "1 1", "1S",  "10 ", "+1",   "1s,2s", "106751992d", "18446744073709551616us"
    };
    uint64_t usec;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(berth_duration_parse(good[i].text, &usec));
        g_assert_cmpuint(usec, ==, good[i].usec);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        if (berth_duration_parse(bad[i], &usec))
            g_error("'%s' was taken", bad[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registry-name/names", test_names);
    g_test_add_func("/registry-name/literals", test_literals);
    g_test_add_func("/registry-name/refused-hosts", test_refused_hosts);
    g_test_add_func("/registry-name/refused-rest", test_refused_rest);
    g_test_add_func("/registry-name/scheme", test_scheme);
    g_test_add_func("/registry-name/patterns", test_patterns);
    g_test_add_func("/registry-name/matching", test_matching);
    g_test_add_func("/registry-name/networks", test_networks);
    g_test_add_func("/registry-name/public", test_public);
    g_test_add_func("/registry-name/sockaddr", test_sockaddr);
    g_test_add_func("/registry-name/proxies", test_proxies);
    g_test_add_func("/registry-name/redacted", test_redacted);
    g_test_add_func("/registry-name/durations", test_durations);
    return g_test_run();
}
