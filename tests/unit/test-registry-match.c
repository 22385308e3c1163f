/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in force for a registry: precedence, networks and the addresses they are compared with,
 * where requests go, and where foreign layers may come from.
 */

#include "registries-fixture.h"

static void test_precedence(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[defaults]\nRetries=1\nMaxConnections=1\n"                /* 2, 3 */
                 "[registry 10.0.0.0/8]\nRetries=2\n"                       /* 5 */
                 "[registry 10.1.0.0/16]\nRetries=3\n"                      /* 7 */
                 "[registry *.example]\nRetries=4\n"                        /* 9 */
                 "[registry *.corp.example]\nRetries=5\n"                   /* 11 */
                 "[registry r.corp.example]\nRetries=6\n"                   /* 13 */
                 "[registry r.corp.example/team]\nRetries=7\n"              /* 15 */
                 "[registry r.corp.example/team/app]\nMaxConnections=8\n"); /* 17 */

    assert_value(registries, "r.corp.example/team/app", "10.1.0.1", "Retries", "7", "f:15");
    assert_value(registries, "r.corp.example/team/app", "10.1.0.1", "MaxConnections", "8", "f:17");
    assert_value(registries, "r.corp.example/other", "10.1.0.1", "Retries", "6", "f:13");
    assert_value(registries, "r.corp.example", "10.1.0.1", "MaxConnections", "1", "f:3");
    assert_value(registries, "r.corp.example:5000", "10.1.0.1", "Retries", "5", "f:11");
    assert_value(registries, "corp.example", "10.1.0.1", "Retries", "4", "f:9");
    assert_value(registries, "example", "10.1.0.1", "Retries", "3", "f:7");
    assert_value(registries, "example", "10.2.0.1", "Retries", "2", "f:5");
    assert_value(registries, "example", "11.0.0.1", "Retries", "1", "f:2");
    assert_value(registries, "example", NULL, "Retries", "1", "f:2");
    assert_value(registries, "example", "11.0.0.1", "StallTimeout", "30s", "built-in");
}

static void test_literal(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry 10.10.3.4/16]\nAllowNondistributable=yes\n"
                 "[registry 2001:db8::/32]\nInsecure=yes\n"
                 "[registry 10.10.0.1:5000]\nAllowNondistributable=no\n");
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse("10.10.0.1", NULL);
    g_autoptr(BerthRegistrySettings) settings = look_up(registries, "[::ffff:10.10.9.9]", NULL);
    g_autofree char *pinned = addresses_to_text(settings->pinned);

    g_assert_null(berth_registries_host_to_resolve(registries, name));
    g_assert_true(settings->allow_nondistributable);
    g_assert_false(settings->provisional);
    g_assert_cmpstr(pinned, ==, "10.10.9.9");
    /* what a caller says about a literal does not count */
    assert_value(registries, "10.10.0.1", "8.8.8.8", "AllowNondistributable", "yes", "f:2");
    assert_value(registries, "10.10.0.1:5000", NULL, "AllowNondistributable", "no", "f:6");
    assert_value(registries, "10.11.0.1", NULL, "AllowNondistributable", "no", "built-in");
    assert_value(registries, "[2001:db8::1]:80/a", NULL, "Insecure", "yes", "f:4");
}

/* A name is not its addresses unless a network says so. */
static void test_name_is_not_address(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry 10.0.0.1]\nInsecure=yes\nBlocked=yes\n");

    assert_value(registries, "h", "10.0.0.1", "Insecure", "no", "built-in");
    assert_value(registries, "h", "10.0.0.1", "Blocked", "no", "built-in");
    assert_value(registries, "h", "127.0.0.1", "Insecure", "no", "built-in");
}

static void assert_flag(BerthRegistries *registries, const char *name, const char *addresses,
                        BerthRegistryKeyId id, bool expected, const char *expected_pins)
{
    g_autoptr(BerthRegistrySettings) s = look_up(registries, name, addresses);
    g_autofree char *pinned = addresses_to_text(s->pinned);
    bool value = *(bool *)(void *)((char *)s + berth_registry_key(id)->offset);

    if (value != expected)
        g_error("%s with %s: %s is %d", name, addresses ? addresses : "(nothing)",
                berth_registry_key(id)->name, value);
    g_assert_cmpstr(pinned, ==, expected_pins);
}

