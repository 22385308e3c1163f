/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * BerthPlaces: the namespaces between which the service steps. All descriptors are owned by it.
 */
typedef struct {
    int home_mnt;        /* the mount namespace the process started in */
    int home_ipc;        /* the IPC namespace it started in, which is the host's */
    int host_mnt;        /* the mount namespace that published paths appear in; may be home */
    int proc;            /* root directory of a procfs that is writable whatever /proc is */
    bool host_is_home;   /* both mount namespaces are one: no step is needed */
    int root;            /* the process's root directory, O_PATH */
    bool chrooted;       /* setns() alone would leave that root */
    int sysctls;         /* a procfs for sysctls only, made anew from time to time */
    unsigned namespaces; /* whose sysctls were looked at in it */
} BerthPlaces;

/**
 * berth_places_open:
 * @host_mnt_path: (nullable): path of the host's mount namespace, such as /proc/1/ns/mnt; NULL when
 *   the process runs in it
 * @error: BERTH_ERROR_FAILED
 *
 * The caller must be single-threaded and stay so: setns(2) into a mount namespace refuses a process
 * that shares its file system attributes.
 *
 * Returns: (transfer full): the places, or NULL.
 */
BerthPlaces *berth_places_open(const char *host_mnt_path, GError **error);
void berth_places_free(BerthPlaces *places);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthPlaces, berth_places_free)

/**
 * berth_places_sysctls: a procfs in which to open sysctls of the IPC namespace the thread is in.
 * The kernel keeps a directory entry for each sysctl of each namespace ever looked at, all in one
 * hash chain: in a procfs that lives long each open takes longer than the last. So this one does
 * not live long.
 *
 * Returns: (transfer none): its root directory.
 */
int berth_places_sysctls(BerthPlaces *places);

/**
 * BerthStep: a visit to other namespaces that ends with its scope. Declare it with BERTH_AUTO_STEP,
 * then step; at the end of the scope the process is home again, or gone.
 */
typedef struct {
    const BerthPlaces *places;
    bool mnt, ipc;
} BerthStep;

#define BERTH_AUTO_STEP __attribute__((cleanup(berth_step_end))) BerthStep

/**
 * berth_step_mnt:
 * @step: the visit, zeroed or begun
 * @ns: mount namespace; root and working directory become its root directory
 */
bool berth_step_mnt(BerthStep *step, const BerthPlaces *places, int ns, GError **error);
/** berth_step_ipc: the same for an IPC namespace. */
bool berth_step_ipc(BerthStep *step, const BerthPlaces *places, int ns, GError **error);
/**
 * berth_step_new_ipc:
 * @step: the visit
 * @full: (out): whether it failed because the kernel has no room for another namespace yet. It
 * frees them in the background, on Linux 6.1 about 100 a second: worth another try later
 *
 * Steps into a new IPC namespace.
 */
bool berth_step_new_ipc(BerthStep *step, const BerthPlaces *places, bool *full, GError **error);
/** berth_step_end: steps home. Aborts the process when there is no way back. */
void berth_step_end(BerthStep *step);

/** berth_same_namespace: Returns: whether two namespace descriptors refer to the same one. */
bool berth_same_namespace(int a, int b);
