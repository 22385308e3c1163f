/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody who can be asked for a password: pkttyagent(1) as a child, since without an agent polkit
 * refuses whoever would have to authenticate. It talks to the terminal by itself, and goes with
 * this process however that ends. An agent of the session, such as a desktop's, goes before it.
 */

#include "ctl/agent.h"

#include "base/fd.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>

#define AGENT "pkttyagent"

static pid_t agent = -1;

/* What everybody may know, and everybody who may have an object's path may say to it. */
static const char *const never_ask[] = {
    "Get", "GetAll", "GetSettings", "GetTransfer", "List", "ListTransfers",
};

static bool may_ask(const char *member)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(never_ask); i++)
        if (strcmp(never_ask[i], member) == 0)
            return false;
    return true;
}

/* Its own messages would only confuse: that there is no polkit is no failure. */
static void silence(void)
{
    BERTH_AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return;
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
}

/*
 * An agent that gives way to others is found by polkit only for who has a session with logind. Who
 * has none can have no other agent to give way to.
 */
static bool has_session(void)
{
    char *session = NULL;
    int r = sd_pid_get_session(0, &session);

    if (r < 0)
        r = sd_uid_get_display(geteuid(), &session);
    free(session);
    return r >= 0;
}

static void exec_agent(const Ctl *ctl, int notify, pid_t parent)
{
    g_autofree char *number = g_strdup_printf("%d", notify);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
        _exit(EXIT_FAILURE);
    if (ctl->address)
        setenv("DBUS_SYSTEM_BUS_ADDRESS", ctl->address, 1);
    (void)fcntl(notify, F_SETFD, 0);
    silence();
    execlp(AGENT, AGENT, "--notify-fd", number, has_session() ? "--fallback" : NULL, (char *)NULL);
    _exit(127);
}

void ctl_agent_open(const Ctl *ctl, const char *member)
{
    BERTH_AUTO_FD ready = -1;
    BERTH_AUTO_FD notify = -1;
    pid_t parent = getpid();
    int ends[2];
    char byte;

    if (agent >= 0 || ctl->no_ask_password || geteuid() == 0 || !isatty(STDIN_FILENO) ||
        !may_ask(member) || pipe2(ends, O_CLOEXEC) < 0)
        return;
    ready = ends[0];
    notify = ends[1];
    agent = fork();
    if (agent < 0)
        return;
    if (agent == 0)
        exec_agent(ctl, notify, parent);

    /* the agent closes its end when it is registered, the kernel when it could not start */
    notify = berth_close(notify);
    while (read(ready, &byte, 1) < 0 && errno == EINTR)
        ;
}

void ctl_agent_close(void)
{
    if (agent <= 0)
        return;
    (void)kill(agent, SIGTERM);
    (void)kill(agent, SIGCONT);
    while (waitpid(agent, NULL, 0) < 0 && errno == EINTR)
        ;
    agent = -1;
}