static void test_permitting(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry 10.0.0.0/8]\nAllowNondistributable=yes\nInsecure=yes\n"
                 "[registry fd00::/8]\nAllowNondistributable=yes\n"
                 "[registry 10.66.0.0/16]\nAllowNondistributable=no\n");
    const BerthRegistryKeyId allow = BERTH_REGISTRY_ALLOW_NONDISTRIBUTABLE;
    const BerthRegistryKeyId insecure = BERTH_REGISTRY_INSECURE;

    assert_flag(registries, "h", "10.0.0.1", allow, true, "10.0.0.1");
    assert_flag(registries, "h", "10.0.0.1 10.9.0.1", allow, true, "10.0.0.1 10.9.0.1");
    assert_flag(registries, "h", "10.0.0.1 10.9.0.1", insecure, true, "10.0.0.1 10.9.0.1");
    /* one outside is enough */
    assert_flag(registries, "h", "10.0.0.1 11.0.0.1", allow, false, "");
    assert_flag(registries, "h", "11.0.0.1 10.0.0.1", insecure, false, "");
    /* two families, each in a network that allows it; Insecure in one of them only */
    assert_flag(registries, "h", "10.0.0.1 fd00::1", allow, true, "10.0.0.1 fd00::1");
    assert_flag(registries, "h", "10.0.0.1 fd00::1", insecure, false, "10.0.0.1 fd00::1");
    /* the longest network that holds an address speaks for it */
    assert_flag(registries, "h", "10.66.0.1", allow, false, "10.66.0.1");
    assert_flag(registries, "h", "10.0.0.1 10.66.0.1", allow, false, "10.0.0.1 10.66.0.1");
    assert_flag(registries, "h", "", allow, false, "");
    assert_flag(registries, "h", NULL, allow, false, "");
}

static void test_refusing_beats_defaults(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[defaults]\nInsecure=yes\n[registry 10.0.0.0/8]\nInsecure=no\n");

    assert_value(registries, "h", "10.0.0.1 11.0.0.1", "Insecure", "no", "f:4");
    assert_value(registries, "h", "11.0.0.1", "Insecure", "yes", "f:2");
}

static void test_blocked(void)
{
    g_autoptr(BerthRegistries) registries = parse_ok("[registry 10.0.0.0/8]\nBlocked=yes\n"
                                                     "[registry 10.1.0.0/16]\nBlocked=no\n"
                                                     "[registry good.example]\nBlocked=no\n");
    g_autoptr(BerthRegistries) harmless = parse_ok("[registry 10.1.0.0/16]\nBlocked=no\n");
    g_autoptr(BerthRegistrySettings) unknown = look_up(registries, "h", NULL);

    assert_value(registries, "h", "10.0.0.1", "Blocked", "yes", "f:2");
    assert_value(registries, "h", "11.0.0.1 10.0.0.1", "Blocked", "yes", "f:2");
    assert_value(registries, "h", "11.0.0.1", "Blocked", "no", "built-in");
    assert_value(registries, "h", "10.1.0.1", "Blocked", "no", "f:4");
    assert_value(registries, "h", "10.1.0.1 10.0.0.1", "Blocked", "yes", "f:2");
    /* permission for one address is none for the others */
    assert_value(registries, "h", "10.1.0.1 11.0.0.1", "Blocked", "no", "built-in");
    assert_value(registries, "h", "", "Blocked", "yes", "f:2");
    assert_value(registries, "good.example", "", "Blocked", "no", "f:6");
    assert_value(registries, "good.example", "10.0.0.1", "Blocked", "no", "f:6");
    assert_value(harmless, "h", "", "Blocked", "no", "built-in");
    g_assert_true(unknown->blocked);
    g_assert_true(unknown->provisional);

    /* what leads to no blocked network now must not lead to one later */
    assert_flag(registries, "h", "11.0.0.1", BERTH_REGISTRY_BLOCKED, false, "11.0.0.1");
    assert_flag(registries, "good.example", "11.0.0.1", BERTH_REGISTRY_BLOCKED, false, "");
    assert_flag(harmless, "h", "11.0.0.1", BERTH_REGISTRY_BLOCKED, false, "");
}

