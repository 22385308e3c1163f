/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credentials from an auth.json: which entry counts, what an entry says, what is refused.
 */

#include "base/error.h"
#include "registry/credentials.h"

#include <string.h>

static bool find(const char *text, const char *registry, const char *repository,
                 BerthCredentials **credentials, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

    return berth_credentials_find(bytes, registry, repository, credentials, error);
}

/* The user that @text has for the name, "" for none. */
static char *user_of(const char *text, const char *registry, const char *repository)
{
    g_autoptr(BerthCredentials) credentials = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(find(text, registry, repository, &credentials, &error));
    g_assert_no_error(error);
    return g_strdup(credentials ? credentials->user : "");
}

#define assert_user(text, registry, repository, expected)                                          \
    do {                                                                                           \
        g_autofree char *user_ = user_of(text, registry, repository);                              \
        g_assert_cmpstr(user_, ==, expected);                                                      \
    } while (0)

/* An entry whose user is @name. */
#define ENTRY(name) "{\"username\": \"" name "\", \"password\": \"p\"}"

static void test_most_specific(void)
{
    static const char text[] =
        "{\"auths\": {"
        "\"h.example\": " ENTRY("host") ","
                                        "\"h.example/team/app\": " ENTRY(
                                            "app") ","
                                                   "\"h.example/team\": " ENTRY(
                                                       "team") ","
                                                               "\"h.example/open\": {},"
                                                               "\"h.example:5000\": " ENTRY(
                                                                   "port") "}}";

    assert_user(text, "h.example", "", "host");
    assert_user(text, "h.example", "other", "host");
    assert_user(text, "h.example", "team", "team");
    assert_user(text, "h.example", "team/app", "app");
    assert_user(text, "h.example", "team/app/x", "app");
    assert_user(text, "h.example", "team/apple", "team");
    assert_user(text, "h.example", "teams", "host");
    assert_user(text, "h.example", "open/x", ""); /* an empty entry takes back */
    assert_user(text, "H.EXAMPLE:05000", "team", "port");
    assert_user(text, "h.example:443", "team", "");
    assert_user(text, "x.h.example", "team", "");
}

static void test_urls(void)
{
    static const char urls[] =
        "{\"auths\": {"
        "\"https://a.example\": " ENTRY(
            "a") ","
                 "\"http://b.example:5000/\": " ENTRY(
                     "b") ","
                          "\"https://c.example/v2/\": " ENTRY(
                              "c") ","
                                   "\"https://d.example/team/v1\": " ENTRY(
                                       "d") ","
                                            "\"https://e.example\": " ENTRY(
                                                "url") ","
                                                       "\"e.example\": " ENTRY(
                                                           "plain") ","
                                                                    "\"https://e.example/v1/"
                                                                    "\": " ENTRY("url") "}}";

    assert_user(urls, "a.example", "x", "a");
    assert_user(urls, "b.example:5000", "x", "b");
    assert_user(urls, "c.example", "x", "c");
    assert_user(urls, "d.example", "x", "");
    assert_user(urls, "d.example", "team/v1", "d");
    assert_user(urls, "e.example", "x", "plain");
}

static void test_docker_hub(void)
{
    static const char *const names[] = { "docker.io", "index.docker.io", "registry-1.docker.io" };
    static const char *const keys[] = { "https://index.docker.io/v1/", "docker.io",
                                        "registry-1.docker.io", "docker.io/library" };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *text = g_strdup_printf("{\"auths\": {\"%s\": " ENTRY("hub") "}}", keys[i]);

        for (size_t j = 0; j < G_N_ELEMENTS(names); j++)
            assert_user(text, names[j], "library/busybox", "hub");
        assert_user(text, "docker.io:443", "library/busybox", "");
    }
}

static BerthCredentials *only(const char *entry)
{
    g_autofree char *text = g_strdup_printf("{\"auths\": {\"h.example\": %s}}", entry);
    BerthCredentials *credentials = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(find(text, "h.example", "x", &credentials, &error));
    g_assert_no_error(error);
    return credentials;
}

