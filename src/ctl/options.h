/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/** Groups of options; a verb says which it takes. */
enum {
    CTL_OPTIONS_COMMON = 1 << 0,
    CTL_OPTIONS_INODES = 1 << 1, /* --shm-inodes= alone */
    CTL_OPTIONS_SPEC = 1 << 2,   /* what describes a sandbox */
    CTL_OPTIONS_RUN = 1 << 3,
    CTL_OPTIONS_PLATFORMS = 1 << 4, /* which images of an index */
    CTL_OPTIONS_REGISTRY = 1 << 5,  /* how to talk to a registry */
    CTL_OPTIONS_FOREIGN = 1 << 6,   /* where foreign layers come from */
    CTL_OPTIONS_REFERRERS = 1 << 7,
    CTL_OPTIONS_EXPORT = 1 << 8,
    CTL_OPTIONS_IMPORT = 1 << 9,
    CTL_OPTIONS_SNAPSHOT = 1 << 10, /* how to save a sandbox */
    CTL_OPTIONS_RESTORE = 1 << 11,  /* what not to save or restore */
    CTL_OPTIONS_LOGIN = 1 << 12,
};

/** CtlVerb: a line of the table of verbs in main.c. */
typedef struct {
    const char *name;
    const char *operands; /* for the help */
    int min, max;         /* number of operands */
    bool command;         /* takes a command behind exactly min operands */
    unsigned options;     /* groups besides the common ones */
    int (*run)(Ctl *ctl);
    const char *help;
} CtlVerb;

/**
 * ctl_options_parse:
 * @ctl: (inout): gets options, operands and command
 * @verbs: the verbs, ended by one without a name
 * @verb: (out): the one to run; NULL when there is nothing left to do
 *
 * Options may stand before and after the verb and between its operands. `--` ends them; so does the
 * command of a verb that takes one.
 *
 * Returns: an exit status; not EXIT_SUCCESS when the usage was bad and was reported.
 */
int ctl_options_parse(Ctl *ctl, int argc, char **argv, const CtlVerb *verbs, const CtlVerb **verb);

/** ctl_options_help: prints usage, verbs and options. */
void ctl_options_help(const Ctl *ctl, const CtlVerb *verbs);
