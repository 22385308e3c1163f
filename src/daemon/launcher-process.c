/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launcher: a process that does nothing but fork workers, take from them whatever they could
 * harm anybody with, and tell how they ended. It is forked before the service gives up the network
 * for good, since what a process has given up its children do not get back. It blocks where it
 * likes, has no bus, trusts the service, and ends with it; its workers end with it. The child
 * between fork and exec uses plain system calls only.
 */

#include "daemon/launcher-internal.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER_SOCKET 3  /* where a worker finds its bus */
#define FIRST_OWN     10 /* the launcher's own descriptors stay clear of a worker's */
#define MAX_FILES     1024

typedef struct {
    int service, programs[_BERTH_PROGRAM_MAX], signals;
    pid_t pid;
    char **environment;
    GArray *workers; /* (element-type Worker) that have not ended */
} Launcher;

typedef struct {
    uint32_t id;
    pid_t pid;
} Worker;

/* What a worker may know of the service's environment. */
static const char *const passed_on[] = {
    "PATH",         "LANG",          "LC_ALL",    "TZ",       "http_proxy", "https_proxy",
    "HTTPS_PROXY",  "all_proxy",     "ALL_PROXY", "no_proxy", "NO_PROXY",   "ASAN_OPTIONS",
    "LSAN_OPTIONS", "UBSAN_OPTIONS",
};

/* Reports of sanitizers go to standard error: a worker may write nowhere else. It cannot look for
 * leaks either, since nothing may trace it. */
static char *pass_on(const char *name, const char *value)
{
    const char *more = g_str_has_suffix(name, "SAN_OPTIONS") ? ":log_path=stderr" : "";

    if (g_str_equal(name, "ASAN_OPTIONS"))
        more = ":log_path=stderr:detect_leaks=0";
    return g_strconcat(name, "=", value, more, NULL);
}

static char **make_environment(void)
{
    GPtrArray *environment = g_ptr_array_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(passed_on); i++) {
        const char *value = g_getenv(passed_on[i]);

        if (value)
            g_ptr_array_add(environment, pass_on(passed_on[i], value));
    }
    g_ptr_array_add(environment, NULL);
    return (char **)g_ptr_array_free(environment, FALSE);
}

/* The service reads as long as it lives, so this waits; without it there is nobody to tell. */
static void report(const Launcher *launcher, const BerthLaunchReport *what, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec data = { (void *)what, sizeof(*what) };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                                           .cmsg_level = SOL_SOCKET,
                                           .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
    }
    if (sendmsg(launcher->service, &message, MSG_NOSIGNAL) < 0)
        _exit(EXIT_FAILURE);
}

static void report_failure(const Launcher *launcher, uint32_t id, BerthLaunchStep step)
{
    const BerthLaunchReport failure = { id, BERTH_LAUNCH_FAILED, step, errno };

    report(launcher, &failure, -1);
}

static bool arrange_descriptors(int socket)
{
    /* dup2() to itself would leave close-on-exec as it is */
    if (socket == WORKER_SOCKET)
        return fcntl(socket, F_SETFD, 0) == 0;
    return dup2(socket, WORKER_SOCKET) >= 0;
}

/* The bounding set; the others are empty when root's rights are given up. */
static bool drop_bounding(void)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
        capability++;
    return errno == EINVAL; /* past the last one */
}

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           syscall(SYS_capset, &header, none) == 0;
}

static bool become(uid_t uid, gid_t gid)
{
    return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
           setresuid(uid, uid, uid) == 0 && drop_capabilities();
}

/* It must end with the launcher. That is forgotten by a change of user, so it comes after it, and
 * the launcher may have ended before. */
static bool limit(pid_t launcher)
{
    const struct rlimit no_core = { 0, 0 }, files = { MAX_FILES, MAX_FILES };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        setrlimit(RLIMIT_CORE, &no_core) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return false;
    if (getppid() != launcher)
        _exit(EXIT_FAILURE);
    return true;
}

static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* some cannot be set; those are at their default */
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Where memory is short, a worker goes before the service: it can be started again. */
static void offer_to_oom_killer(void)
{
    static const char score[] = "500";
    BERTH_AUTO_FD fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, score, sizeof(score) - 1) < 0) { /* then it counts like all others */
    }
}

static G_GNUC_NORETURN void run_worker(const Launcher *launcher, const BerthLaunchRequest *request,
                                       int socket)
{
    static char name[] = "berth-transfer";
    char *const arguments[] = { name, NULL };
    BerthLaunchStep step = BERTH_LAUNCH_DESCRIPTORS;

    reset_signals();
    (void)setsid();
    offer_to_oom_killer();
    if (arrange_descriptors(socket)) {
        step = BERTH_LAUNCH_CAPABILITIES;
        if (drop_bounding())
            step = become(request->uid, request->gid) ? BERTH_LAUNCH_LIMITS : BERTH_LAUNCH_USER;
    }
    if (step == BERTH_LAUNCH_LIMITS && limit(launcher->pid)) {
        step = BERTH_LAUNCH_EXECUTE;
        (void)execveat(launcher->programs[request->program], "", arguments, launcher->environment,
                       AT_EMPTY_PATH);
    }
    report_failure(launcher, request->id, step);
    _exit(EXIT_FAILURE);
}

