/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Headers of registries: WWW-Authenticate, Content-Range, Range, Retry-After, Link, whole answers,
 * URLs and where they lead, and which proxy is for them.
 */

#include "base/error.h"
#include "registry/challenge.h"
#include "registry/headers.h"
#include "registry/proxy.h"
#include "registry/response.h"
#include "registry/url.h"

#include <stdlib.h>
#include <string.h>

static GPtrArray *challenges_of(const char *first, const char *second)
{
    const char *const values[] = { first, second, NULL };

    return berth_challenges_parse(values);
}

static void check_param(const GPtrArray *challenges, unsigned n, const char *name,
                        const char *value)
{
    g_assert_cmpuint(n, <, challenges->len);
    g_assert_cmpstr(berth_challenge_param(challenges->pdata[n], name), ==, value);
}

static void check_scheme(const GPtrArray *challenges, unsigned n, const char *scheme,
                         const char *token)
{
    const BerthChallenge *challenge;

    g_assert_cmpuint(n, <, challenges->len);
    challenge = challenges->pdata[n];
    g_assert_cmpstr(challenge->scheme, ==, scheme);
    g_assert_cmpstr(challenge->token, ==, token);
}

static void test_challenge(void)
{
    g_autoptr(GPtrArray) found =
        challenges_of("Bearer realm=\"https://auth.test/token\",service=\"reg, istry\" , "
                      "scope=\"repository:a/b:pull,push\",error=\"say \\\"no\\\"\"",
                      NULL);

    g_assert_cmpuint(found->len, ==, 1);
    check_scheme(found, 0, "bearer", NULL);
    check_param(found, 0, "realm", "https://auth.test/token");
    check_param(found, 0, "service", "reg, istry");
    check_param(found, 0, "scope", "repository:a/b:pull,push");
    check_param(found, 0, "error", "say \"no\"");
    check_param(found, 0, "other", NULL);
}

static void test_challenges(void)
{
    g_autoptr(GPtrArray) found =
        challenges_of("Negotiate, NTLM abc/+~==,Basic realm=\"a\" ,, DIGEST Realm = b , x=",
                      "Bearer realm=https://auth.test/token?a=b,service=s");

    g_assert_cmpuint(found->len, ==, 5);
    check_scheme(found, 0, "negotiate", NULL);
    check_scheme(found, 1, "ntlm", "abc/+~==");
    check_scheme(found, 2, "basic", NULL);
    check_param(found, 2, "realm", "a");
    check_scheme(found, 3, "digest", NULL);
    check_param(found, 3, "realm", "b");
    check_param(found, 3, "x", "");
    check_scheme(found, 4, "bearer", NULL);
    check_param(found, 4, "realm", "https://auth.test/token?a=b");
    check_param(found, 4, "service", "s");
}

static void test_challenge_oddities(void)
{
    static const char *const texts[] = { "", " ", ",,", "\"", "=", "=\"x\"", "@", "\"Bearer\"" };
    g_autoptr(GPtrArray) cut = challenges_of("Bearer realm=\"http", NULL);
    g_autoptr(GPtrArray) twice = challenges_of("Bearer realm=a,realm=b", NULL);
    g_autofree char *many = g_strnfill(1000, 'x');
    g_autoptr(GPtrArray) bounded = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GPtrArray) none = challenges_of(texts[i], NULL);

        g_assert_cmpuint(none->len, ==, 0);
    }
    check_param(cut, 0, "realm", NULL);
    check_param(twice, 0, "realm", "a");
    for (unsigned i = 1; i < 1000; i += 2)
        many[i] = ',';
    bounded = challenges_of(many, NULL);
    g_assert_cmpuint(bounded->len, ==, BERTH_CHALLENGES_MAX);
}

static void test_content_range(void)
{
    static const struct {
        const char *text;
        int64_t first, last, total;
    } good[] = {
        { "bytes 0-0/1", 0, 0, 1 },
        { "bytes 5-9/10", 5, 9, 10 },
        { "BYTES  5-9/*", 5, 9, -1 },
        { "bytes */10", -1, -1, 10 },
        { "bytes 0-9223372036854775806/9223372036854775807", 0, INT64_MAX - 1, INT64_MAX },
    };
    static const char *const bad[] = {
        "",
        "bytes",
        "bytes ",
        "bytes0-0/1",
        "bytes 0-0",
        "bytes 0-0/",
        "bytes 0-0/1 ",
        "bytes 1-0/2",
        "bytes 0-1/1",
        "bytes 0-1/2x",
        "bytes -1/2",
        "bytes 0-/2",
        "bytes */*",
        "pages 0-0/1",
        "bytes +0-0/1",
        "bytes 0-9223372036854775808/*",
        "bytes 0 -0/1",
        "bytes 0-99999999999999999999/*",
    };
    BerthContentRange range;

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(berth_content_range_parse(good[i].text, &range));
        g_assert_cmpint(range.first, ==, good[i].first);
        g_assert_cmpint(range.last, ==, good[i].last);
        g_assert_cmpint(range.total, ==, good[i].total);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        if (berth_content_range_parse(bad[i], &range))
            g_error("taken: '%s'", bad[i]);
}

