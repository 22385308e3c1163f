/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berthctl: the service's bus interface as a command. The table of verbs is all there is to know
 * here: each verb has its operands, its options and its function.
 */

#include "base/log.h"
#include "ctl/agent.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include "ctl/text.h"

#include <stdlib.h>

static int verb_help(Ctl *ctl);

#define PUSH_OPTIONS (CTL_OPTIONS_PLATFORMS | CTL_OPTIONS_REFERRERS | CTL_OPTIONS_REGISTRY)
#define PULL_OPTIONS (PUSH_OPTIONS | CTL_OPTIONS_FOREIGN)

static const CtlVerb verbs[] = {
    { "create", "[NAME]", 0, 1, false, CTL_OPTIONS_SPEC, ctl_verb_create,
      N_("make a sandbox, print its ID") },
    { "run", "[--] COMMAND [ARG…]", 0, 0, true, CTL_OPTIONS_SPEC | CTL_OPTIONS_RUN, ctl_verb_run,
      N_("run a command in a sandbox of its own") },
    { "enter", "SANDBOX [--] COMMAND…", 1, 1, true, 0, ctl_verb_enter,
      N_("run a command in a sandbox") },
    { "attach", "SANDBOX PID", 2, 2, false, 0, ctl_verb_attach,
      N_("mount its file systems for a process") },
    { "list", "", 0, 0, false, 0, ctl_verb_list, N_("list sandboxes") },
    { "show", "SANDBOX", 1, 1, false, 0, ctl_verb_show, N_("show all about a sandbox") },
    { "remove", "SANDBOX…", 1, INT_MAX, false, 0, ctl_verb_remove, N_("remove sandboxes") },
    { "resize", "SANDBOX SIZE", 2, 2, false, CTL_OPTIONS_INODES, ctl_verb_resize,
      N_("change the size of /dev/shm; 0: the default") },
    { "publish", "SANDBOX", 1, 1, false, 0, ctl_verb_publish,
      N_("make it reachable by path, print the path") },
    { "unpublish", "SANDBOX", 1, 1, false, 0, ctl_verb_unpublish, N_("take the path away") },
    { "snapshot", "SANDBOX FILE", 2, 2, false, CTL_OPTIONS_SNAPSHOT | CTL_OPTIONS_RESTORE,
      ctl_verb_snapshot, N_("save its contents; -: standard output") },
    { "restore", "SANDBOX FILE", 2, 2, false, CTL_OPTIONS_RESTORE, ctl_verb_restore,
      N_("fill an empty one from a snapshot") },
    { "pull", "REFERENCE", 1, 1, false, PULL_OPTIONS, ctl_verb_pull,
      N_("get an image from a registry, print its digest") },
    { "push", "IMAGE [REFERENCE]", 1, 2, false, PUSH_OPTIONS, ctl_verb_push,
      N_("send an image to a registry") },
    { "copy", "REFERENCE REFERENCE", 2, 2, false, PULL_OPTIONS, ctl_verb_copy,
      N_("from registry to registry") },
    { "import", "FILE|-", 1, 1, false, CTL_OPTIONS_IMPORT, ctl_verb_import,
      N_("take the images of an archive in") },
    { "import-blob", "DIGEST FILE|-", 2, 2, false, 0, ctl_verb_import_blob,
      N_("take a blob in, for a later pull") },
    { "export", "IMAGE… -o FILE|-", 1, INT_MAX, false, CTL_OPTIONS_EXPORT | CTL_OPTIONS_REFERRERS,
      ctl_verb_export, N_("write images to an archive") },
    { "images", "[REFERENCE]", 0, 1, false, 0, ctl_verb_images,
      N_("list images, those that begin with it") },
    { "inspect", "IMAGE", 1, 1, false, 0, ctl_verb_inspect, N_("show all about an image") },
    { "tag", "IMAGE REFERENCE", 2, 2, false, 0, ctl_verb_tag, N_("give an image one more name") },
    { "remove-image", "IMAGE…", 1, INT_MAX, false, 0, ctl_verb_remove_image, N_("remove images") },
    { "prune", "", 0, 0, false, 0, ctl_verb_prune, N_("remove what no image needs") },
    { "cat-blob", "DIGEST", 1, 1, false, 0, ctl_verb_cat_blob,
      N_("write a blob to standard output") },
    { "transfers", "", 0, 0, false, 0, ctl_verb_transfers, N_("list transfers") },
    { "wait", "ID", 1, 1, false, 0, ctl_verb_wait, N_("follow a transfer to its end") },
    { "cancel", "ID…", 1, INT_MAX, false, 0, ctl_verb_cancel, N_("end transfers") },
    { "login", "REGISTRY", 1, 1, false, CTL_OPTIONS_LOGIN, ctl_verb_login,
      N_("keep credentials for a registry") },
    { "logout", "REGISTRY", 1, 1, false, 0, ctl_verb_logout, N_("forget them") },
    { "registry", "[NAME]", 0, 1, false, 0, ctl_verb_registry,
      N_("show what is in force for a registry") },
    { "config", "[import-docker FILE]", 0, 2, false, 0, ctl_verb_config,
      N_("show the settings and where they come from") },
    { "reload", "", 0, 0, false, 0, ctl_verb_reload,
      N_("make the service read its settings again") },
    { "monitor", "", 0, 0, false, 0, ctl_verb_monitor, N_("print what happens until Ctrl-C") },
    { "help", "", 0, 0, false, 0, verb_help, N_("print this") },
    { 0 },
};

static int verb_help(Ctl *ctl)
{
    ctl_options_help(ctl, verbs);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *level = getenv("BERTH_LOG_LEVEL");
    Ctl ctl = { 0 };
    const CtlVerb *verb;
    int status;

    ctl_text_init();
    berth_log_set_target(BERTH_LOG_CONSOLE);
    if (level && berth_log_level_from_string(level) >= 0)
        berth_log_set_level(berth_log_level_from_string(level));

    status = ctl_options_parse(&ctl, argc, argv, verbs, &verb);
    if (verb)
        status = verb->run(&ctl);

    ctl_pager_close();
    ctl_agent_close();
    sd_bus_flush_close_unref(ctl.bus);
    ctl_spec_clear(&ctl.spec);
    if (ctl.leave_out)
        g_ptr_array_unref(ctl.leave_out);
    g_free(ctl.operands);
    return status;
}
