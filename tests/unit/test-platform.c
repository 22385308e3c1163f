/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Platforms: their words, this machine's, which image runs where, and the choice from an index.
 */

#include "base/error.h"
#include "oci/document.h"
#include "oci/platform.h"

#include <string.h>

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void assert_platform(BerthPlatform *platform, const char *expected)
{
    g_autofree char *text = NULL;

    g_assert_nonnull(platform);
    text = berth_platform_to_string(platform);
    g_assert_cmpstr(text, ==, expected);
    berth_platform_free(platform);
}

static void test_parse(void)
{
    static const char *const cases[][2] = {
        { "linux/amd64", "linux/amd64" },
        { "Linux/AMD64", "linux/amd64" },
        { "linux/x86_64", "linux/amd64" },
        { "linux/amd64/v1", "linux/amd64" },
        { "linux/amd64/v3", "linux/amd64/v3" },
        { "linux/arm64/v8", "linux/arm64" },
        { "linux/aarch64", "linux/arm64" },
        { "linux/arm", "linux/arm" },
        { "linux/arm/7", "linux/arm/v7" },
        { "linux/armhf", "linux/arm/v7" },
        { "linux/arm/7z", "linux/arm/7z" },
        { "linux/mips64", "linux/mips64" },
        { "windows/amd64", "windows/amd64" },
        { "linux/riscv64/rva22u64", "linux/riscv64/rva22u64" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_platform(berth_platform_parse(cases[i][0], NULL), cases[i][1]);
}

static void test_invalid(void)
{
    g_autofree char *big = g_strnfill(65, 'a'), *big_arch = g_strconcat("linux/", big, NULL);
    const char *const invalid[] = { "",           "linux",          "amd64",
                                    "linux/",     "/amd64",         "linux//v7",
                                    "linux/arm/", "linux/arm/v7/x", "linux/arm v7",
                                    "linux/../x", "linux/ämd64",    "linux/arm\n",
                                    big_arch };

    for (guint i = 0; i < G_N_ELEMENTS(invalid); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(berth_platform_parse(invalid[i], &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_INVALID_OPTION);
        g_assert_nonnull(strstr(error->message, "linux/arm/v7"));
    }
}

static void test_machine(void)
{
    static const char *const cases[][2] = {
        { "x86_64", "linux/amd64" },
        { "aarch64", "linux/arm64" },
        { "armv7l", "linux/arm/v7" },
        { "armv6l", "linux/arm/v6" },
        { "armv8l", "linux/arm/v8" },
        { "armv5tel", "linux/arm/v5" },
        { "i686", "linux/386" },
        { "ppc64le", "linux/ppc64le" },
        { "s390x", "linux/s390x" },
        { "riscv64", "linux/riscv64" },
        { "loongarch64", "linux/loong64" },
    };
    BerthPlatform *host = berth_platform_host(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_platform(berth_platform_from_machine("Linux", cases[i][0]), cases[i][1]);
    g_assert_cmpstr(host->os, ==, "linux");
    g_assert_cmpint(berth_platform_rank(host, host), ==, 0);
    berth_platform_free(host);
}

/* @offered: words from the best to the worst; "!" before those that do not run. */
static void assert_order(const char *wanted, const char *const *offered)
{
    g_autoptr(BerthPlatform) want = berth_platform_parse(wanted, NULL);
    int last = -1;

    for (; *offered; offered++) {
        bool runs = (*offered)[0] != '!';
        g_autoptr(BerthPlatform) have = berth_platform_parse(*offered + !runs, NULL);
        int rank = berth_platform_rank(want, have);

        g_test_message("%s on %s: %d", *offered, wanted, rank);
        if (runs)
            g_assert_cmpint(rank, >, last);
        else
            g_assert_cmpint(rank, ==, -1);
        last = runs ? rank : last;
    }
}

#define ORDER(wanted, ...) assert_order(wanted, (const char *const[]){ __VA_ARGS__, NULL })

static void test_rank(void)
{
    ORDER("linux/arm/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5",
          "linux/arm", "!linux/arm/v9", "!linux/arm64", "!linux/arm/v4");
    ORDER("linux/arm/v6", "linux/arm/v6", "linux/arm/v5", "linux/arm", "!linux/arm/v7");
    ORDER("linux/arm", "linux/arm", "linux/arm/v7", "linux/arm/v6", "!linux/arm/v8");
    ORDER("linux/amd64/v3", "linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "!linux/amd64/v4",
          "!linux/386");
    ORDER("linux/amd64", "linux/amd64", "!linux/amd64/v2", "!windows/amd64", "!linux/arm64");
    ORDER("linux/arm64", "linux/arm64", "!linux/arm64/v9", "!linux/arm/v8");
    ORDER("linux/arm64/v9", "linux/arm64/v9", "linux/arm64");
    ORDER("linux/ppc64le/power9", "linux/ppc64le/power9", "linux/ppc64le",
          "!linux/ppc64le/power10");
    ORDER("linux/ppc64le", "linux/ppc64le", "!linux/ppc64le/power10");
}

/* Choosing from an index */

#define MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define INDEX    "application/vnd.oci.image.index.v1+json"

/* Adds an entry whose size says which it is; @rest: more members, with a comma before. */
static void add(GString *json, const char *type, const char *rest)
{
    static const char start[] = "{\"schemaVersion\":2,\"manifests\":[";
    unsigned number;

    if (json->len == 0)
        g_string_append(json, start);
    else
        g_string_append_c(json, ',');
    number = json->len;
    g_string_append_printf(json,
                           "{\"mediaType\":\"%s\",\"digest\":\"sha256:" HEX "\",\"size\":%u%s}",
                           type, number, rest);
}

static void add_platform(GString *json, const char *os, const char *architecture,
                         const char *variant)
{
    g_autofree char *rest = g_strdup_printf(
        ",\"platform\":{\"os\":\"%s\",\"architecture\":\"%s\"%s%s%s}", os, architecture,
        variant ? ",\"variant\":\"" : "", variant ? variant : "", variant ? "\"" : "");

    add(json, MANIFEST, rest);
}

static BerthDocument *finish(GString *json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) raw = NULL;
    BerthDocument *document;

    g_string_append(json, "]}");
    raw = g_string_free_to_bytes(json);
    document = berth_document_parse(raw, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(document->index);
    return document;
}

/* Whether @index gives the entries with the numbers in @expected for @platform. */
static void assert_choice(const BerthIndex *index, const char *platform, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthPlatform) wanted = berth_platform_parse(platform, NULL);
    g_autoptr(GPtrArray) chosen = berth_index_choose(index, wanted, &error);
    g_autoptr(GString) numbers = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < chosen->len; i++)
        for (guint n = 0; n < index->manifests->len; n++)
            if (index->manifests->pdata[n] == chosen->pdata[i])
                g_string_append_printf(numbers, "%s%u", i > 0 ? " " : "", n);
    g_assert_cmpstr(numbers->str, ==, expected);
}

static void test_choose(void)
{
    g_autoptr(BerthDocument) document = NULL;
    GString *json = g_string_new(NULL);

    add_platform(json, "linux", "arm", "v5");
    add_platform(json, "linux", "arm", "v6");
    add_platform(json, "linux", "arm", "v7");
    add_platform(json, "linux", "amd64", "v2");
    add_platform(json, "linux", "amd64", NULL);
    add_platform(json, "linux", "amd64", NULL);
    add_platform(json, "linux", "arm64", "v8");
    add(json, INDEX, "");
    document = finish(json);
    assert_choice(document->index, "linux/arm/v8", "2");
    assert_choice(document->index, "linux/arm/v6", "1");
    assert_choice(document->index, "linux/amd64", "4");
    assert_choice(document->index, "linux/amd64/v3", "3");
    assert_choice(document->index, "linux/arm64", "6");
    assert_choice(document->index, "linux/s390x", "7"); /* may be inside */
}

static void test_choose_unsaid(void)
{
    g_autoptr(BerthDocument) document = NULL;
    GString *json = g_string_new(NULL);

    add(json, MANIFEST, "");
    add(json, "application/vnd.example+json", "");
    add(json, MANIFEST, ",\"artifactType\":\"application/vnd.example.signature\"");
    add(json, MANIFEST, ",\"platform\":{\"os\":\"linux\"}");
    add(json, INDEX, ",\"platform\":null");
    add(json, INDEX, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"}");
    add(json, "application/vnd.docker.distribution.manifest.v1+json",
        ",\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}");
    document = finish(json);
    assert_choice(document->index, "linux/amd64", "0 3 4");
    assert_choice(document->index, "linux/s390x", "5");
}

static void assert_unavailable(const BerthIndex *index, const char *platform, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthPlatform) wanted = berth_platform_parse(platform, NULL);

    g_assert_null(berth_index_choose(index, wanted, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_PLATFORM_UNAVAILABLE);
    g_assert_cmpstr(error->message, ==, expected);
}

static void test_unavailable(void)
{
    g_autoptr(BerthDocument) document = NULL, empty = NULL;
    g_autoptr(GBytes) raw = g_bytes_new_static("{\"schemaVersion\":2,\"manifests\":null}", 36);
    GString *json = g_string_new(NULL);

    add_platform(json, "linux", "arm", "v7");
    add_platform(json, "windows", "amd64", NULL);
    add_platform(json, "windows", "amd64", NULL);
    add_platform(json, "linux", "\\u001b[31m", NULL);
    document = finish(json);
    assert_unavailable(document->index, "linux/arm/v6",
                       "there is no image for platform linux/arm/v6; choose from: linux/arm/v7, "
                       "windows/amd64, linux/\\u001b[31m");

    empty = berth_document_parse(raw, NULL, NULL, NULL);
    assert_unavailable(empty->index, "linux/arm/v6",
                       "there is no image for platform linux/arm/v6, nor for any other");
}

static void test_unavailable_many(void)
{
    g_autoptr(BerthDocument) document = NULL;
    g_autoptr(BerthPlatform) wanted = berth_platform_parse("linux/amd64", NULL);
    g_autoptr(GError) error = NULL;
    GString *json = g_string_new(NULL);

    for (unsigned i = 0; i < 4096; i++) {
        g_autofree char *architecture = g_strdup_printf("a%u", i);

        add_platform(json, "linux", architecture, NULL);
    }
    document = finish(json);
    g_assert_null(berth_index_choose(document->index, wanted, &error));
    g_assert_cmpuint(strlen(error->message), <, 1000);
    g_assert_true(g_str_has_suffix(error->message, "linux/a31, …"));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/platform/parse", test_parse);
    g_test_add_func("/platform/invalid", test_invalid);
    g_test_add_func("/platform/machine", test_machine);
    g_test_add_func("/platform/rank", test_rank);
    g_test_add_func("/platform/choose/variants", test_choose);
    g_test_add_func("/platform/choose/unsaid", test_choose_unsaid);
    g_test_add_func("/platform/choose/unavailable", test_unavailable);
    g_test_add_func("/platform/choose/unavailable-many", test_unavailable_many);
    return g_test_run();
}
