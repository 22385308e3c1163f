/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking a token server. A password goes to nobody but the server that the registry named, not
 * along with any redirect; texts that hold it are wiped. What comes back is checked to be a token
 * before it is put into a header.
 */

#include "registry/token.h"

#include "base/error.h"
#include "base/json.h"
#include "registry/auth.h"
#include "registry/failure.h"
#include "registry/request.h"
#include "registry/secret.h"

#include <string.h>

#define ANSWER_MAX   (256 * 1024) /* bytes */
#define TOKEN_MAX    (32 * 1024)  /* bytes; more than servers take in a header */
#define SECOND       UINT64_C(1000000)
#define LIFETIME     60    /* seconds, when the server does not say */
#define LIFETIME_MAX 86400 /* seconds */

typedef struct {
    BerthRequest request; /* first */
    const BerthTokenQuery *query;
    BerthTokenFunc func;
    void *userdata;
    char *form; /* (nullable): the body of a POST */
    size_t sent;
    char *token; /* (nullable): what came of it */
    uint64_t lifetime;
} TokenRequest;

static const BerthJsonLimits limits = { ANSWER_MAX, 8, 64, 512 };

static void append_field(GString *text, const char *name, const char *value)
{
    char *escaped = g_uri_escape_string(value, NULL, FALSE);

    if (text->len > 0)
        g_string_append_c(text, '&');
    g_string_append_printf(text, "%s=", name);
    g_string_append(text, escaped);
    berth_secret_free(escaped);
}

static char *make_form(const BerthTokenQuery *query)
{
    const BerthCredentials *credentials = query->credentials;
    /* never grown, so that no copy of a secret is left behind */
    GString *form = g_string_sized_new(4 * (size_t)BERTH_CREDENTIALS_FILE_MAX);
    g_autofree char *scopes = g_strjoinv(" ", (char **)query->scopes);

    append_field(form, "grant_type", credentials->identity_token ? "refresh_token" : "password");
    append_field(form, "client_id", "berth");
    if (query->service)
        append_field(form, "service", query->service);
    if (*scopes)
        append_field(form, "scope", scopes);
    if (credentials->identity_token)
        append_field(form, "refresh_token", credentials->identity_token);
    else {
        append_field(form, "username", credentials->user);
        append_field(form, "password", credentials->password);
    }
    return g_string_free(form, FALSE);
}

static BerthUrl *make_url(const BerthTokenQuery *query)
{
    GString *text = g_string_new(NULL);
    g_autofree char *whole = NULL;
    BerthUrl *url;

    if (query->service)
        append_field(text, "service", query->service);
    for (const char *const *scope = query->scopes; *scope; scope++)
        append_field(text, "scope", *scope);
    if (text->len > 0)
        g_string_prepend_c(text, strchr(query->realm->text, '?') ? '&' : '?');
    g_string_prepend(text, query->realm->text);
    whole = g_string_free(text, FALSE);
    url = berth_url_parse(whole, NULL, NULL);
    return url ? url : berth_url_parse(query->realm->text, NULL, NULL);
}

static void prepare(BerthRequest *request, GPtrArray *headers)
{
    TokenRequest *token = (TokenRequest *)request;
    const BerthCredentials *credentials = token->query->credentials;

    token->sent = 0;
    if (token->form)
        g_ptr_array_add(headers, g_strdup("Content-Type: application/x-www-form-urlencoded"));
    else if (credentials && credentials->user && request->on_own_host)
        g_ptr_array_add(headers, berth_basic_header(credentials));
}

static ssize_t read_form(void *data, size_t length, void *userdata)
{
    TokenRequest *token = userdata;
    size_t n = MIN(length, strlen(token->form) - token->sent);

    memcpy(data, token->form + token->sent, n);
    token->sent += n;
    return (ssize_t)n;
}

static bool rewind_form(void *userdata)
{
    TokenRequest *token = userdata;

    token->sent = 0;
    return true;
}

