/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors from answers and from what libcurl says. Everything in them that a server wrote is quoted
 * and cut; of URLs only the host is named, since the rest may be a signature.
 */

#include "registry/failure.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"

#include <string.h>

#define WORDS_MAX (64 * 1024) /* bytes of a body that is looked into */

static const BerthJsonLimits limits = { WORDS_MAX, 8, 64, 512 };

/* Joins what is there of code and message. */
static char *join(const char *code, const char *message)
{
    if (code && message && *message)
        return g_strdup_printf("%s: %s", code, message);
    return g_strdup(message && *message ? message : code);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* {"errors": [{"code", "message"}]}, distribution specification, "Error Codes"; what token servers
 * say, RFC 6749, 5.2; what others say. */
static char *from_json(const GByteArray *body)
{
    g_autoptr(json_t) object = berth_json_load(body->data, body->len, &limits, NULL);
    const json_t *first;
    char *words;

    if (!object)
        return NULL;
    first = json_array_get(json_object_get(object, "errors"), 0);
    words = join(text_of(first, "code"), text_of(first, "message"));
    if (!words)
        words = join(text_of(object, "error"), text_of(object, "error_description"));
    if (!words)
        words = join(NULL, text_of(object, "message"));
    return words ? words : join(NULL, text_of(object, "details"));
}

static bool is_plain_text(const BerthResponse *response)
{
    const char *type = berth_response_get(response, "content-type");

    return type && g_ascii_strncasecmp(type, "text/plain", strlen("text/plain")) == 0;
}

char *berth_failure_words(const BerthResponse *response)
{
    g_autofree char *words = NULL, *quoted = NULL;

    if (response->body->len > 0 && response->body->len <= WORDS_MAX)
        words = from_json(response->body);
    if (!words && is_plain_text(response)) {
        words = g_strndup((const char *)response->body->data, MIN(response->body->len, 200));
        words[strcspn(words, "\r\n")] = '\0';
    }
    if (!words || !*g_strstrip(words))
        return g_strdup("");
    quoted = berth_quote(words);
    return g_strdup_printf(" (it says: %s)", quoted);
}

bool berth_failure_is_passing(unsigned status)
{
    switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return false;
    }
}

static const char *hint_for(const BerthRequest *request, unsigned status)
{
    if (status == 401)
        return request->client->endpoint->credentials
                   ? "it does not take the credentials; check user name and password"
                   : "it wants credentials, and there are none for it";
    if (status == 403)
        return request->client->endpoint->credentials
                   ? "the credentials do not allow this"
                   : "it may want credentials, and there are none for it";
    if (status == 404)
        return "check the name";
    if (status == 429)
        return "it gets too many requests; try again later, or log in";
    if (status >= 500)
        return "try again later, or ask who runs it";
    return "ask who runs it";
}

GError *berth_failure_of_answer(const BerthRequest *request, const BerthUrl *url,
                                const BerthResponse *response)
{
    g_autofree char *words = berth_failure_words(response);
    GError *error = NULL;
    int code = BERTH_ERROR_REGISTRY_ERROR;

    if (response->status == 407) {
        berth_set_error(&error, BERTH_ERROR_REGISTRY_UNREACHABLE,
                        "cannot get %s from %s: the proxy wants a user name and a password; set "
                        "Proxy=",
                        request->what, url->authority);
        return error;
    }
    if (request->on_own_host && (response->status == 401 || response->status == 403))
        code = BERTH_ERROR_AUTHENTICATION_REQUIRED;
    berth_set_error(&error, code, "%s: %s answers with status %u%s: %s", request->what,
                    url->authority, response->status, words, hint_for(request, response->status));
    return error;
}

static BerthFailureClass classify(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return BERTH_FAILURE_ABSENT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_ABORTED_BY_CALLBACK:
        return BERTH_FAILURE_FINAL;
    default:
        return BERTH_FAILURE_PASSING;
    }
}

static const char *connection_hint(const BerthRequest *request, const BerthExchangeResult *result)
{
    switch (result->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "; check the name and the resolver";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "; check Proxy= or the environment";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "; name the authority in CAFile=, or set Insecure=yes";
    case CURLE_SSL_CONNECT_ERROR:
        return request->client->endpoint->insecure
                   ? ""
                   : "; if it speaks plain HTTP, only Insecure=yes allows that";
    default:
        return "";
    }
}

static void refuse_address(const BerthRequest *request, const BerthUrl *url, GError **error)
{
    if (request->client->stranger)
        berth_set_error(
            error, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE,
            "%s: %s leads to an address that is not allowed; ForeignUrlHosts= can allow "
            "it",
            request->what, url->authority);
    else
        berth_set_error(error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: a public registry leads to %s, which is an address of the inside; ask "
                        "who runs it",
                        request->what, url->authority);
}

GError *berth_failure_of_exchange(const BerthRequest *request, const BerthUrl *url,
                                  const BerthExchangeResult *result, BerthFailureClass *class)
{
    g_autofree char *quoted = berth_quote(result->text);
    GError *error = NULL;

    *class = classify(result->code);
    /* what libcurl says of a line of a head that is too long; without memory, GLib ends us */
    if (result->too_long || result->code == CURLE_OUT_OF_MEMORY) {
        *class = BERTH_FAILURE_FINAL;
        berth_set_error(&error, BERTH_ERROR_REGISTRY_ERROR,
                        "%s: the answer of %s is too long; ask who runs it", request->what,
                        url->authority);
    } else if (result->refused_address) {
        *class = BERTH_FAILURE_FINAL;
        refuse_address(request, url, &error);
    } else if (result->stalled)
        berth_set_error(&error, BERTH_ERROR_REGISTRY_UNREACHABLE,
                        "%s: %s sent nothing for %" G_GUINT64_FORMAT " ms (StallTimeout=)",
                        request->what, url->authority,
                        request->client->endpoint->stall_timeout / 1000);
    else if (result->proxy_status == 407) {
        *class = BERTH_FAILURE_FINAL;
        berth_set_error(&error, BERTH_ERROR_REGISTRY_UNREACHABLE,
                        "%s: cannot reach %s: the proxy wants a user name and a password; set "
                        "Proxy=",
                        request->what, url->authority);
    } else
        berth_set_error(&error, BERTH_ERROR_REGISTRY_UNREACHABLE, "%s: cannot reach %s: %s%s",
                        request->what, url->authority, quoted, connection_hint(request, result));
    return error;
}

bool berth_failure_check_coding(const BerthRequest *request, const char *coding, GError **error)
{
    g_autofree char *quoted = NULL;

    if (!coding || !*coding || g_ascii_strcasecmp(coding, "identity") == 0)
        return true;
    quoted = berth_quote(coding);
    return berth_set_error(
        error, BERTH_ERROR_REGISTRY_ERROR,
        "%s: the server encodes it as '%s', which was not asked for; ask who runs "
        "it",
        request->what, quoted);
}
