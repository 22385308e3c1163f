/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service's handle on its launcher, and on the process of each worker. Requests are sent
 * without waiting; pidfds and ends come as reports, in their order for each worker. A launcher that
 * is gone takes its workers with it and costs nothing else: whoever wants one is told.
 */

#include "daemon/launcher.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/messages.h"
#include "daemon/launcher-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MAX_WORKERS 256 /* that have not ended, whoever they work for */
#define PROGRAM     "berth-transfer"

static const char *const suffixes[_BERTH_PROGRAM_MAX] = {
    [BERTH_PROGRAM_NETWORK] = "",
    [BERTH_PROGRAM_STORE] = "-store",
    [BERTH_PROGRAM_ARCHIVE] = "-archive",
};

struct BerthLauncher {
    pid_t pid;
    int socket;                 /* -1: there is none */
    char *missing;              /* why there is none */
    sd_event_source *io, *exit; /* reports; its end */
    GHashTable *launches;       /* id -> BerthLaunch, until the end was reported */
    uint32_t last_id;
};

struct BerthLaunch {
    BerthLauncher *launcher;
    uint32_t id;
    int pidfd; /* -1: not started yet */
    bool killed;
    char *failure; /* why it could not be started */
    BerthLaunchEnded ended;
    void *userdata;
};

static const char *const steps[_BERTH_LAUNCH_STEP_MAX] = {
    [BERTH_LAUNCH_FORK] = "no process could be made",
    [BERTH_LAUNCH_DESCRIPTORS] = "its descriptors could not be arranged",
    [BERTH_LAUNCH_CAPABILITIES] = "it could not give up its capabilities",
    [BERTH_LAUNCH_USER] = "it could not become its user",
    [BERTH_LAUNCH_LIMITS] = "its limits could not be set",
    [BERTH_LAUNCH_EXECUTE] = "its program could not be executed",
};

static void launch_destroy(gpointer data)
{
    BerthLaunch *launch = data;

    berth_close(launch->pidfd);
    g_free(launch->failure);
    g_free(launch);
}

/* What to execute: beside a service that was not installed lies its own. */
static char *find_program(void)
{
    const char *given = g_getenv("BERTH_TRANSFER");
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *directory = self ? g_path_get_dirname(self) : NULL;
    g_autofree char *built = NULL;

    if (given && *given)
        return g_strdup(given);
    if (directory && !g_str_equal(directory, BERTH_SBINDIR)) {
        g_autofree char *parent = g_path_get_dirname(directory);

        built = g_build_filename(parent, "transfer", PROGRAM, NULL);
        if (access(built, X_OK) == 0)
            return g_steal_pointer(&built);
    }
    return g_build_filename(BERTH_LIBEXECDIR, PROGRAM, NULL);
}

typedef struct {
    int fds[_BERTH_PROGRAM_MAX]; /* -1: not open */
} Programs;

static void close_programs(Programs *programs)
{
    for (unsigned i = 0; i < _BERTH_PROGRAM_MAX; i++)
        programs->fds[i] = berth_close(programs->fds[i]);
}

/* One that has no namesakes beside it stands for all of them. */
static bool open_programs(Programs *programs, GError **error)
{
    g_autofree char *path = find_program();

    for (unsigned i = 0; i < _BERTH_PROGRAM_MAX; i++) {
        g_autofree char *one = g_strconcat(path, suffixes[i], NULL);

        programs->fds[i] = open(one, O_PATH | O_CLOEXEC);
        if (programs->fds[i] < 0 && errno == ENOENT)
            programs->fds[i] = open(path, O_PATH | O_CLOEXEC);
        if (programs->fds[i] < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot open %s", one);
    }
    return true;
}

static bool fork_it(BerthLauncher *launcher, GError **error)
{
    __attribute__((cleanup(close_programs))) Programs programs = { { -1, -1, -1 } };
    BERTH_AUTO_FD ours = -1;
    BERTH_AUTO_FD theirs = -1;
    int pair[2];

    if (!open_programs(&programs, error))
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot make a socket pair");
    ours = pair[0];
    theirs = pair[1];
    launcher->pid = fork();
    if (launcher->pid < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot fork");
    if (launcher->pid == 0) {
        berth_close(ours);
        berth_launcher_run(theirs, programs.fds);
    }
    launcher->socket = berth_steal_fd(&ours);
    return true;
}

BerthLauncher *berth_launcher_fork(void)
{
    BerthLauncher *launcher = g_new0(BerthLauncher, 1);
    g_autoptr(GError) error = NULL;

    launcher->socket = -1;
    launcher->launches = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, launch_destroy);
    if (!fork_it(launcher, &error)) {
        berth_log_event(LOG_WARNING, BERTH_MESSAGE_NO_LAUNCHER, NULL,
                        "no images can be transferred: %s", error->message);
        launcher->missing = g_strdup(error->message);
    }
    return launcher;
}

static void end(BerthLaunch *launch, const char *how)
{
    BerthLaunchEnded ended = launch->ended;
    void *userdata = launch->userdata;
    g_autofree char *text = launch->failure ? g_steal_pointer(&launch->failure) : g_strdup(how);

    g_hash_table_remove(launch->launcher->launches, GUINT_TO_POINTER(launch->id));
    if (ended)
        ended(text, userdata);
}

/* Its workers end with it, by the kernel. */
static void gone(BerthLauncher *launcher)
{
    if (launcher->socket < 0)
        return;
    launcher->io = sd_event_source_disable_unref(launcher->io);
    launcher->socket = berth_close(launcher->socket);
    launcher->missing = g_strdup("the process that starts workers has ended; restart berthd");
    berth_log_event(LOG_ERR, BERTH_MESSAGE_NO_LAUNCHER, NULL, "no images can be transferred: %s",
                    launcher->missing);
    for (;;) {
        GHashTableIter iter;
        gpointer launch;

        g_hash_table_iter_init(&iter, launcher->launches);
        if (!g_hash_table_iter_next(&iter, NULL, &launch))
            break;
        end(launch, "it was ended with the process that starts workers");
    }
}

static char *how_it_ended(const BerthLaunchReport *report)
{
    const char *name;

    if (report->how == CLD_EXITED)
        return g_strdup_printf("it ended with exit code %d", report->value);
    name = sigabbrev_np(report->value);
    return name ? g_strdup_printf("it was ended by signal %s", name)
                : g_strdup_printf("it was ended by signal %d", report->value);
}

/* @pidfd: (transfer full) */
static void take_report(BerthLauncher *launcher, const BerthLaunchReport *report, int pidfd)
{
    BERTH_AUTO_FD process = pidfd;
    BerthLaunch *launch = g_hash_table_lookup(launcher->launches, GUINT_TO_POINTER(report->id));
    g_autofree char *how = NULL;

    if (!launch)
        return;
    switch (report->what) {
    case BERTH_LAUNCH_STARTED:
        berth_close(launch->pidfd);
        launch->pidfd = berth_steal_fd(&process);
        if (launch->killed)
            berth_launch_kill(launch);
        break;
    case BERTH_LAUNCH_FAILED:
        g_free(launch->failure);
        launch->failure = g_strdup_printf("%s: %s", steps[report->how], g_strerror(report->value));
        break;
    case BERTH_LAUNCH_ENDED:
        how = how_it_ended(report);
        end(launch, how);
        break;
    default:
        g_assert_not_reached();
    }
}

static int on_report(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    BerthLauncher *launcher = userdata;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    BerthLaunchReport report;
    struct iovec data = { &report, sizeof(report) };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    int pidfd = -1;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n != sizeof(report)) {
        gone(launcher);
        return 0;
    }
    if (message.msg_controllen >= sizeof(control.header) && control.header.cmsg_type == SCM_RIGHTS)
        memcpy(&pidfd, CMSG_DATA(&control.header), sizeof(int));
    take_report(launcher, &report, pidfd);
    return 0;
}

