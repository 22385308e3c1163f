/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an IPC namespace holds, for Describe. The kernel keeps totals per namespace, so that the
 * cost does not grow with the number of SysV objects; only POSIX queues are counted by reading a
 * directory.
 */

#include "ipc/usage.h"

#include "base/error.h"
#include "base/fd.h"
#include "ipc/mqueue.h"

#include <errno.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

/* semctl(2): the caller defines it */
union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *__buf;
};

bool berth_ipc_usage(BerthIpcUsage *usage, GError **error)
{
    struct shm_info shm = { 0 };
    struct seminfo sem = { 0 };
    struct msginfo msg = { 0 };
    uint32_t posix;
    BERTH_AUTO_FD mqueue = -1;

    /* the *_INFO commands take pointers to other types than their prototypes say: see shmctl(2) */
    if (shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&shm) < 0 ||
        semctl(0, 0, SEM_INFO, (union semun){ .__buf = &sem }) < 0 ||
        msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&msg) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                     "cannot measure the IPC namespace");
    mqueue = berth_mqueue_mount(error);
    if (mqueue < 0 || !berth_mqueue_count(mqueue, &posix, error))
        return false;

    usage->shm_used = (uint64_t)shm.shm_tot * (uint64_t)sysconf(_SC_PAGESIZE);
    usage->messages = (uint64_t)msg.msgmap;
    usage->semaphores = (uint64_t)sem.semaem;
    usage->queues = (uint32_t)msg.msgpool + posix;
    usage->shm_segments = (uint32_t)shm.used_ids;
    usage->semaphore_sets = (uint32_t)sem.semusz;
    return true;
}
