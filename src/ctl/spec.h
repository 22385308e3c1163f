/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/**
 * CtlSpec: the sandbox that the command line describes. What was not given is not sent, so that the
 * service's defaults hold. Strings belong to argv.
 */
typedef struct {
    const char *mode;
    bool has_shm_size, has_shm_inodes;
    uint64_t shm_size; /* bytes */
    uint64_t shm_inodes;
    const char *huge;
    const char *numa;
    GHashTable *sysctls,
        *labels; /* (element-type utf8 utf8), NULL: none; of a repeated key the last */
    GPtrArray *users, *groups; /* (element-type utf8), NULL: none */
    bool publish;
    const char *lifetime; /* NULL: until it is removed */
} CtlSpec;

/** ctl_spec_clear: frees what @spec holds. */
void ctl_spec_clear(CtlSpec *spec);

/**
 * ctl_spec_add_pair:
 * @pairs: (inout): a table of CtlSpec, made when it is NULL
 * @text: `KEY=VALUE`; the key ends at the first `=`
 *
 * Returns: false when @text has no `=` or no key.
 */
bool ctl_spec_add_pair(GHashTable **pairs, const char *text);

/** ctl_spec_add_word: appends @word, which must outlive @words, to a list of CtlSpec. */
void ctl_spec_add_word(GPtrArray **words, const char *word);

/**
 * ctl_spec_append:
 * @spec: what to ask for
 * @message: a call of Sandboxes.Create; gets the `a{sv}` of its options
 *
 * Returns: 0, or a negative errno of sd-bus.
 */
int ctl_spec_append(const CtlSpec *spec, sd_bus_message *message);
