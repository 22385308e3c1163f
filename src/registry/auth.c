/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a repository wants to be authenticated to. Nothing is shown before it was asked for, and then
 * only to the registry itself and to the token server that it names, and only over a connection
 * that the settings call safe enough. Tokens are kept for each scope; requests that need the same
 * one wait for one fetch, and a token that runs out in between is replaced.
 */

#include "registry/auth.h"

#include "base/error.h"
#include "registry/challenge.h"
#include "registry/request.h"
#include "registry/secret.h"
#include "registry/token.h"

#include <string.h>

#define MARGIN     (5 * UINT64_C(1000000)) /* µs before its end that a token counts as old */
#define NOT_TOKENS 1                       /* serial of what is not a fetched token */

typedef enum {
    METHOD_NONE, /* nothing was asked for yet */
    METHOD_BASIC,
    METHOD_BEARER,
    METHOD_REGISTRY_TOKEN,
} Method;

/* A token, perhaps on its way. */
typedef struct {
    BerthAuth *auth;
    char **scopes;
    BerthUrl *realm; /* as it was when the fetch began; this and the next */
    char *service;
    BerthTokenQuery query;
    BerthRequest *fetch; /* (nullable) */
    char *token;         /* (nullable) */
    uint64_t until;      /* µs, CLOCK_MONOTONIC */
    unsigned serial;
    GError *error; /* (nullable): of the last fetch */
} Token;

struct BerthAuth {
    BerthClient *client;
    Method method;
    bool credentials_read;
    BerthCredentials *credentials; /* (nullable) */
    BerthUrl *realm;
    char *service;      /* (nullable) */
    GHashTable *tokens; /* scope → Token */
    unsigned serial;
};

char *berth_basic_header(const BerthCredentials *credentials)
{
    BERTH_AUTO_SECRET pair = g_strdup_printf("%s:%s", credentials->user, credentials->password);
    BERTH_AUTO_SECRET encoded = g_base64_encode((const guchar *)pair, strlen(pair));

    return g_strdup_printf("Authorization: Basic %s", encoded);
}

static void token_free(gpointer data)
{
    Token *token = data;

    if (token->fetch)
        berth_request_cancel(token->fetch);
    g_strfreev(token->scopes);
    berth_url_free(token->realm);
    g_free(token->service);
    berth_secret_free(token->token);
    g_clear_error(&token->error);
    g_free(token);
}

BerthAuth *berth_auth_new(BerthClient *client)
{
    BerthAuth *auth = g_new0(BerthAuth, 1);

    auth->client = client;
    auth->serial = NOT_TOKENS;
    auth->tokens = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, token_free);
    return auth;
}

void berth_auth_free(BerthAuth *auth)
{
    if (!auth)
        return;
    g_hash_table_unref(auth->tokens);
    berth_credentials_free(auth->credentials);
    berth_url_free(auth->realm);
    g_free(auth->service);
    g_free(auth);
}

static bool read_credentials(BerthAuth *auth, GError **error)
{
    const BerthEndpoint *endpoint = auth->client->endpoint;

    if (auth->credentials_read || !endpoint->credentials)
        return true;
    auth->credentials_read = berth_credentials_find(
        endpoint->credentials, endpoint->host, endpoint->repository, &auth->credentials, error);
    return auth->credentials_read;
}

/* Whether having @a is enough for @b: the same thing, and all that may be done to it. */
static bool covers(const char *a, const char *b)
{
    const char *actions = strrchr(b, ':');
    g_auto(GStrv) wanted = NULL, given = NULL;

    if (g_str_equal(a, b))
        return true;
    if (!actions || strncmp(a, b, (size_t)(actions - b) + 1) != 0)
        return false;
    wanted = g_strsplit(actions + 1, ",", -1);
    given = g_strsplit(a + (actions - b) + 1, ",", -1);
    for (char **action = wanted; *action; action++)
        if (!g_strv_contains((const char *const *)given, *action))
            return false;
    return true;
}

/* What to ask for: what the server says, and what it leaves out of what the request needs. */
static char **merge_scopes(const char *said, const char *needed)
{
    g_auto(GStrv) first = g_strsplit(said ? said : "", " ", 32);
    g_auto(GStrv) second = g_strsplit(needed, " ", 32);
    GPtrArray *scopes = g_ptr_array_new();

    for (char **scope = first; *scope; scope++)
        if (**scope)
            g_ptr_array_add(scopes, g_strdup(*scope));
    for (char **scope = second; *scope; scope++) {
        bool covered = false;

        for (unsigned i = 0; i < scopes->len; i++)
            covered = covered || covers(scopes->pdata[i], *scope);
        if (!covered)
            g_ptr_array_add(scopes, g_strdup(*scope));
    }
    g_ptr_array_add(scopes, NULL);
    return (char **)g_ptr_array_free(scopes, FALSE);
}

static Token *get_token(BerthAuth *auth, const char *scope)
{
    Token *token = g_hash_table_lookup(auth->tokens, scope);

    if (token)
        return token;
    token = g_new0(Token, 1);
    token->auth = auth;
    token->scopes = merge_scopes(NULL, scope);
    g_hash_table_insert(auth->tokens, g_strdup(scope), token);
    return token;
}

