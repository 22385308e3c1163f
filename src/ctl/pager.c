/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager: a child that standard output is piped into when it is a terminal. Relies on nothing
 * being printed before it is opened. less runs without its ways to start programs or write files
 * (LESSSECURE), since berthctl often runs as root through sudo.
 */

#include "base/fd.h"
#include "ctl/output.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static pid_t pager = -1;

static void exec_pager(const char *command, int input)
{
    dup2(input, STDIN_FILENO);
    setenv("LESS", "FRSXMK", 0);
    setenv("LESSCHARSET", "utf-8", 0);
    setenv("LESSSECURE", "1", 1);
    if (command)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    execlp("less", "less", (char *)NULL);
    execlp("more", "more", (char *)NULL);
    execlp("cat", "cat", (char *)NULL);
    _exit(127);
}

void ctl_pager_open(const Ctl *ctl)
{
    const char *command = getenv("PAGER");
    BERTH_AUTO_FD input = -1;
    BERTH_AUTO_FD output = -1;
    int ends[2];

    if (ctl->no_pager || pager >= 0 || !isatty(STDOUT_FILENO) ||
        (command && (!*command || strcmp(command, "cat") == 0)))
        return;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return; /* unpaged output is better than none */
    input = ends[0];
    output = ends[1];

    fflush(stdout);
    pager = fork();
    if (pager < 0)
        return;
    if (pager == 0)
        exec_pager(command, input);

    /* Ctrl-C is for the pager; a pager that was left early is no error */
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    dup2(output, STDOUT_FILENO);
}

void ctl_pager_close(void)
{
    fflush(stdout);
    if (pager <= 0)
        return;
    close(STDOUT_FILENO);
    while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
        ;
    pager = -1;
}
