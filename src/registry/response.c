/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Status and headers of answers. libcurl hands over raw lines; of interim answers (100, 103), and
 * of trailers behind the body, nothing may be taken for the answer itself. Everything is bounded.
 */

#include "registry/response.h"

#include <string.h>

void berth_response_init(BerthResponse *response)
{
    *response = (BerthResponse){ .fields = g_ptr_array_new_with_free_func(g_free),
                                 .body = g_byte_array_new() };
}

void berth_response_clear(BerthResponse *response)
{
    if (response->body && response->body->len > 0)
        explicit_bzero(response->body->data, response->body->len); /* it may be a token */
    g_clear_pointer(&response->fields, g_ptr_array_unref);
    g_clear_pointer(&response->body, g_byte_array_unref);
}

/* `HTTP/1.1 206 Partial Content`, `HTTP/2 206` */
static bool start(BerthResponse *response, const char *line)
{
    const char *space = strchr(line, ' ');

    if (!space || !g_ascii_isdigit(space[1]) || !g_ascii_isdigit(space[2]) ||
        !g_ascii_isdigit(space[3]) || g_ascii_isdigit(space[4]))
        return false;
    response->status =
        (unsigned)((space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0'));
    g_ptr_array_set_size(response->fields, 0);
    return true;
}

static void add_field(BerthResponse *response, const char *line)
{
    const char *colon = strchr(line, ':');
    g_autofree char *name = NULL, *value = NULL;

    if (!colon || colon == line)
        return;
    name = g_ascii_strdown(line, colon - line);
    value = g_strstrip(g_strdup(colon + 1));
    for (char *p = value; *p; p++)
        if (g_ascii_iscntrl(*p) && *p != '\t')
            return;
    g_ptr_array_add(response->fields, g_strdup_printf("%s: %s", name, value));
}

bool berth_response_add_line(BerthResponse *response, const char *line, size_t length)
{
    g_autofree char *text = NULL;

    response->received += length;
    if (response->received > BERTH_RESPONSE_HEADERS_MAX ||
        ++response->lines > BERTH_RESPONSE_LINES_MAX)
        return false;
    if (response->complete || memchr(line, '\0', length))
        return true; /* a trailer; a field that no sane server sends */

    text = g_strndup(line, length);
    text[strcspn(text, "\r\n")] = '\0';
    if (g_str_has_prefix(text, "HTTP/"))
        return start(response, text);
    if (*text)
        add_field(response, text);
    else
        response->complete = response->status >= 200;
    return true;
}

/* The value when @field is `@name: value`. */
static const char *value_of(const char *field, const char *name)
{
    size_t length = strlen(name);

    return strncmp(field, name, length) == 0 && field[length] == ':' ? field + length + 2 : NULL;
}

const char *berth_response_get(const BerthResponse *response, const char *name)
{
    for (unsigned i = 0; i < response->fields->len; i++) {
        const char *value = value_of(response->fields->pdata[i], name);

        if (value)
            return value;
    }
    return NULL;
}

char **berth_response_get_all(const BerthResponse *response, const char *name)
{
    GPtrArray *values = g_ptr_array_new();

    for (unsigned i = 0; i < response->fields->len; i++) {
        const char *value = value_of(response->fields->pdata[i], name);

        if (value)
            g_ptr_array_add(values, g_strdup(value));
    }
    g_ptr_array_add(values, NULL);
    return (char **)g_ptr_array_free(values, FALSE);
}

int64_t berth_response_length(const BerthResponse *response)
{
    const char *text = berth_response_get(response, "content-length");
    guint64 length;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, &length, NULL))
        return -1;
    return (int64_t)length;
}
