/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * berth-transfer with other kinds of jobs: they try what a worker that was taken over would try,
 * from where it would stand, and tell what errno each attempt got; 0 means that it worked. One kind
 * stays, so that it can be looked at; one has much progress to tell.
 */

#include "base/fd.h"
#include "transfer/kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct {
    int store;
    char *path; /* a readable file, and in a directory where everybody can write */
    uint32_t pid;
} Arguments;

static const BerthOption keys[] = {
    { "Store", "h", offsetof(Arguments, store), .required = true },
    { "Path", "s", offsetof(Arguments, path) },
    { "Pid", "u", offsetof(Arguments, pid) },
    { NULL },
};

static void tell(BerthJob *job, const char *what, long result)
{
    int32_t number = result < 0 ? errno : 0;

    g_assert_cmpint(sd_bus_message_append(job->result, "{sv}", what, "i", number), >=, 0);
}

static void try_open(BerthJob *job, const char *what, int directory, const char *path, int flags)
{
    BERTH_AUTO_FD fd = openat(directory, path, flags | O_CLOEXEC, 0600);

    tell(job, what, fd);
}

static void try_files(BerthJob *job, const Arguments *arguments)
{
    g_autofree char *made = g_strconcat(arguments->path, ".made", NULL);
    g_autofree char *memory = g_strdup_printf("/proc/%u/mem", arguments->pid);

    try_open(job, "read-shadow", AT_FDCWD, "/etc/shadow", O_RDONLY);
    try_open(job, "read-etc", AT_FDCWD, "/etc/passwd", O_RDONLY);
    try_open(job, "read-outside", AT_FDCWD, arguments->path, O_RDONLY);
    try_open(job, "write-outside", AT_FDCWD, arguments->path, O_WRONLY);
    try_open(job, "make-outside", AT_FDCWD, made, O_WRONLY | O_CREAT);
    try_open(job, "make-in-tmp", AT_FDCWD, "/tmp/berth-probe", O_WRONLY | O_CREAT);
    try_open(job, "above-store", arguments->store, "../made", O_WRONLY | O_CREAT);
    try_open(job, "read-memory", AT_FDCWD, memory, O_RDONLY);
    try_open(job, "read-environment", AT_FDCWD, "/proc/self/environ", O_RDONLY);
    try_open(job, "write-store", arguments->store, "made", O_WRONLY | O_CREAT);
    tell(job, "rename-store", renameat(arguments->store, "made", arguments->store, "renamed"));
    tell(job, "link-out", linkat(arguments->store, "renamed", AT_FDCWD, made, 0));
    tell(job, "truncate-outside", truncate(arguments->path, 0));
    tell(job, "symlink", symlinkat("/etc/shadow", arguments->store, "link"));
    tell(job, "device", mknodat(arguments->store, "device", S_IFCHR | 0600, 1));
}

static void try_processes(BerthJob *job, pid_t other)
{
    char buffer[8];
    struct iovec here = { buffer, sizeof(buffer) };
    const struct rlimit limit = { 0, 0 };
    const struct f_owner_ex owner = { F_OWNER_PID, other };

    tell(job, "ptrace", ptrace(PTRACE_SEIZE, other, NULL, NULL));
    tell(job, "read-process", process_vm_readv(other, &here, 1, &here, 1, 0));
    tell(job, "kill", kill(other, SIGTERM));
    tell(job, "kill-all", kill(-1, SIGTERM));
    tell(job, "tgkill", syscall(SYS_tgkill, other, other, SIGTERM));
    tell(job, "queue-signal", sigqueue(other, SIGTERM, (union sigval){ 0 }));
    tell(job, "pidfd", syscall(SYS_pidfd_open, other, 0));
    tell(job, "limit-process", prlimit(other, RLIMIT_NOFILE, &limit, NULL));
    tell(job, "signal-by-file", fcntl(0, F_SETOWN_EX, &owner));
    tell(job, "shared-memory", shmget(IPC_PRIVATE, 4096, 0600));
}

