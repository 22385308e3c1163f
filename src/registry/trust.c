/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whom TLS connections for one endpoint trust, and as whom we come. Certificates of the settings
 * are trusted besides the system's; libcurl takes one or the other, so the store of certificates is
 * made here. It is made once for an endpoint: to parse the system's bundle for each connection can
 * cost more than a small image. Nothing here is shown to another host than the caller says.
 */

#include "registry/route.h"

#include "base/error.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)

struct BerthTrust {
    unsigned references;
    X509_STORE *store;              /* made when it is first needed */
    GBytes *ca, *certificate, *key; /* (nullable) */
};

static BIO *open_bytes(GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);

    return BIO_new_mem_buf(data, (int)MIN(length, G_MAXINT));
}

/* Certificates of @pem, added to @store if there is one. */
static unsigned add_certificates(X509_STORE *store, GBytes *pem)
{
    g_autoptr(BIO) bio = open_bytes(pem);
    unsigned n = 0;

    for (;;) {
        g_autoptr(X509) certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);

        if (!certificate)
            break;
        if (store)
            (void)X509_STORE_add_cert(store, certificate);
        n++;
    }
    ERR_clear_error();
    return n;
}

/* Nobody is there to ask for a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *userdata)
{
    return 0;
}

static bool check_identity(const BerthTrust *trust, const char *name, GError **error)
{
    g_autoptr(BIO) bio = open_bytes(trust->certificate);
    g_autoptr(BIO) key_bio = open_bytes(trust->key ? trust->key : trust->certificate);
    g_autoptr(X509) certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    g_autoptr(EVP_PKEY) key = PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
    bool match = certificate && key && X509_check_private_key(certificate, key) == 1;

    ERR_clear_error();
    if (!certificate)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "the client certificate for %s cannot be read: ClientCertificate= "
                               "names a file in PEM format",
                               name);
    if (!key)
        return berth_set_error(
            error, BERTH_ERROR_SETTINGS_INVALID,
            "the key of the client certificate for %s cannot be read: ClientKey= "
            "(or ClientCertificate=) names a file that holds it in PEM format "
            "without a passphrase",
            name);
    return match ||
           berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                           "the client certificate for %s does not belong to its key: check "
                           "ClientCertificate= and ClientKey=",
                           name);
}

BerthTrust *berth_trust_new(const BerthEndpoint *endpoint, GError **error)
{
    BerthTrust *trust = g_new0(BerthTrust, 1);

    trust->references = 1;
    if (endpoint->ca)
        trust->ca = g_bytes_ref(endpoint->ca);
    if (endpoint->client_certificate)
        trust->certificate = g_bytes_ref(endpoint->client_certificate);
    if (endpoint->client_certificate && endpoint->client_key)
        trust->key = g_bytes_ref(endpoint->client_key);

    if (trust->ca && add_certificates(NULL, trust->ca) == 0)
        berth_set_error(
            error, BERTH_ERROR_SETTINGS_INVALID,
            "what is to be trusted for %s holds no certificate: CAFile= names a file in "
            "PEM format",
            endpoint->name);
    else if (!trust->certificate || check_identity(trust, endpoint->name, error))
        return trust;
    berth_trust_unref(trust);
    return NULL;
}

BerthTrust *berth_trust_ref(BerthTrust *trust)
{
    trust->references++;
    return trust;
}

void berth_trust_unref(BerthTrust *trust)
{
    if (!trust || --trust->references > 0)
        return;
    X509_STORE_free(trust->store);
    g_clear_pointer(&trust->ca, g_bytes_unref);
    g_clear_pointer(&trust->certificate, g_bytes_unref);
    g_clear_pointer(&trust->key, g_bytes_unref);
    g_free(trust);
}

static X509_STORE *get_store(BerthTrust *trust)
{
    if (trust->store)
        return trust->store;
    trust->store = X509_STORE_new();
    g_assert(trust->store);
    (void)X509_STORE_set_default_paths(trust->store);
    if (trust->ca)
        (void)add_certificates(trust->store, trust->ca);
    ERR_clear_error();
    /* what is trusted need not be the root of its chain */
    (void)X509_STORE_set_flags(trust->store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    return trust->store;
}

static CURLcode ssl_context_function(CURL *easy, void *context, void *userdata)
{
    SSL_CTX_set1_cert_store(context, get_store(userdata));
    return CURLE_OK;
}

static void set_blob(CURL *easy, CURLoption option, GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    struct curl_blob blob = { (void *)data, length, CURL_BLOB_NOCOPY };

    (void)curl_easy_setopt(easy, option, &blob);
}

static void apply_trust(const BerthRoute *route, CURL *easy)
{
    BerthTrust *trust = route->trust;

    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, route->verify ? 1L : 0L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, route->verify ? 2L : 0L);
    if (route->verify) {
        (void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, ssl_context_function);
        (void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, trust);
    }
    if (route->identify && trust->certificate) {
        set_blob(easy, CURLOPT_SSLCERT_BLOB, trust->certificate);
        set_blob(easy, CURLOPT_SSLKEY_BLOB, trust->key ? trust->key : trust->certificate);
    }
}

struct curl_slist *berth_route_apply(const BerthRoute *route, CURL *easy)
{
    g_autofree char *place = NULL;
    struct curl_slist *list;

    apply_trust(route, easy);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)MAX(route->connect_timeout / 1000, 1));
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, route->proxy);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (!route->connect_to)
        return NULL;
    /* With a proxy this also makes a tunnel; TLS still wants the name of the URL. */
    place =
        g_strdup_printf(strchr(route->connect_to, ':') ? "::[%s]:" : "::%s:", route->connect_to);
    list = curl_slist_append(NULL, place);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECT_TO, list);
    return list;
}