static void test_other_keys_of_networks(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry 10.0.0.0/8]\nRetries=1\nCAFile=/ca\n"
                 "[registry 10.1.0.0/16]\nRetries=2\n"
                 "[registry fd00::/8]\nRetries=3\nCAFile=/ca\n");

    assert_value(registries, "h", "10.1.0.1", "Retries", "2", "f:5");
    /* in different networks: what holds both decides */
    assert_value(registries, "h", "10.1.0.1 10.2.0.1", "Retries", "1", "f:2");
    assert_value(registries, "h", "10.1.0.1 11.0.0.1", "Retries", "5", "built-in");
    /* no network holds two families, but they may agree */
    assert_value(registries, "h", "10.1.0.1 fd00::1", "CAFile", "/ca", "f:3");
    assert_value(registries, "h", "10.1.0.1 fd00::1", "Retries", "5", "built-in");
    assert_value(registries, "h", "", "Retries", "5", "built-in");
}

static void assert_resolves(BerthRegistries *registries, const char *text, const char *expected)
{
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(text, NULL);
    g_autofree char *host = berth_registries_host_to_resolve(registries, name);

    g_assert_cmpstr(host, ==, expected);
}

static void test_host_to_resolve(void)
{
    g_autoptr(BerthRegistries) none = parse_ok("[registry h]\nInsecure=yes\n[defaults]\nRetries=1");
    g_autoptr(BerthRegistries) empty = parse_ok("[registry 10.0.0.0/8]\n");
    g_autoptr(BerthRegistries) some = parse_ok("[registry 10.0.0.0/8]\nInsecure=yes\nRetries=3\n"
                                               "[registry decided]\nInsecure=no\nRetries=1\n"
                                               "[registry half]\nInsecure=no\n"
                                               "[registry away]\nLocation=other:5000\n"
                                               "[registry fixed]\nLocation=10.0.0.1:5000\n"
                                               "[registry 10.0.0.9]\nLocation=named\n");

    assert_resolves(none, "h", NULL);
    assert_resolves(none, "other", NULL);
    assert_resolves(empty, "h", NULL);
    assert_resolves(some, "h:5000/team", "h");
    assert_resolves(some, "10.1.1.1", NULL);
    assert_resolves(some, "decided", NULL);
    assert_resolves(some, "half", "half");
    assert_resolves(some, "away", "other");
    assert_resolves(some, "fixed", NULL);
    assert_resolves(some, "10.0.0.9", "named");
    assert_resolves(some, "docker.io/busybox", "registry-1.docker.io");
    assert_value(some, "fixed", NULL, "Insecure", "yes", "f:2");
    assert_value(some, "10.0.0.9", "11.0.0.1", "Insecure", "no", "built-in");
}

static void test_loopback(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry here]\nLocation=127.0.0.1:5000\n[registry 127.0.0.2]\nLocation=far\n"
                 "[registry 127.0.0.3]\nInsecure=no\n");
    g_autoptr(BerthRegistries) strict = parse_ok("[defaults]\nInsecure=no\n");
    static const char *const names[] = { "127.0.0.1:5000",    "127.255.255.255/a", "[::1]:5000",
                                         "localhost",         "LocalHost:80",      "here",
                                         "[::ffff:127.0.0.1]" };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_value(registries, names[i], NULL, "Insecure", "yes", "built-in");
        assert_value(registries, names[i], NULL, "AllowNondistributable", "no", "built-in");
    }
    assert_value(registries, "localhost.example", NULL, "Insecure", "no", "built-in");
    /* it is where the connection goes that counts */
    assert_value(registries, "127.0.0.2", NULL, "Insecure", "no", "built-in");
    assert_value(registries, "127.0.0.3", NULL, "Insecure", "no", "f:6");
    assert_value(strict, "localhost", NULL, "Insecure", "no", "f:2");
}

