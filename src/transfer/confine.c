/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a worker takes from itself before it reads anything from outside, in case that takes it
 * over. It has no capabilities already; here go the files that are not its business and the system
 * calls it has no use for. Several workers have the same user: so none may signal, trace or limit
 * another process, and what a worker keeps in memory is its own. A call that is refused is an
 * error, no reason to die: libraries try things and do without.
 */

#include "transfer/confine.h"

#include "base/error.h"
#include "transfer/landlock.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* the C library names its memory */
#endif

/* clang-format off */
static const int calls_of_all[] = {
    /* open files, and files of the store */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2),
    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(pwritev2),
    SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2),
    SCMP_SYS(stat), SCMP_SYS(stat64), SCMP_SYS(lstat), SCMP_SYS(lstat64), SCMP_SYS(fstat),
    SCMP_SYS(fstat64), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(statfs),
    SCMP_SYS(statfs64), SCMP_SYS(fstatfs), SCMP_SYS(fstatfs64), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(ftruncate), SCMP_SYS(ftruncate64),
    SCMP_SYS(fallocate), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range),
    SCMP_SYS(sync_file_range2), SCMP_SYS(syncfs), SCMP_SYS(copy_file_range), SCMP_SYS(sendfile),
    SCMP_SYS(sendfile64), SCMP_SYS(splice), SCMP_SYS(fadvise64), SCMP_SYS(fadvise64_64),
    SCMP_SYS(readahead), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(umask),
    SCMP_SYS(utimensat), SCMP_SYS(utimensat_time64), SCMP_SYS(flock), SCMP_SYS(fgetxattr),
    SCMP_SYS(fsetxattr), SCMP_SYS(flistxattr), SCMP_SYS(fremovexattr),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(membarrier),
    SCMP_SYS(memfd_create),
    /* threads, signals to itself */
    SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
    SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid),
    SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid),
    SCMP_SYS(getresgid), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigtimedwait_time64),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    /* time, and waiting */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres),
    SCMP_SYS(clock_getres_time64), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_settime64), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(timerfd_gettime64), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(select), SCMP_SYS(_newselect),
    SCMP_SYS(pselect6), SCMP_SYS(pselect6_time64), SCMP_SYS(eventfd2), SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    /* the socket to the service */
    SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(send), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(recv), SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(shutdown),
    /* what the machine is like */
    SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrlimit),
    SCMP_SYS(ugetrlimit), SCMP_SYS(getrusage), SCMP_SYS(getcpu),
};

static const int calls_of_network[] = {
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(setsockopt), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
    SCMP_SYS(recvmmsg_time64),
};
/* clang-format on */

/* Commands that make the kernel signal others (F_SETOWN, FIOSETOWN) are not among them. */
static const int fcntl_commands[] = {
    F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,      F_SETFD,      F_GETFL,     F_SETFL,
    F_GETLK,     F_SETLK,         F_SETLKW,     F_OFD_GETLK,  F_OFD_SETLK, F_OFD_SETLKW,
    F_ADD_SEALS, F_GET_SEALS,     F_GETPIPE_SZ, F_SETPIPE_SZ,
};
static const unsigned long ioctl_requests[] = { FIONREAD, FIONBIO, TCGETS, FICLONE, FICLONERANGE };
static const int prctl_options[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_VMA };
static const int address_families[] = { AF_UNIX, AF_INET, AF_INET6 };

static void release(scmp_filter_ctx *context)
{
    if (*context)
        seccomp_release(*context);
}

static int allow_all(scmp_filter_ctx context, const int *calls, size_t n)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = seccomp_rule_add(context, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

static int allow_if(scmp_filter_ctx context, int call, struct scmp_arg_cmp condition)
{
    return seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, condition);
}

/* Calls with a command as an argument */
static int allow_commands(scmp_filter_ctx context)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(fcntl_commands); i++) {
        const struct scmp_arg_cmp command = SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)fcntl_commands[i]);

        r = allow_if(context, SCMP_SYS(fcntl), command);
        if (r >= 0)
            r = allow_if(context, SCMP_SYS(fcntl64), command);
    }
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(ioctl_requests); i++)
        r = allow_if(context, SCMP_SYS(ioctl),
                     SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)ioctl_requests[i]));
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(prctl_options); i++)
        r = allow_if(context, SCMP_SYS(prctl), SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)prctl_options[i]));
    return r;
}

/* Memory is never both writable and executable; libraries of name services are still loaded. */
static int allow_memory(scmp_filter_ctx context)
{
    static const int maps[] = { SCMP_SYS(mmap), SCMP_SYS(mmap2) };
    int r = allow_if(context, SCMP_SYS(mprotect), SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(maps); i++) {
        r = allow_if(context, maps[i], SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r >= 0)
            r = allow_if(context, maps[i],
                         SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC));
    }
    return r;
}

/* Threads, but no processes; signals and limits of this process only. clone3() hides its flags in
 * memory: without it the C library takes clone(). */
static int allow_threads(scmp_filter_ctx context)
{
    int r =
        allow_if(context, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    if (r >= 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r >= 0)
        r = allow_if(context, SCMP_SYS(tgkill), SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
    if (r >= 0)
        r = allow_if(context, SCMP_SYS(prlimit64), SCMP_A0_32(SCMP_CMP_EQ, 0));
    return r;
}

static int allow_network(scmp_filter_ctx context)
{
    int r = allow_all(context, calls_of_network, G_N_ELEMENTS(calls_of_network));

    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(address_families); i++)
        r = allow_if(context, SCMP_SYS(socket),
                     SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)address_families[i]));
    if (r >= 0)
        r = allow_if(context, SCMP_SYS(socketpair), SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
    if (r >= 0) /* NETLINK_ROUTE: the C library looks which addresses there are */
        r = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                             SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2_32(SCMP_CMP_EQ, 0));
    return r;
}

static bool filter_calls(BerthJobClass class, GError **error)
{
    __attribute__((cleanup(release))) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = context ? allow_all(context, calls_of_all, G_N_ELEMENTS(calls_of_all)) : -ENOMEM;

    if (r >= 0)
        r = allow_commands(context);
    if (r >= 0)
        r = allow_memory(context);
    if (r >= 0)
        r = allow_threads(context);
    if (r >= 0 && class == BERTH_CLASS_NETWORK)
        r = allow_network(context);
    if (r >= 0) /* a binary tree: each call costs a few comparisons instead of hundreds */
        r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r >= 0)
        r = seccomp_load(context);
    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                           "the worker cannot install its system call filter");
}

/* Private memory that this process has, in bytes: proc(5), statm; 0: that cannot be told. */
static uint64_t memory_now(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
        return 0;
    fields = g_strsplit(text, " ", -1);
    return g_strv_length(fields) < 6
               ? 0
               : g_ascii_strtoull(fields[5], NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool berth_confine_memory(uint64_t more, GError **error)
{
    uint64_t now = memory_now();
    struct rlimit limit;

    if (now == 0 || getrlimit(RLIMIT_DATA, &limit) < 0)
        return berth_set_error(
            error, BERTH_ERROR_FAILED,
            "the worker cannot find out how much memory it has; is /proc there?");
    limit.rlim_max = MIN(limit.rlim_max, (rlim_t)(now + more));
    limit.rlim_cur = MIN(limit.rlim_cur, limit.rlim_max);
    return setrlimit(RLIMIT_DATA, &limit) == 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                 "the worker cannot limit its memory");
}

bool berth_confine_job(BerthJobClass class, int store, GError **error)
{
    return berth_landlock_apply(store, error) && filter_calls(class, error);
}
