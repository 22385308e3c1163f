/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that reads a sandbox into an archive or fills one from it. It is forked for one
 * archive, has the sandbox's shm for its root directory, is the owner of the sandbox unless root
 * asked, keeps only the capabilities that its task takes and only the system calls that it makes.
 * So a user's archive, whatever it does to the library that parses it, gets what the user has
 * anyway. It must never be given a directory outside of the sandbox.
 */

#include "ipc/snapshot-actor.h"

#include "base/error.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* To read all: files, SysV objects and trusted attributes; to open a queue as its owner. */
static const int reads[] = { CAP_DAC_READ_SEARCH, CAP_IPC_OWNER, CAP_CHECKPOINT_RESTORE,
                             CAP_SYS_ADMIN,       CAP_SETUID,    CAP_SETGID };
/* To make all as it was: owners, names of what has another owner, IDs, all attributes. */
static const int fills[] = { CAP_CHOWN,     CAP_FOWNER, CAP_IPC_OWNER, CAP_CHECKPOINT_RESTORE,
                             CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID,    CAP_SETFCAP };
/* A user is asked by the kernel; the one that is left opens the memory of what it attached. */
static const int of_user[] = { CAP_CHECKPOINT_RESTORE };

static bool set_failed(GError **error, const char *what)
{
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot %s", what);
}

/* Keeps those of @caps that this process has. */
static bool keep_capabilities(const int *caps, size_t n)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    uint32_t wanted[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    for (size_t i = 0; i < n; i++)
        wanted[CAP_TO_INDEX(caps[i])] |= CAP_TO_MASK(caps[i]);
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= wanted[i];
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) == 0;
}

static bool become_user(const BerthActor *actor)
{
    const GArray *groups = actor->groups;

    return prctl(PR_SET_KEEPCAPS, 1) == 0 &&
           setgroups(groups ? groups->len : 0,
                     groups ? (const gid_t *)(void *)groups->data : NULL) == 0 &&
           setresgid(actor->gid, actor->gid, actor->gid) == 0 &&
           setresuid(actor->uid, actor->uid, actor->uid) == 0 &&
           keep_capabilities(of_user, G_N_ELEMENTS(of_user));
}

bool berth_actor_become(const BerthActor *actor, BerthActorTask task, int root, GError **error)
{
    bool ok;

    umask(0);
    if (fchdir(root) < 0 || chroot(".") < 0)
        return set_failed(error, "make the sandbox's shm the root of a helper process");
    if (actor->uid != 0)
        ok = become_user(actor);
    else if (task == BERTH_ACTOR_READS)
        ok = keep_capabilities(reads, G_N_ELEMENTS(reads));
    else
        ok = keep_capabilities(fills, G_N_ELEMENTS(fills));
    /* a change of identity resets both */
    if (!ok || prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return set_failed(error, "give up the rights of a helper process");
    return true;
}

/* What every process makes, its memory, clock, signals and end included. */
static const int common_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(lseek),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(openat),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlinkat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(setitimer),
    SCMP_SYS(alarm),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(tgkill),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(_llseek),
    SCMP_SYS(fstat64),
    SCMP_SYS(fstatat64),
    SCMP_SYS(mmap2),
    SCMP_SYS(ftruncate),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(mq_timedsend),
    SCMP_SYS(mq_getsetattr),
};

static const int reading_calls[] = {
    SCMP_SYS(flistxattr), SCMP_SYS(fgetxattr), SCMP_SYS(llistxattr),      SCMP_SYS(lgetxattr),
    SCMP_SYS(msgrcv),     SCMP_SYS(msgctl),    SCMP_SYS(mq_timedreceive), SCMP_SYS(statx),
    SCMP_SYS(fallocate),  SCMP_SYS(mlock),     SCMP_SYS(fchdir),
};

static const int filling_calls[] = {
    SCMP_SYS(mkdirat),   SCMP_SYS(mknodat),   SCMP_SYS(symlinkat), SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),  SCMP_SYS(fchown),    SCMP_SYS(fchownat),  SCMP_SYS(fchmod),
    SCMP_SYS(fchdir),    SCMP_SYS(lsetxattr), SCMP_SYS(fchmodat),  SCMP_SYS(utimensat),
    SCMP_SYS(fsetxattr), SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(shmget),
    SCMP_SYS(shmat),     SCMP_SYS(shmdt),     SCMP_SYS(shmctl),    SCMP_SYS(semget),
    SCMP_SYS(semctl),    SCMP_SYS(msgget),    SCMP_SYS(msgsnd),    SCMP_SYS(msgctl),
    SCMP_SYS(mq_open),   SCMP_SYS(mq_unlink),
};

static int allow(scmp_filter_ctx context, const int *calls, size_t n)
{
    int r = 0;

    for (size_t i = 0; i < n && r >= 0; i++) {
        r = seccomp_rule_add(context, SCMP_ACT_ALLOW, calls[i], 0);
        if (r == -EDOM) /* this architecture has no such call */
            r = 0;
    }
    return r;
}

static void release(scmp_filter_ctx *context)
{
    if (*context)
        seccomp_release(*context);
}

bool berth_actor_confine(BerthActorTask task, GError **error)
{
    __attribute__((cleanup(release))) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = context ? 0 : -ENOMEM;

    if (r >= 0)
        r = allow(context, common_calls, G_N_ELEMENTS(common_calls));
    if (r >= 0)
        r = task == BERTH_ACTOR_READS ? allow(context, reading_calls, G_N_ELEMENTS(reading_calls))
                                      : allow(context, filling_calls, G_N_ELEMENTS(filling_calls));
    if (r >= 0)
        r = seccomp_load(context);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot confine a helper process");
}
