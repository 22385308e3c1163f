/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: an auth.json and a name to look up in it. The first line of the input is the
 * registry, the second the repository, the rest is the file. What is found can be put on the wire;
 * what is refused is refused with the one right error.
 */

#include "base/error.h"
#include "registry/credentials.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the first line off. Returns: (transfer full): it. */
static char *take_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = memchr(*data, '\n', *size);
    size_t length = end ? (size_t)(end - *data) : *size;
    char *line = g_strndup((const char *)*data, length);

    length += end ? 1 : 0;
    *data += length;
    *size -= length;
    return line;
}

static void check(const BerthCredentials *found)
{
    g_assert(found->user || found->identity_token || found->registry_token);
    g_assert(!found->user == !found->password);
    g_assert(!found->user || !strchr(found->user, ':'));
    if (found->registry_token)
        for (const char *c = found->registry_token; *c; c++)
            g_assert(*c > ' ' && *c < 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthCredentials) found = NULL;
    g_autofree char *registry = NULL, *repository = NULL;
    g_autoptr(GBytes) file = NULL;

    if (size == 0)
        return 0;
    registry = take_line(&data, &size);
    repository = take_line(&data, &size);
    file = g_bytes_new(data, size);
    if (berth_credentials_find(file, registry, repository, &found, &error)) {
        g_assert(!error);
        if (found)
            check(found);
    } else {
        g_assert(!found);
        g_assert(g_error_matches(error, BERTH_ERROR, BERTH_ERROR_AUTHENTICATION_REQUIRED));
    }
    return 0;
}