static void start(Launcher *launcher, const BerthLaunchRequest *request, int socket)
{
    const BerthLaunchReport started = { request->id, BERTH_LAUNCH_STARTED, 0, 0 };
    const BerthLaunchReport ended = { request->id, BERTH_LAUNCH_ENDED, CLD_EXITED, EXIT_FAILURE };
    Worker worker = { request->id, fork() };
    BERTH_AUTO_FD pidfd = -1;

    if (worker.pid == 0)
        run_worker(launcher, request, socket);
    if (worker.pid > 0)
        pidfd = pidfd_open(worker.pid, 0); /* not reaped yet, so the PID is its */
    if (pidfd < 0)
        report_failure(launcher, request->id, BERTH_LAUNCH_FORK);
    if (worker.pid < 0) {
        report(launcher, &ended, -1);
        return;
    }
    g_array_append_val(launcher->workers, worker);
    if (pidfd >= 0)
        report(launcher, &started, pidfd);
    else
        (void)kill(worker.pid, SIGKILL);
}

/* Ends with the service. */
static void take_request(Launcher *launcher)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    BerthLaunchRequest request;
    struct iovec data = { &request, sizeof(request) };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(launcher->service, &message, MSG_CMSG_CLOEXEC);
    BERTH_AUTO_FD socket = -1;

    if (n < 0 && errno == EINTR)
        return;
    if (n != sizeof(request) || message.msg_controllen < sizeof(control.header) ||
        control.header.cmsg_type != SCM_RIGHTS)
        _exit(n == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    memcpy(&socket, CMSG_DATA(&control.header), sizeof(int));
    start(launcher, &request, socket);
}

static void forget(Launcher *launcher, const siginfo_t *info)
{
    for (guint i = 0; i < launcher->workers->len; i++) {
        const Worker *worker = &g_array_index(launcher->workers, Worker, i);

        if (worker->pid == info->si_pid) {
            const BerthLaunchReport ended = { worker->id, BERTH_LAUNCH_ENDED, info->si_code,
                                              info->si_status };

            report(launcher, &ended, -1);
            g_array_remove_index_fast(launcher->workers, i);
            return;
        }
    }
}

static void reap(Launcher *launcher)
{
    struct signalfd_siginfo signal_info;
    siginfo_t info = { 0 };

    (void)!read(launcher->signals, &signal_info, sizeof(signal_info));
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid > 0) {
        forget(launcher, &info);
        info.si_pid = 0;
    }
}

/* What only the launcher needs, out of the way of a worker's, and gone when that is executed. */
static int move_up(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN);
}

/* Keeps what it needs and the log, and closes everything else. */
static bool keep(Launcher *launcher, int service, const int *programs)
{
    enum { WANTED = 1 + _BERTH_PROGRAM_MAX, LOWEST = 3 };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int moved[WANTED];
    sigset_t children;

    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        sigprocmask(SIG_BLOCK, &children, NULL) < 0)
        return false;
    /* first all to one row behind standard error: between them something could lie */
    for (int i = 0; i < WANTED; i++)
        if ((moved[i] = move_up(i == 0 ? service : programs[i - 1])) < 0)
            return false;
    for (int i = 0; i < WANTED; i++)
        if (dup3(moved[i], LOWEST + i, O_CLOEXEC) < 0)
            return false;
    if (close_range(LOWEST + WANTED, ~0u, 0) < 0)
        return false;
    launcher->service = move_up(LOWEST);
    for (int i = 0; i < _BERTH_PROGRAM_MAX; i++)
        if ((launcher->programs[i] = move_up(LOWEST + 1 + i)) < 0)
            return false;
    launcher->signals = move_up(signalfd(-1, &children, SFD_CLOEXEC));
    return launcher->service >= 0 && launcher->signals >= 0 &&
           close_range(LOWEST, FIRST_OWN - 1, 0) == 0;
}

void berth_launcher_run(int service, const int programs[_BERTH_PROGRAM_MAX])
{
    Launcher launcher = { .pid = getpid(),
                          .environment = make_environment(),
                          .workers = g_array_new(FALSE, FALSE, sizeof(Worker)) };

    /* a Ctrl-C in a terminal is for the service; what it leaves behind ends with its socket */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_NAME, "berth-launcher");
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (!keep(&launcher, service, programs))
        _exit(EXIT_FAILURE);
    for (;;) {
        struct pollfd waiting[] = { { .fd = launcher.service, .events = POLLIN },
                                    { .fd = launcher.signals, .events = POLLIN } };

        if (poll(waiting, G_N_ELEMENTS(waiting), -1) < 0 && errno != EINTR)
            _exit(EXIT_FAILURE);
        if (waiting[1].revents)
            reap(&launcher);
        if (waiting[0].revents)
            take_request(&launcher);
    }
}
