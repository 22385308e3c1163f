/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: WWW-Authenticate. Each line is one header. What comes out is bounded, in lower case
 * where names are, and nothing in it is longer than what went in.
 */

#include "registry/challenge.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
    g_assert(strlen(text) <= size);
}

static void check_name(const char *name, size_t size)
{
    g_assert(*name && !strpbrk(name, " \t,=\"ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    check_text(name, size);
}

static void check_challenge(const BerthChallenge *challenge, size_t size)
{
    GHashTableIter iter;
    gpointer name, value;

    check_name(challenge->scheme, size);
    if (challenge->token) {
        check_text(challenge->token, size);
        g_assert(!strpbrk(challenge->token, " \t,\""));
    }
    g_assert(g_hash_table_size(challenge->params) <= BERTH_CHALLENGE_PARAMS_MAX);
    g_hash_table_iter_init(&iter, challenge->params);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        check_name(name, size);
        check_text(value, size);
        g_assert(berth_challenge_param(challenge, name) == value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 8);
    g_autoptr(GPtrArray) challenges = berth_challenges_parse((const char *const *)lines);

    g_assert(challenges->len <= BERTH_CHALLENGES_MAX);
    for (unsigned i = 0; i < challenges->len; i++)
        check_challenge(challenges->pdata[i], size);
    return 0;
}
