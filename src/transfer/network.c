/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libraries do once, done before the worker is confined: OpenSSL reads its configuration and
 * loads providers, libcurl sets itself up, Jansson takes the seed of its hash tables from the
 * kernel.
 */

#include "transfer/network.h"

#include "base/error.h"

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/ssl.h>

bool berth_network_prepare(GError **error)
{
    json_object_seed(0);
    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1)
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot initialize OpenSSL");
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ||
           berth_set_error(error, BERTH_ERROR_FAILED, "cannot initialize libcurl");
}
