/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BERTH_RESPONSE_HEADERS_MAX (64 * 1024) /* bytes of all header lines of one exchange */
#define BERTH_RESPONSE_LINES_MAX   512

/** BerthResponse: status and headers of an answer, as far as they came. */
typedef struct {
    unsigned status;   /* 0: nothing came yet */
    bool complete;     /* all headers are there */
    GPtrArray *fields; /* (element-type utf8): `name: value`, the name in lower case; no control
                          characters but tabs */
    GByteArray *body;  /* what was kept of it */
    size_t received;   /* bytes of header lines, those of interim answers too */
    unsigned lines;
} BerthResponse;

/** berth_response_init: @response: zeroed or anything. */
void berth_response_init(BerthResponse *response);
void berth_response_clear(BerthResponse *response);

/**
 * berth_response_add_line:
 * @line: @length bytes of one header line as it came, with its line end. A status line starts anew,
 *   an empty one completes the headers unless they are those of an interim answer (1xx)
 *
 * Returns: false when there is too much of it, or it cannot be the header of an answer.
 */
bool berth_response_add_line(BerthResponse *response, const char *line, size_t length);

/**
 * berth_response_get:
 * @name: in lower case
 *
 * Returns: (nullable): the first value.
 */
const char *berth_response_get(const BerthResponse *response, const char *name);

/**
 * berth_response_get_all:
 * Returns: (transfer full): NULL-terminated, all values.
 */
char **berth_response_get_all(const BerthResponse *response, const char *name);

/** berth_response_length: Returns: the Content-Length, -1 when there is none that makes sense. */
int64_t berth_response_length(const BerthResponse *response);