static void test_range(void)
{
    static const char *const bad[] = { "", "0-", "-5", "1-5", "bytes 0-5", "0-5,7-8", "0-5 " };
    int64_t last;

    g_assert_true(berth_range_parse("0-5", &last));
    g_assert_cmpint(last, ==, 5);
    g_assert_true(berth_range_parse("bytes=0-0", &last));
    g_assert_cmpint(last, ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(berth_range_parse(bad[i], &last));
}

static void test_retry_after(void)
{
    static const int64_t now = 784111777; /* RFC 9110, 5.6.7 */
    static const char *const bad[] = { "", "soon", "1.5", "-1", "1 2", "99999999999999999999" };
    static const char *const dates[] = { "Sun, 06 Nov 1994 08:49:47 GMT",
                                         "Sunday, 06-Nov-94 08:49:47 GMT",
                                         "Sun Nov  6 08:49:47 1994" };
    uint64_t seconds;

    g_assert_true(berth_retry_after_parse("120", now, &seconds));
    g_assert_cmpuint(seconds, ==, 120);
    for (unsigned i = 0; i < G_N_ELEMENTS(dates); i++) {
        g_assert_true(berth_retry_after_parse(dates[i], now, &seconds));
        g_assert_cmpuint(seconds, ==, 10);
    }
    g_assert_true(berth_retry_after_parse(dates[0], now + 100, &seconds));
    g_assert_cmpuint(seconds, ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        if (berth_retry_after_parse(bad[i], now, &seconds))
            g_error("taken: '%s'", bad[i]);
}

static void test_link(void)
{
    static const struct {
        const char *text, *next;
    } cases[] = {
        { "</v2/_catalog?n=2&last=b>; rel=\"next\"", "/v2/_catalog?n=2&last=b" },
        { "<a>; rel=prev, <b>;rel=next", "b" },
        { "<a>; title=\"x, <c>; rel=next\"; rel=\"first next\"", "a" },
        { "<a>; REL = Next", "a" },
        { "<a>; rel=\"prev\"", NULL },
        { "<a>; x; rel=next", "a" },
        { "<>; rel=next", NULL },
        { "<a; rel=next", NULL },
        { "a; rel=next", NULL },
        { "<a> rel=next", NULL },
        { "<a>; rel=\"next", NULL },
        { "", NULL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *next = berth_link_next(cases[i].text);

        g_assert_cmpstr(next, ==, cases[i].next);
    }
}

static bool add(BerthResponse *response, const char *line)
{
    return berth_response_add_line(response, line, strlen(line));
}

static void test_response(void)
{
    BerthResponse response;
    g_auto(GStrv) all = NULL;

    berth_response_init(&response);
    g_assert_true(add(&response, "HTTP/1.1 103 Early Hints\r\n"));
    g_assert_true(add(&response, "Content-Length: 7\r\n"));
    g_assert_true(add(&response, "\r\n"));
    g_assert_false(response.complete);
    g_assert_true(add(&response, "HTTP/2 206\r\n"));
    g_assert_true(add(&response, "Content-Length:  42 \r\n"));
    g_assert_true(add(&response, "WWW-Authenticate: a\r\n"));
    g_assert_true(add(&response, "X: with\x01control\r\n"));
    g_assert_true(add(&response, "no colon\r\n"));
    g_assert_true(add(&response, ": no name\r\n"));
    g_assert_true(add(&response, "www-authenticate:\r\n"));
    g_assert_false(response.complete);
    g_assert_true(add(&response, "\r\n"));
    g_assert_true(response.complete);
    g_assert_true(add(&response, "Content-Length: 43\r\n")); /* a trailer */
    g_assert_cmpuint(response.status, ==, 206);
    g_assert_cmpint(berth_response_length(&response), ==, 42);
    g_assert_null(berth_response_get(&response, "x"));
    all = berth_response_get_all(&response, "www-authenticate");
    g_assert_cmpuint(g_strv_length(all), ==, 2);
    g_assert_cmpstr(all[0], ==, "a");
    g_assert_cmpstr(all[1], ==, "");
    berth_response_clear(&response);
}

static void test_response_limits(void)
{
    g_autofree char *line = g_strnfill(BERTH_RESPONSE_HEADERS_MAX, 'x');
    BerthResponse response;
    unsigned n = 0;

    berth_response_init(&response);
    g_assert_false(add(&response, "HTTP/1.1 2000 OK\r\n"));
    g_assert_false(add(&response, "HTTP/1.1\r\n"));
    g_assert_true(add(&response, "HTTP/1.1 200 OK\r\n"));
    while (add(&response, "a: b\r\n"))
        n++;
    g_assert_cmpuint(n, <, BERTH_RESPONSE_LINES_MAX);
    berth_response_clear(&response);

    berth_response_init(&response);
    g_assert_true(add(&response, "HTTP/1.1 200 OK\r\n"));
    g_assert_false(add(&response, line));
    g_assert_cmpint(berth_response_length(&response), ==, -1);
    berth_response_clear(&response);
}

static void test_url(void)
{
    static const struct {
        const char *base, *text, *whole, *authority;
    } cases[] = {
        { NULL, "https://Registry.Test/v2/", "https://Registry.Test/v2/", "registry.test" },
        { NULL, "http://a.test:80/x#y", "http://a.test:80/x", "a.test" },
        { NULL, "http://a.test:5000", "http://a.test:5000/", "a.test:5000" },
        { NULL, "http://[::1]:5000/", "http://[::1]:5000/", "[::1]:5000" },
        { "https://a.test/v2/x/y?z", "../b", "https://a.test/v2/b", "a.test" },
        { "https://a.test/v2/x/y?z", "?q=1", "https://a.test/v2/x/y?q=1", "a.test" },
        { "https://a.test/v2/x/y?z", "/b?c", "https://a.test/b?c", "a.test" },
        { "https://a.test:5000/v2/x", "//b.test/c", "https://b.test/c", "b.test" },
        { "https://a.test:5000/v2/x", "http://b.test/c", "http://b.test/c", "b.test" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(BerthUrl) base =
            cases[i].base ? berth_url_parse(cases[i].base, NULL, &error) : NULL;
        g_autoptr(BerthUrl) url = berth_url_parse(cases[i].text, base, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(url->text, ==, cases[i].whole);
        g_assert_cmpstr(url->authority, ==, cases[i].authority);
    }
}

static void test_bad_url(void)
{
    static const char *const bad[] = {
        "",
        "x",
        "/x",
        "ftp://a.test/",
        "file:///etc/passwd",
        "http://",
        "http://a b/",
        "http://user@a.test/",
        "http://user:hush@a.test/",
        "http://:hush@a.test/",
        "http://a.test:99999/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://a.test/\n",
        "javascript:hush",
        "http://a.test:x/?hush",
    };
    g_autofree char *path = g_strnfill(BERTH_URL_MAX, 'x');
    g_autofree char *long_url = g_strdup_printf("http://a.test/%s", path);

    for (unsigned i = 0; i <= G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(BerthUrl) url =
            berth_url_parse(i < G_N_ELEMENTS(bad) ? bad[i] : long_url, NULL, &error);

        if (url)
            g_error("taken: '%s' as %s", bad[i], url->text);
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_REGISTRY_ERROR);
        g_assert_cmpuint(strlen(error->message), <, 400);
        if (!g_str_has_prefix(i < G_N_ELEMENTS(bad) ? bad[i] : "", "java"))
            g_assert_null(strstr(error->message, "hush"));
    }
}

/* What comes out can be taken again. */
static void test_url_with_base(void)
{
    g_autoptr(BerthUrl) base = berth_url_parse("http://a.test/v2/", NULL, NULL);
    const size_t most = BERTH_URL_MAX - strlen("http://a.test");
    g_autofree char *path = g_strnfill(most, '/'), *longer = g_strnfill(most + 1, '/');
    g_autoptr(BerthUrl) url = NULL, again = NULL, none = NULL;
    g_autoptr(GError) error = NULL;

    path[1] = longer[1] = 'x'; /* two slashes are followed by a host */
    url = berth_url_parse(path, base, &error);
    g_assert_no_error(error);
    again = berth_url_parse(url->text, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->text, ==, url->text);
    none = berth_url_parse(longer, base, &error);
    g_assert_null(none);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_REGISTRY_ERROR);
}

static bool same(const char *a, const char *b)
{
    g_autoptr(BerthUrl) first = berth_url_parse(a, NULL, NULL);
    g_autoptr(BerthUrl) second = berth_url_parse(b, NULL, NULL);

    g_assert_true(first && second);
    return berth_url_same_origin(first, second);
}

static void test_origin(void)
{
    g_assert_true(same("https://a.test/x", "https://A.TEST:443/y?z"));
    g_assert_true(same("http://0x7f.1/", "http://127.0.0.1/"));
    g_assert_false(same("https://a.test/", "http://a.test/"));
    g_assert_false(same("https://a.test/", "http://a.test:443/"));
    g_assert_false(same("https://a.test/", "https://a.test:444/"));
    g_assert_false(same("https://a.test/", "https://a.test./"));
    g_assert_false(same("https://a.test/", "https://b.a.test/"));
}

static void check_proxy(const char *setting, const char *text, const char *expected)
{
    g_autoptr(BerthUrl) url = berth_url_parse(text, NULL, NULL);
    g_autofree char *proxy = berth_proxy_for(setting, url);

    g_assert_cmpstr(proxy, ==, expected);
}

static void test_proxy(void)
{
    check_proxy("", "https://a.test/", "");
    g_setenv("all_proxy", "socks5://c", TRUE);
    check_proxy("", "https://a.test/", "socks5://c");
    g_setenv("http_proxy", "http://a", TRUE);
    g_setenv("https_proxy", "http://b", TRUE);
    check_proxy("", "http://a.test/", "http://a");
    check_proxy("", "https://a.test/", "http://b");
    check_proxy("none", "https://a.test/", "");
    check_proxy("http://p", "https://a.test/", "http://p");
    check_proxy("http://p", "https://127.0.0.1/", "http://p");
    check_proxy("", "https://127.0.0.1/", "");
    check_proxy("", "https://localhost:5000/", "");
    check_proxy("", "https://[::1]/", "");
    g_setenv("no_proxy", "a.test", TRUE);
    check_proxy("", "https://a.test/", "");
    check_proxy("http://p", "https://a.test/", "http://p");
    g_unsetenv("all_proxy");
    g_unsetenv("http_proxy");
    g_unsetenv("https_proxy");
    g_unsetenv("no_proxy");
}

static void test_no_proxy(void)
{
    static const struct {
        const char *list, *url;
        bool matches;
    } cases[] = {
        { "*", "http://a.test/", true },
        { "", "http://a.test/", false },
        { "b.test, a.test", "http://a.test/", true },
        { "b.test A.Test", "http://a.test/", true },
        { "a.test", "http://x.a.test/", true },
        { ".a.test", "http://x.a.test/", true },
        { ".a.test", "http://a.test/", true },
        { "*.a.test", "http://x.a.test/", true },
        { "a.test", "http://xa.test/", false },
        { "a.test:80", "http://a.test/", true },
        { "a.test:5000", "http://a.test/", false },
        { "test", "http://a.test/", true },
        { "10.0.0.1", "http://10.0.0.1/", true },
        { "10.0.0.1:5000", "http://10.0.0.1:5000/", true },
        { "10.0.0.0/8", "http://10.9.9.9/", true },
        { "10.0.0.0/8", "http://11.0.0.1/", false },
        { "0.0.1", "http://10.0.0.1/", false },
        { "::1", "http://[::1]/", true },
        { "[2001:db8::1]", "http://[2001:db8::1]/", true },
        { "[2001:db8::1]:81", "http://[2001:db8::1]/", false },
        { "2001:db8::/32", "http://[2001:db8::9]/", true },
        { "10.0.0.0/8", "http://a.test/", false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BerthUrl) url = berth_url_parse(cases[i].url, NULL, NULL);

        if (berth_no_proxy_matches(cases[i].list, url) != cases[i].matches)
            g_error("'%s' with %s", cases[i].list, cases[i].url);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/headers/challenge", test_challenge);
    g_test_add_func("/headers/challenges", test_challenges);
    g_test_add_func("/headers/challenge-oddities", test_challenge_oddities);
    g_test_add_func("/headers/content-range", test_content_range);
    g_test_add_func("/headers/range", test_range);
    g_test_add_func("/headers/retry-after", test_retry_after);
    g_test_add_func("/headers/link", test_link);
    g_test_add_func("/headers/response", test_response);
    g_test_add_func("/headers/response-limits", test_response_limits);
    g_test_add_func("/headers/url", test_url);
    g_test_add_func("/headers/bad-url", test_bad_url);
    g_test_add_func("/headers/url-with-base", test_url_with_base);
    g_test_add_func("/headers/origin", test_origin);
    g_test_add_func("/headers/proxy", test_proxy);
    g_test_add_func("/headers/no-proxy", test_no_proxy);
    return g_test_run();
}