static void test_forms(void)
{
    g_autoptr(BerthCredentials) basic = only("{\"auth\": \"dTpwOnc=\"}");  /* u:p:w */
    g_autoptr(BerthCredentials) padded = only("{\"auth\": \"dTpwAAA=\"}"); /* u:p and two NULs */
    g_autoptr(BerthCredentials) identity =
        only("{\"auth\": \"PHRva2VuPjo=\", \"identitytoken\": \"i.d\"}");
    g_autoptr(BerthCredentials) bearer = only("{\"registrytoken\": \"b.c-d\"}");
    g_autoptr(BerthCredentials) nothing = only("{\"email\": \"a@b\"}");

    g_assert_cmpstr(basic->user, ==, "u");
    g_assert_cmpstr(basic->password, ==, "p:w");
    g_assert_null(basic->identity_token);
    g_assert_cmpstr(padded->password, ==, "p");
    g_assert_cmpstr(identity->identity_token, ==, "i.d");
    g_assert_cmpstr(identity->user, ==, "<token>");
    g_assert_cmpstr(bearer->registry_token, ==, "b.c-d");
    g_assert_null(bearer->user);
    g_assert_null(nothing);
}

static void test_helpers_are_not_run(void)
{
    assert_user("{\"credsStore\": \"desktop\", \"credHelpers\": {\"h.example\": \"true\"}, "
                "\"auths\": {\"h.example\": {}}}",
                "h.example", "x", "");
    assert_user("{}", "h.example", "x", "");
    assert_user("{\"auths\": null}", "h.example", "x", "");
}

static void test_refused(void)
{
    static const struct {
        const char *text;
        const char *named;
    } bad[] = {
        { "", "h.example" },
        { "[]", "h.example" },
        { "{\"auths\": {\"h.example\": {\"auth\": \"hunter2\", }}}", "h.example" },
        { "{\"auths\": [\"hunter2\"]}", "auths" },
        { "{\"auths\": {\"h.example\": \"hunter2\"}}", "h.example" },
        { "{\"auths\": {\"h.example\": {\"auth\": \"hunter2\"}}}", "\"auth\"" },
        { "{\"auths\": {\"h.example\": {\"auth\": \"aHVudGVyMg==\"}}}", "\"auth\"" },
        { "{\"auths\": {\"h.example\": {\"auth\": \"dQA6cA==\"}}}", "\"auth\"" },
        { "{\"auths\": {\"h.example\": {\"auth\": {\"hunter2\": 1}}}}", "\"auth\"" },
        { "{\"auths\": {\"h.example\": {\"username\": \"hunter2:\"}}}", "user name" },
        { "{\"auths\": {\"h.example\": {\"registrytoken\": \"hunter2\\r\\nX: y\"}}}",
          "\"registrytoken\"" },
        { "{\"auths\": {\"https://me:hunter2@h.example\": {\"auth\": \"?\"}, "
          "\"h.example\": {\"auth\": \"hunter2\"}}}",
          "h.example" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(BerthCredentials) credentials = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_false(find(bad[i].text, "h.example", "x", &credentials, &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_AUTHENTICATION_REQUIRED);
        g_assert_null(credentials);
        g_assert_nonnull(strstr(error->message, bad[i].named));
        g_assert_null(strstr(error->message, "hunter2"));
    }
}

/* An entry for another registry is nobody's business. */
static void test_others_are_not_read(void)
{
    assert_user("{\"auths\": {\"other.example\": {\"auth\": 7}, \"not a name\": 1, "
                "\"h.example\": " ENTRY("me") "}}",
                "h.example", "x", "me");
}

static void test_too_large(void)
{
    g_autofree char *filler = g_strnfill(BERTH_CREDENTIALS_FILE_MAX, ' ');
    g_autofree char *text = g_strconcat("{}", filler, NULL);
    g_autoptr(BerthCredentials) credentials = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(find(text, "h.example", "", &credentials, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_AUTHENTICATION_REQUIRED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/credentials/most-specific", test_most_specific);
    g_test_add_func("/credentials/urls", test_urls);
    g_test_add_func("/credentials/docker-hub", test_docker_hub);
    g_test_add_func("/credentials/forms", test_forms);
    g_test_add_func("/credentials/helpers-are-not-run", test_helpers_are_not_run);
    g_test_add_func("/credentials/refused", test_refused);
    g_test_add_func("/credentials/others-are-not-read", test_others_are_not_read);
    g_test_add_func("/credentials/too-large", test_too_large);
    return g_test_run();
}
