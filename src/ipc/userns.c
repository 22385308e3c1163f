/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IPC namespaces for users other than root. Whoever wants to join an IPC namespace needs
 * CAP_SYS_ADMIN over it, that is, in the user namespace that owns it; so each lies in a user
 * namespace whose owner is the user. The owner's processes enter that one first and have the
 * capability there (user_namespaces(7)). Only the user and its groups are mapped in it: without a
 * uid 0, neither the sysctls nor anything else of root's can be written from inside.
 *
 * A process cannot come back from a user namespace, so a helper goes. Its real and saved uid stay
 * root's and it is not dumpable, so that the user can neither trace it nor signal it as one of its
 * own. As owner of the new namespace the user can signal it all the same: whoever waits for it has
 * a time-out.
 */

#include "ipc/userns.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_MAPPED_GROUPS 340 /* lines of a gid_map, user_namespaces(7) */

static G_NORETURN void fail(int socket)
{
    struct {
        char step;
        char err[sizeof(int32_t)];
    } message = { .step = BERTH_OWNER_FAILED };
    int32_t err = errno;

    memcpy(message.err, &err, sizeof(err));
    (void)!send(socket, &message, sizeof(message), MSG_NOSIGNAL);
    _exit(1);
}

static void say(int socket, char step)
{
    if (send(socket, &step, 1, MSG_NOSIGNAL) != 1)
        _exit(1);
}

G_NORETURN void berth_owner_child(int socket, uid_t uid, gid_t gid)
{
    char step;

    if ((socket > 3 && close_range(3, (unsigned)socket - 1, 0) < 0) ||
        close_range((unsigned)socket + 1, ~0u, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid((gid_t)-1, gid, (gid_t)-1) < 0 || setresuid((uid_t)-1, uid, (uid_t)-1) < 0)
        fail(socket);
    /* a change of identity resets both, so only now */
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        fail(socket);
    say(socket, BERTH_OWNER_USER);
    if (recv(socket, &step, 1, 0) != 1 || step != BERTH_OWNER_MAPPED)
        _exit(1);
    if (unshare(CLONE_NEWIPC) < 0)
        fail(socket);
    say(socket, BERTH_OWNER_IPC);
    (void)!recv(socket, &step, 1, 0); /* until the service has opened it */
    _exit(0);
}

static bool write_file(const BerthPlaces *places, pid_t pid, const char *name, const char *text,
                       GError **error)
{
    g_autofree char *path = g_strdup_printf("%d/%s", pid, name);
    size_t length = strlen(text);
    BERTH_AUTO_FD fd = openat(places->proc, path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, length) != (ssize_t)length)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot write %s of a user namespace", name);
    return true;
}

bool berth_owner_map(const BerthPlaces *places, pid_t pid, uid_t uid, const GArray *groups,
                     GError **error)
{
    g_autofree char *user = g_strdup_printf("%u %u 1\n", uid, uid);
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < groups->len && g_hash_table_size(seen) < MAX_MAPPED_GROUPS; i++) {
        gid_t gid = g_array_index(groups, gid_t, i);

        if (gid != 0 && g_hash_table_add(seen, GUINT_TO_POINTER(gid)))
            g_string_append_printf(lines, "%u %u 1\n", gid, gid);
    }
    return write_file(places, pid, "uid_map", user, error) &&
           write_file(places, pid, "setgroups", "deny", error) &&
           (lines->len == 0 || write_file(places, pid, "gid_map", lines->str, error));
}

int berth_owner_open(const BerthPlaces *places, pid_t pid, GError **error)
{
    g_autofree char *path = g_strdup_printf("%d/ns/ipc", pid);
    int fd = openat(places->proc, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                              "cannot open the IPC namespace of a helper");
    return fd;
}