static void assert_served_by(BerthRegistries *registries, const char *name, const char *expected)
{
    g_autoptr(BerthRegistrySettings) settings = look_up(registries, name, NULL);
    g_autofree char *serving = berth_registry_name_format(settings->serving);

    g_assert_cmpstr(serving, ==, expected);
}

static void test_location(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry h]\nLocation=o:5000/prefix\n"
                 "[registry h/team]\nLocation=t\n"
                 "[registry h/team/app]\nRetries=1\n"
                 "[registry *.corp.example]\nLocation=front/all\n"
                 "[registry hub]\nLocation=docker.io\n"
                 "[registry o:5000]\nLocation=not-followed\n");

    assert_served_by(registries, "plain/a/b", "plain/a/b");
    assert_served_by(registries, "h/a/b", "o:5000/prefix/a/b");
    assert_served_by(registries, "h", "o:5000/prefix");
    assert_served_by(registries, "h/team/app/x", "t/app/x");
    assert_served_by(registries, "h/team", "t");
    assert_served_by(registries, "a.corp.example/x", "front/all/x");
    assert_served_by(registries, "hub/busybox", "registry-1.docker.io/library/busybox");
}

static void test_docker_hub(void)
{
    g_autoptr(BerthRegistries) plain = parse_ok("[registry docker.io/library]\nRetries=1\n");
    g_autoptr(BerthRegistries) moved =
        parse_ok("[registry index.docker.io]\nLocation=mirror.example/hub\n");

    assert_served_by(plain, "docker.io/busybox", "registry-1.docker.io/library/busybox");
    assert_served_by(plain, "index.docker.io/team/app", "registry-1.docker.io/team/app");
    assert_served_by(plain, "docker.io", "registry-1.docker.io");
    assert_served_by(plain, "docker.io:443/a", "docker.io:443/a");
    assert_served_by(plain, "registry-1.docker.io/a", "registry-1.docker.io/a");
    assert_served_by(moved, "docker.io/busybox", "mirror.example/hub/library/busybox");
    assert_value(plain, "index.docker.io/busybox", NULL, "Retries", "1", "f:2");
    assert_value(plain, "docker.io/team/app", NULL, "Retries", "5", "built-in");
}