static void on_token(const char *text, uint64_t lifetime, const GError *error, void *userdata)
{
    Token *token = userdata;
    BerthAuth *auth = token->auth;

    token->fetch = NULL;
    if (error)
        token->error = g_error_copy(error);
    else {
        token->token = g_strdup(text);
        token->until = berth_http_now(auth->client->http) + lifetime - MIN(MARGIN, lifetime / 10);
        token->serial = ++auth->serial;
    }
    berth_client_wake(auth->client);
}

static void forget(Token *token)
{
    berth_secret_free(token->token);
    token->token = NULL;
}

static void fetch(BerthAuth *auth, Token *token)
{
    forget(token);
    g_clear_error(&token->error);
    berth_url_free(token->realm);
    token->realm = berth_url_parse(auth->realm->text, NULL, NULL);
    g_free(token->service);
    token->service = g_strdup(auth->service);
    token->query = (BerthTokenQuery){ token->realm, token->service,
                                      (const char *const *)token->scopes, auth->credentials };
    token->fetch = berth_token_fetch(auth->client, &token->query, on_token, token);
}

static BerthAuthAnswer prepare_bearer(BerthAuth *auth, BerthRequest *request, char **header,
                                      GError **error)
{
    Token *token = get_token(auth, request->scope);

    if (token->token && token->until > berth_http_now(auth->client->http)) {
        *header = g_strdup_printf("Authorization: Bearer %s", token->token);
        request->token_serial = token->serial;
        request->awaits_token = false;
        return BERTH_AUTH_GO;
    }
    if (token->error && request->awaits_token) {
        request->awaits_token = false;
        g_propagate_error(error, g_error_copy(token->error));
        return BERTH_AUTH_FAILED;
    }
    if (!token->fetch)
        fetch(auth, token);
    request->awaits_token = true;
    return BERTH_AUTH_WAIT;
}

BerthAuthAnswer berth_auth_prepare(BerthAuth *auth, BerthRequest *request, char **header,
                                   GError **error)
{
    switch (auth->method) {
    case METHOD_BASIC:
        *header = berth_basic_header(auth->credentials);
        request->token_serial = NOT_TOKENS;
        return BERTH_AUTH_GO;
    case METHOD_REGISTRY_TOKEN:
        *header = g_strdup_printf("Authorization: Bearer %s", auth->credentials->registry_token);
        request->token_serial = NOT_TOKENS;
        return BERTH_AUTH_GO;
    case METHOD_BEARER:
        return prepare_bearer(auth, request, header, error);
    default:
        return BERTH_AUTH_GO;
    }
}

static const BerthChallenge *find_challenge(const GPtrArray *challenges, const char *scheme)
{
    for (unsigned i = 0; i < challenges->len; i++) {
        const BerthChallenge *challenge = challenges->pdata[i];

        if (g_str_equal(challenge->scheme, scheme))
            return challenge;
    }
    return NULL;
}

static bool use_basic(BerthAuth *auth, const BerthRequest *request)
{
    if (!auth->credentials || !auth->credentials->user ||
        (auth->method == METHOD_BASIC && request->token_serial == NOT_TOKENS))
        return false;
    auth->method = METHOD_BASIC;
    return true;
}

static bool check_realm(BerthAuth *auth, const BerthUrl *realm, GError **error)
{
    return realm->https || realm->loopback || berth_client_is_lenient(auth->client, realm) ||
           berth_set_error(
               error, BERTH_ERROR_AUTHENTICATION_REQUIRED,
               "%s: its token server %s speaks plain HTTP, and only Insecure=yes allows "
               "to send it credentials",
               auth->client->endpoint->name, realm->authority);
}

static bool use_bearer(BerthAuth *auth, BerthRequest *request, const BerthChallenge *challenge,
                       GError **error)
{
    g_autoptr(BerthUrl) realm = berth_url_parse(berth_challenge_param(challenge, "realm"),
                                                berth_client_base(auth->client), error);
    const char *service = berth_challenge_param(challenge, "service");
    Token *token = get_token(auth, request->scope);

    if (!realm || !check_realm(auth, realm, error))
        return false;
    if (auth->credentials && auth->credentials->registry_token) {
        auth->method = METHOD_REGISTRY_TOKEN;
        return request->token_serial != NOT_TOKENS;
    }
    auth->method = METHOD_BEARER;
    /* somebody got a new one meanwhile, or gets it */
    if (token->fetch || (token->token && token->serial != request->token_serial))
        return true;
    forget(token);
    g_strfreev(token->scopes);
    token->scopes = merge_scopes(berth_challenge_param(challenge, "scope"), request->scope);
    berth_url_free(auth->realm);
    auth->realm = g_steal_pointer(&realm);
    g_free(auth->service);
    auth->service = g_strdup(service);
    return true;
}

bool berth_auth_challenged(BerthAuth *auth, BerthRequest *request, const BerthResponse *response,
                           GError **error)
{
    g_auto(GStrv) values = berth_response_get_all(response, "www-authenticate");
    g_autoptr(GPtrArray) challenges = berth_challenges_parse((const char *const *)values);
    const BerthChallenge *bearer = find_challenge(challenges, "bearer");

    if (!read_credentials(auth, error))
        return false;
    if (bearer && berth_challenge_param(bearer, "realm"))
        return use_bearer(auth, request, bearer, error);
    return find_challenge(challenges, "basic") && use_basic(auth, request);
}
