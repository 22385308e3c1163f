/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define BERTH_URL_MAX 16384 /* bytes; signed URLs of object storage have some thousand */

/** BerthUrl: an http or https URL without user name, taken apart. */
typedef struct {
    char *text; /* all of it, without the fragment */
    bool https;
    char *host;      /* in lower case; IPv6 without brackets */
    int port;        /* that of the scheme if it names none */
    char *authority; /* host[:port] for messages, the port only when it is not the scheme's */
    bool loopback;   /* @host is `localhost` or a loopback address */
} BerthUrl;

/**
 * berth_url_parse:
 * @text: an absolute URL, untrusted
 * @base: (nullable): what @text is relative to, when it is not absolute
 * @error: BERTH_ERROR_REGISTRY_ERROR saying what is wrong with it; never repeats a query, which may
 *   be a signature
 *
 * Returns: (transfer full) (nullable): the URL.
 */
BerthUrl *berth_url_parse(const char *text, const BerthUrl *base, GError **error);

/** berth_url_free: wipes and frees @url (nullable). */
void berth_url_free(BerthUrl *url);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthUrl, berth_url_free)

/** berth_url_same_origin: Returns: whether scheme, host and port are the same. */
bool berth_url_same_origin(const BerthUrl *a, const BerthUrl *b);
