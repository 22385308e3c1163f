/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standing between a caller and a command so that neither notices: signals, job control, exit
 * status. The command stays in this process group and keeps the terminal, so that pipelines, Ctrl-C
 * and Ctrl-Z work without berthctl's help. Relies on being the only one who waits for the command:
 * its PID cannot be used again before it was waited for, so that kill() hits the right process.
 */

#include "ctl/supervise.h"

#include "base/error.h"
#include "base/fd.h"
#include "ctl/text.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

static const int passed_on[] = {
    SIGHUP,  SIGINT,  SIGQUIT,  SIGALRM, SIGTERM, SIGUSR1,   SIGUSR2,
    SIGCONT, SIGTSTP, SIGWINCH, SIGURG,  SIGIO,   SIGVTALRM, SIGPWR,
};

/* What the terminal driver sends to the whole foreground group. */
static bool is_terminal_signal(uint32_t signal)
{
    return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTSTP ||
           signal == SIGCONT || signal == SIGWINCH;
}

bool ctl_signals_open(CtlSignals *signals, GError **error)
{
    struct sigaction on_child = { .sa_handler = SIG_DFL };
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    for (unsigned i = 0; i < G_N_ELEMENTS(passed_on); i++)
        sigaddset(&mask, passed_on[i]);
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        sigaddset(&mask, s);

    signals->fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot watch signals"));
    sigprocmask(SIG_BLOCK, &mask, &signals->mask);
    /* an ignored SIGCHLD, which a caller may hand down, would lose the exit status */
    sigaction(SIGCHLD, &on_child, &signals->on_child);
    return true;
}

void ctl_signals_restore(CtlSignals *signals)
{
    signals->fd = berth_close(signals->fd);
    sigaction(SIGCHLD, &signals->on_child, NULL);
    sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

static bool would_end(uint32_t signal)
{
    struct sigaction action;

    if (signal == SIGCHLD || signal == SIGCONT || signal == SIGWINCH || signal == SIGURG ||
        signal == SIGTSTP)
        return false;
    return sigaction((int)signal, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

int ctl_signals_take_early(CtlSignals *signals)
{
    struct signalfd_siginfo info;

    while (read(signals->fd, &info, sizeof info) == sizeof info) {
        if (would_end(info.ssi_signo))
            return (int)info.ssi_signo;
        if (info.ssi_signo == SIGTSTP)
            raise(SIGSTOP);
    }
    return 0;
}

static void pass_on(pid_t child, const struct signalfd_siginfo *info)
{
    if (info->ssi_code == SI_KERNEL && is_terminal_signal(info->ssi_signo))
        return;
    (void)kill(child, (int)info->ssi_signo);
}

/*
 * Stops this process after the command was stopped, until somebody continues it.
 *
 * A program that a debugger or a freezer stopped (SIGSTOP without a terminal) is continued by the
 * same hand, which knows nothing of us: stopping too would leave us asleep for good. With the
 * terminal a shell waits behind us. It gives the terminal back to this process group only: a
 * command that had it in a group of its own, as an interactive shell does, gets it from here.
 */
static void follow_stop(pid_t child, int signal)
{
    BERTH_AUTO_FD terminal = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    pid_t before = terminal >= 0 ? tcgetpgrp(terminal) : -1, group = getpgid(child);
    bool had_terminal = before > 0 && (before == getpgrp() || before == group);

    if (signal == SIGSTOP && !had_terminal)
        return;
    raise(SIGSTOP);
    if (had_terminal && before != getpgrp() && tcgetpgrp(terminal) == getpgrp())
        (void)tcsetpgrp(terminal, before);
}

/* Returns: the exit status of @child, or -1 while it lives. */
static int check_child(pid_t child)
{
    siginfo_t info = { .si_pid = 0 };

    while (waitid(P_PID, (id_t)child, &info, WEXITED | WSTOPPED | WNOHANG) == 0 &&
           info.si_pid != 0) {
        if (info.si_code == CLD_EXITED)
            return info.si_status;
        if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
            return 128 + info.si_status;
        if (info.si_code == CLD_STOPPED)
            follow_stop(child, info.si_status);
        info.si_pid = 0;
    }
    return -1;
}

int ctl_supervise(pid_t child, CtlSignals *signals)
{
    int status;

    /* from here on there is nothing to do but wait for the next signal */
    (void)fcntl(signals->fd, F_SETFL, fcntl(signals->fd, F_GETFL) & ~O_NONBLOCK);

    while ((status = check_child(child)) < 0) {
        struct signalfd_siginfo info;

        if (read(signals->fd, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD)
            pass_on(child, &info);
    }
    return status;
}
