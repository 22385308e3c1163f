/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WWW-Authenticate. In its list a comma can be followed by the next parameter or by the next
 * challenge; only what follows the first word tells: a parameter has `=`. Values that should have
 * been quoted and are not (URLs) are taken, since such servers exist. Pure and bounded.
 */

#include "registry/challenge.h"

#include <stdbool.h>
#include <string.h>

#define BLANK " \t"
/* RFC 9110, 5.6.2 */
#define TOKEN "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
/* RFC 9110, 11.2 */
#define TOKEN68 "-._~+/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static void challenge_free(gpointer data)
{
    BerthChallenge *challenge = data;

    g_free(challenge->scheme);
    g_free(challenge->token);
    g_hash_table_unref(challenge->params);
    g_free(challenge);
}

static char *take_quoted(const char **text)
{
    GString *value = g_string_new(NULL);

    for ((*text)++; **text && **text != '"'; (*text)++) {
        if (**text == '\\' && (*text)[1])
            (*text)++;
        g_string_append_c(value, **text);
    }
    if (**text == '"') {
        (*text)++;
        return g_string_free(value, FALSE);
    }
    g_string_free(value, TRUE);
    return NULL;
}

static char *take_value(const char **text)
{
    size_t length;

    if (**text == '"')
        return take_quoted(text);
    length = strcspn(*text, BLANK ",");
    *text += length;
    return g_strndup(*text - length, length);
}

/* Behind a word: the `=` of a parameter. */
static const char *find_equals(const char *text)
{
    text += strspn(text, BLANK);
    return *text == '=' ? text : NULL;
}

/* A token68 that ends its challenge, at *@text. */
static char *take_token68(const char **text)
{
    size_t length = strspn(*text, TOKEN68), padding = strspn(*text + length, "=");
    const char *end = *text + length + padding, *next = end + strspn(end, BLANK);
    char *token;

    if (length == 0 || (*next && *next != ','))
        return NULL;
    token = g_strndup(*text, length + padding);
    *text = next;
    return token;
}

static BerthChallenge *start_challenge(const char **text, size_t length)
{
    BerthChallenge *challenge = g_new0(BerthChallenge, 1);

    challenge->scheme = g_ascii_strdown(*text, (gssize)length);
    challenge->params = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    *text += length;
    if (strchr(BLANK, **text) && **text) {
        *text += strspn(*text, BLANK);
        challenge->token = take_token68(text);
    }
    return challenge;
}

static bool take_param(const char **text, size_t length, BerthChallenge *challenge)
{
    g_autofree char *name = g_ascii_strdown(*text, (gssize)length);
    g_autofree char *value = NULL;

    *text = find_equals(*text + length) + 1;
    *text += strspn(*text, BLANK);
    value = take_value(text);
    if (!value || g_hash_table_size(challenge->params) >= BERTH_CHALLENGE_PARAMS_MAX)
        return false;
    if (!g_hash_table_contains(challenge->params, name))
        g_hash_table_insert(challenge->params, g_steal_pointer(&name), g_steal_pointer(&value));
    return true;
}

static void parse(const char *text, GPtrArray *challenges)
{
    BerthChallenge *current = NULL;

    for (;;) {
        size_t length;

        text += strspn(text, BLANK ",");
        length = strspn(text, TOKEN);
        if (length == 0)
            return;
        if (current && find_equals(text + length)) {
            if (!take_param(&text, length, current))
                return;
        } else {
            if (challenges->len >= BERTH_CHALLENGES_MAX)
                return;
            current = start_challenge(&text, length);
            g_ptr_array_add(challenges, current);
        }
    }
}

GPtrArray *berth_challenges_parse(const char *const *values)
{
    GPtrArray *challenges = g_ptr_array_new_with_free_func(challenge_free);

    for (; *values; values++)
        parse(*values, challenges);
    return challenges;
}

const char *berth_challenge_param(const BerthChallenge *challenge, const char *name)
{
    return g_hash_table_lookup(challenge->params, name);
}