static int on_exit_status(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    BerthLauncher *launcher = userdata;

    launcher->exit = sd_event_source_disable_unref(launcher->exit);
    launcher->pid = 0; /* reaped */
    gone(launcher);
    return 0;
}

bool berth_launcher_attach(BerthLauncher *launcher, sd_event *event, GError **error)
{
    int r;

    if (launcher->socket < 0)
        return true;
    r = sd_event_add_io(event, &launcher->io, launcher->socket, EPOLLIN, on_report, launcher);
    if (r >= 0)
        r = sd_event_add_child(event, &launcher->exit, launcher->pid, WEXITED, on_exit_status,
                               launcher);
    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                           "cannot watch the process that starts workers");
}

void berth_launcher_free(BerthLauncher *launcher)
{
    if (!launcher)
        return;
    sd_event_source_disable_unref(launcher->io);
    sd_event_source_disable_unref(launcher->exit);
    g_hash_table_unref(launcher->launches);
    berth_close(launcher->socket);
    if (launcher->pid > 0) { /* it would end by itself; nobody is to see it after the service */
        (void)kill(launcher->pid, SIGKILL);
        (void)waitpid(launcher->pid, NULL, 0);
    }
    g_free(launcher->missing);
    g_free(launcher);
}

static bool request(const BerthLauncher *launcher, const BerthLaunchRequest *what, int socket)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS } };
    struct iovec data = { (void *)what, sizeof(*what) };
    const struct msghdr message = { .msg_iov = &data,
                                    .msg_iovlen = 1,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof(control) };

    memcpy(CMSG_DATA(&control.header), &socket, sizeof(int));
    return sendmsg(launcher->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*what);
}

BerthLaunch *berth_launch_start(BerthLauncher *launcher, const BerthWorkerUser *user,
                                BerthProgram program, int socket, BerthLaunchEnded ended,
                                void *userdata, GError **error)
{
    const BerthLaunchRequest what = { ++launcher->last_id, user->uid, user->gid, program };
    BerthLaunch *launch;

    if (launcher->missing) {
        berth_set_error(error, BERTH_ERROR_FAILED, "cannot start a worker: %s", launcher->missing);
        return NULL;
    }
    if (g_hash_table_size(launcher->launches) >= MAX_WORKERS) {
        berth_set_error(error, BERTH_ERROR_LIMITS_EXCEEDED,
                        "%d workers are running; try again when some have finished", MAX_WORKERS);
        return NULL;
    }
    if (!request(launcher, &what, socket)) {
        bool busy = errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS;

        berth_set_error_errno(error, busy ? BERTH_ERROR_LIMITS_EXCEEDED : BERTH_ERROR_FAILED, errno,
                              "cannot start a worker");
        return NULL;
    }
    launch = g_new0(BerthLaunch, 1);
    *launch = (BerthLaunch){
        .launcher = launcher, .id = what.id, .pidfd = -1, .ended = ended, .userdata = userdata
    };
    g_hash_table_insert(launcher->launches, GUINT_TO_POINTER(what.id), launch);
    return launch;
}

void berth_launch_kill(BerthLaunch *launch)
{
    launch->killed = true;
    if (launch->pidfd >= 0 && pidfd_send_signal(launch->pidfd, SIGKILL, NULL, 0) < 0 &&
        errno != ESRCH)
        berth_warning("cannot end a worker: %m");
}

void berth_launch_free(BerthLaunch *launch)
{
    if (!launch)
        return;
    launch->ended = NULL; /* the rest goes when its end is reported */
    berth_launch_kill(launch);
}