static void assert_read_from(BerthRegistries *registries, const char *name, bool by_digest,
                             const char *expected)
{
    g_autoptr(BerthRegistrySettings) settings = look_up(registries, name, NULL);
    g_autoptr(GPtrArray) places = berth_registry_settings_read_from(settings, by_digest);
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < places->len; i++) {
        g_autofree char *place = berth_registry_name_format(places->pdata[i]);

        g_string_append_printf(text, "%s%s", i ? " " : "", place);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

static void test_mirrors(void)
{
    g_autoptr(BerthRegistries) registries =
        parse_ok("[registry h]\nMirrors=m1 m2:5000/cache\nLocation=o\n"
                 "[registry h/team]\nMirrors=m3/x\n"
                 "[registry h/tags]\nMirrorsFor=tags\n"
                 "[registry h/digests]\nMirrorsFor=digests\n"
                 "[defaults]\nMirrors=all.example/d\n");

    assert_read_from(registries, "h/a", false, "m1/a m2:5000/cache/a o/a");
    assert_read_from(registries, "h/a", true, "m1/a m2:5000/cache/a o/a");
    assert_read_from(registries, "h/team/app", false, "m3/x/app o/team/app");
    assert_read_from(registries, "h/tags", false, "m1/tags m2:5000/cache/tags o/tags");
    assert_read_from(registries, "h/tags", true, "o/tags");
    assert_read_from(registries, "h/digests", false, "o/digests");
    assert_read_from(registries, "h/digests", true, "m1/digests m2:5000/cache/digests o/digests");
    assert_read_from(registries, "docker.io/busybox", true,
                     "all.example/d/library/busybox registry-1.docker.io/library/busybox");
}

static void assert_url(BerthRegistries *registries, const char *host_text, const char *addresses,
                       const char *expected)
{
    g_autoptr(BerthRegistrySettings) settings = look_up(registries, "h", NULL);
    g_autoptr(BerthRegistryName) host = berth_registry_name_parse(host_text, NULL);
    g_auto(GStrv) words = g_strsplit(addresses, " ", -1);
    BerthAddress list[4];
    BerthAddresses given = { list, 0 };
    g_autoptr(GArray) allowed = NULL;
    g_autofree char *text = NULL;

    for (char **word = words; *word; word++)
        g_assert_true(berth_address_parse(*word, &list[given.count++]));
    allowed = berth_registry_settings_url_addresses(settings, host, &given);
    text = addresses_to_text(allowed);
    g_assert_cmpstr(text, ==, expected);
}

static void test_foreign_urls(void)
{
    g_autoptr(BerthRegistries) open = parse_ok("");
    g_autoptr(BerthRegistries) listed =
        parse_ok("[registry h]\nForeignUrlHosts=layers.example *.cdn.example:443 10.1.0.0/16 "
                 "[::1]:8080\n");

    assert_url(open, "u.example:443", "1.1.1.1 10.0.0.1 2606::1", "1.1.1.1 2606::1");
    assert_url(open, "u.example:443", "127.0.0.1 169.254.169.254", "");
    assert_url(open, "u.example:443", "", "");
    assert_url(listed, "layers.example:80", "192.168.0.1", "192.168.0.1");
    assert_url(listed, "a.cdn.example:443", "192.168.0.1", "192.168.0.1");
    assert_url(listed, "a.cdn.example:80", "192.168.0.1", "");
    assert_url(listed, "u.example:80", "10.1.0.1 10.2.0.1 1.1.1.1", "10.1.0.1");
    assert_url(listed, "[::1]:8080", "::1", "::1");
    assert_url(listed, "[::1]:80", "::1", "");
}

static void test_narrowing(void)
{
    static const struct {
        BerthForeignLayers settings;
        bool first, registry, url, skip;
    } cases[] = {
        { BERTH_FOREIGN_REGISTRY_FIRST, true, true, true, true },
        { BERTH_FOREIGN_REGISTRY_ONLY, false, true, false, true },
        { BERTH_FOREIGN_URL_ONLY, false, false, true, true },
        { BERTH_FOREIGN_SKIP, false, false, false, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        BerthForeignLayers s = cases[i].settings;

        g_assert_true(berth_foreign_layers_narrows(s, BERTH_FOREIGN_REGISTRY_FIRST) ==
                      cases[i].first);
        g_assert_true(berth_foreign_layers_narrows(s, BERTH_FOREIGN_REGISTRY_ONLY) ==
                      cases[i].registry);
        g_assert_true(berth_foreign_layers_narrows(s, BERTH_FOREIGN_URL_ONLY) == cases[i].url);
        g_assert_true(berth_foreign_layers_narrows(s, BERTH_FOREIGN_SKIP) == cases[i].skip);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registry-match/precedence", test_precedence);
    g_test_add_func("/registry-match/literal", test_literal);
    g_test_add_func("/registry-match/name-is-not-address", test_name_is_not_address);
    g_test_add_func("/registry-match/permitting", test_permitting);
    g_test_add_func("/registry-match/refusing-beats-defaults", test_refusing_beats_defaults);
    g_test_add_func("/registry-match/blocked", test_blocked);
    g_test_add_func("/registry-match/other-keys", test_other_keys_of_networks);
    g_test_add_func("/registry-match/host-to-resolve", test_host_to_resolve);
    g_test_add_func("/registry-match/loopback", test_loopback);
    g_test_add_func("/registry-match/location", test_location);
    g_test_add_func("/registry-match/docker-hub", test_docker_hub);
    g_test_add_func("/registry-match/mirrors", test_mirrors);
    g_test_add_func("/registry-match/foreign-urls", test_foreign_urls);
    g_test_add_func("/registry-match/narrowing", test_narrowing);
    return g_test_run();
}