static void try_rights(BerthJob *job)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    const struct __user_cap_data_struct data[2] = { { 1u << CAP_KILL, 1u << CAP_KILL, 0 } };
    char *const arguments[] = { NULL };
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    tell(job, "capability", syscall(SYS_capset, &header, data));
    tell(job, "become-root", setresuid(0, 0, 0));
    tell(job, "user-namespace", unshare(CLONE_NEWUSER));
    tell(job, "clone-namespace", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    tell(job, "fork", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    tell(job, "execute", execve("/bin/true", arguments, arguments));
    tell(job, "dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    tell(job, "executable-memory", mprotect(page, 4096, PROT_READ | PROT_EXEC));
    tell(job, "writable-code",
         mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                 MAP_FAILED
             ? -1
             : 0);
    tell(job, "io-uring", syscall(SYS_io_uring_setup, 1, NULL));
    tell(job, "bpf", syscall(SYS_bpf, 0, NULL, 0));
    (void)munmap(page, 4096);
}

static void try_socket(BerthJob *job, const char *what, int family, int protocol)
{
    BERTH_AUTO_FD fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd < 0 && family != AF_NETLINK && family != AF_PACKET)
        fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
    tell(job, what, fd);
}

static bool probe(BerthJob *job, GError **error)
{
    const Arguments *arguments = job->arguments;

    try_files(job, arguments);
    try_processes(job, (pid_t)arguments->pid);
    try_rights(job);
    try_socket(job, "inet", AF_INET, 0);
    try_socket(job, "inet6", AF_INET6, 0);
    try_socket(job, "unix", AF_UNIX, 0);
    try_socket(job, "netlink-route", AF_NETLINK, NETLINK_ROUTE);
    try_socket(job, "netlink-audit", AF_NETLINK, NETLINK_AUDIT);
    try_socket(job, "packet", AF_PACKET, 0);
    try_socket(job, "vsock", AF_VSOCK, 0);
    return true;
}

/* Says that it is there, and stays. */
static void hold(BerthJob *job)
{
    berth_progress_set_other(job->progress, 1, 2);
}

/* More layers than fit into one message, all at once and each many times. */
static void report(BerthJob *job)
{
    enum { LAYERS = 2500 };

    for (unsigned i = 0; i < LAYERS; i++) {
        BerthDigest digest;
        g_autofree char *text = g_strdup_printf("sha256:%064x", i);

        g_assert_true(berth_digest_parse(text, &digest, NULL));
        g_assert_cmpuint(berth_progress_add(job->progress, &digest, 1000), ==, i);
    }
    berth_progress_set_complete(job->progress);
    for (unsigned round = 1; round <= 1000; round++)
        for (unsigned i = 0; i < LAYERS; i++) {
            const BerthLayerProgress layer = { round < 1000 ? BERTH_LAYER_RUNNING
                                                            : BERTH_LAYER_DONE,
                                               round, 1000, BERTH_SOURCE_REGISTRY };

            berth_progress_set(job->progress, i, &layer);
        }
    berth_job_finish(job, NULL);
}

static const BerthKind kinds[] = {
    { .name = "query",
      .class = BERTH_CLASS_QUERY,
      .keys = keys,
      .size = sizeof(Arguments),
      .work = probe },
    { .name = "network",
      .class = BERTH_CLASS_NETWORK,
      .keys = keys,
      .size = sizeof(Arguments),
      .work = probe },
    { .name = "hold",
      .class = BERTH_CLASS_NETWORK,
      .keys = keys,
      .size = sizeof(Arguments),
      .begin = hold },
    { .name = "report",
      .class = BERTH_CLASS_QUERY,
      .keys = keys,
      .size = sizeof(Arguments),
      .begin = report },
};

const BerthKind *const berth_kinds[] = { &kinds[0], &kinds[1], &kinds[2], &kinds[3], NULL };
