/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User names and passwords in URLs, and how to leave them out. What is malformed may hold a secret
 * too, so nothing is parsed here: everything that could be userinfo goes.
 */

#include "base/userinfo.h"

#include <glib.h>
#include <string.h>

#define SEPARATOR "://"

char *berth_userinfo_redact(const char *text)
{
    const char *at = strrchr(text, '@');
    const char *separator = strstr(text, SEPARATOR);
    size_t kept = separator && separator < at ? (size_t)(separator - text) + strlen(SEPARATOR) : 0;
    g_autofree char *start = g_strndup(text, kept);

    return at ? g_strconcat(start, "***", at, NULL) : g_strdup(text);
}
