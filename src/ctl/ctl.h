/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/spec.h"
#include "ctl/transfer-spec.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

#define CTL_EXIT_USAGE 2 /* bad usage; a failure is EXIT_FAILURE */

/** CtlJson: what --json= asks for. */
typedef enum {
    CTL_JSON_OFF,
    CTL_JSON_SHORT,
    CTL_JSON_PRETTY,
} CtlJson;

/**
 * Ctl: one run of berthctl: the options as given, the operands behind the verb, the bus. Strings
 * are those of argv.
 */
typedef struct {
    CtlJson json;
    bool no_pager;
    bool no_legend;
    bool no_ask_password;
    bool quiet;
    const char *address; /* NULL: the system bus */

    CtlSpec spec;     /* what create and run ask for; resize takes its inodes */
    const char *name; /* --name= */
    bool keep;
    bool stopped;         /* --stopped */
    GPtrArray *leave_out; /* (nullable) (element-type utf8): --leave-out= */

    CtlTransferSpec transfer; /* how to transfer images */
    const char *username;     /* --username= */

    char **operands; /* behind the verb, n_operands of them */
    int n_operands;
    char **command; /* of run and enter, NULL-terminated */

    bool detached; /* a transfer goes on without us */

    sd_bus *bus; /* opened by the first call, see ctl/bus.h */
} Ctl;

/*
 * The verbs. Each reports its own failures (ctl/report.h) and returns the exit status of berthctl.
 */
int ctl_verb_create(Ctl *ctl);
int ctl_verb_run(Ctl *ctl);
int ctl_verb_enter(Ctl *ctl);
int ctl_verb_attach(Ctl *ctl);
int ctl_verb_list(Ctl *ctl);
int ctl_verb_show(Ctl *ctl);
int ctl_verb_remove(Ctl *ctl);
int ctl_verb_resize(Ctl *ctl);
int ctl_verb_publish(Ctl *ctl);
int ctl_verb_unpublish(Ctl *ctl);
int ctl_verb_snapshot(Ctl *ctl);
int ctl_verb_restore(Ctl *ctl);
int ctl_verb_pull(Ctl *ctl);
int ctl_verb_push(Ctl *ctl);
int ctl_verb_copy(Ctl *ctl);
int ctl_verb_import(Ctl *ctl);
int ctl_verb_import_blob(Ctl *ctl);
int ctl_verb_export(Ctl *ctl);
int ctl_verb_images(Ctl *ctl);
int ctl_verb_inspect(Ctl *ctl);
int ctl_verb_tag(Ctl *ctl);
int ctl_verb_remove_image(Ctl *ctl);
int ctl_verb_prune(Ctl *ctl);
int ctl_verb_cat_blob(Ctl *ctl);
int ctl_verb_transfers(Ctl *ctl);
int ctl_verb_wait(Ctl *ctl);
int ctl_verb_cancel(Ctl *ctl);
int ctl_verb_login(Ctl *ctl);
int ctl_verb_logout(Ctl *ctl);
int ctl_verb_registry(Ctl *ctl);
int ctl_verb_config(Ctl *ctl);
int ctl_verb_reload(Ctl *ctl);
int ctl_verb_monitor(Ctl *ctl);

/** ctl_import_docker: `config import-docker`: makes settings files of the daemon.json at @path. */
int ctl_import_docker(Ctl *ctl, const char *path);