/* RFC 6750, 2.1: what may follow `Bearer ` */
static bool is_token(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > TOKEN_MAX)
        return false;
    for (; *text; text++)
        if (!g_ascii_isgraph(*text))
            return false;
    return true;
}

static bool read_answer(TokenRequest *token, const BerthResponse *response, GError **error)
{
    g_autoptr(json_t) object =
        berth_json_load(response->body->data, response->body->len, &limits, NULL);
    const char *text = json_string_value(json_object_get(object, "token"));
    json_int_t seconds = json_integer_value(json_object_get(object, "expires_in"));

    if (!text || !*text)
        text = json_string_value(json_object_get(object, "access_token"));
    if (!text || !is_token(text))
        return berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                               "%s: the answer of %s holds no token; ask who runs it",
                               token->request.what, token->query->realm->authority);
    token->token = g_strdup(text);
    token->lifetime = (uint64_t)CLAMP(seconds > 0 ? seconds : LIFETIME, 1, LIFETIME_MAX) * SECOND;
    return true;
}

static void finish(BerthRequest *request, const GError *error)
{
    TokenRequest *token = (TokenRequest *)request;

    token->func(error ? NULL : token->token, token->lifetime, error, token->userdata);
}

static void destroy(BerthRequest *request)
{
    TokenRequest *token = (TokenRequest *)request;

    berth_secret_free(token->form);
    berth_secret_free(token->token);
}

static void use_get(TokenRequest *token)
{
    berth_secret_free(token->form);
    token->form = NULL;
    token->request.sending = false;
    token->request.method = "GET";
    token->request.flags &= ~(unsigned)BERTH_REQUEST_NO_REDIRECT;
    berth_url_free(token->request.url);
    token->request.url = make_url(token->query);
}

static void use_post(TokenRequest *token)
{
    token->form = make_form(token->query);
    token->request.method = "POST";
    token->request.sends = strlen(token->form);
    token->request.sending = true;
    token->request.flags |= BERTH_REQUEST_NO_REDIRECT;
    token->request.url = berth_url_parse(token->query->realm->text, NULL, NULL);
}

static BerthVerdict complete(BerthRequest *request, const BerthResponse *response, GError **error)
{
    TokenRequest *token = (TokenRequest *)request;
    g_autofree char *words = NULL;

    if (response->status == 200)
        return read_answer(token, response, error) ? BERTH_VERDICT_DONE : BERTH_VERDICT_FAILED;
    if (token->form && !token->query->credentials->identity_token) {
        use_get(token);
        return BERTH_VERDICT_AGAIN;
    }
    words = berth_failure_words(response);
    if (response->status == 400 || response->status == 401 || response->status == 403)
        berth_set_error(error, BERTH_ERROR_AUTHENTICATION_REQUIRED,
                        "%s: %s answers with status %u%s: %s", request->what,
                        token->query->realm->authority, response->status, words,
                        token->query->credentials ? "check user name and password"
                                                  : "it wants credentials, and there are none");
    return BERTH_VERDICT_FAILED;
}

static const BerthRequestKind kind = {
    .prepare = prepare,
    .complete = complete,
    .finish = finish,
    .destroy = destroy,
    .source = { read_form, rewind_form },
    .keep_max = ANSWER_MAX,
    .whole_timeout = BERTH_SMALL_TIMEOUT,
};

BerthRequest *berth_token_fetch(BerthClient *client, const BerthTokenQuery *query,
                                BerthTokenFunc func, void *userdata)
{
    TokenRequest *token = g_new0(TokenRequest, 1);
    BerthRequest *request = &token->request;
    const BerthCredentials *credentials = query->credentials;

    token->query = query;
    token->func = func;
    token->userdata = userdata;
    request->flags = BERTH_REQUEST_PLAIN | BERTH_REQUEST_AT_ONCE;
    if (credentials && (credentials->identity_token || credentials->user))
        use_post(token);
    else
        use_get(token);
    berth_request_init(request, &kind, client, request->method,
                       g_strdup_printf("token for %s", client->endpoint->name));
    return request;
}
