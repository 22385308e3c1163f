/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <string.h>

/** berth_secret_free: wipes and frees @text (nullable). */
static inline void berth_secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    g_free(text);
}

static inline void berth_secret_cleanup(char **text)
{
    berth_secret_free(*text);
}

/** BERTH_AUTO_SECRET: a text that is wiped and freed when its variable goes out of scope. */
#define BERTH_AUTO_SECRET __attribute__((cleanup(berth_secret_cleanup))) char *
