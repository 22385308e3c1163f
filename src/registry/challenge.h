/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#define BERTH_CHALLENGES_MAX       16 /* of one answer */
#define BERTH_CHALLENGE_PARAMS_MAX 32

/** BerthChallenge: one way a server can be authenticated to, RFC 9110, 11.3. */
typedef struct {
    char *scheme;       /* in lower case */
    char *token;        /* (nullable): a token68 */
    GHashTable *params; /* (element-type utf8 utf8): names in lower case; the first of a name */
} BerthChallenge;

/**
 * berth_challenges_parse:
 * @values: NULL-terminated: of all WWW-Authenticate headers, untrusted. One can hold several
 *   challenges, and commas separate challenges as well as their parameters
 *
 * Returns: (transfer full) (element-type BerthChallenge): those that can be read. What is behind
 *   something malformed is dropped to the end of its value.
 */
GPtrArray *berth_challenges_parse(const char *const *values);

/** berth_challenge_param: Returns: (nullable) (transfer none): the value of @name. */
const char *berth_challenge_param(const BerthChallenge *challenge, const char *name);
