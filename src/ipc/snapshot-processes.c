/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel tells about the processes of a sandbox only by procfs and kcmp(2): who waits to
 * send into a message queue, and who has undo operations of semaphores pending. Processes come and
 * go while this looks; whatever vanishes, or may not be looked at, is not there: what is missed
 * here is made good later (see snapshot-spill.c). Nothing of a process is changed.
 */

#include "ipc/snapshot-processes.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls @func with each numeric name in the directory @path below @proc. */
static bool each_number(int proc, const char *path, void (*func)(int proc, pid_t, void *),
                        void *userdata)
{
    BERTH_AUTO_FD fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    guint64 number;

    if (!dir)
        return false;
    (void)berth_steal_fd(&fd); /* closedir() closes it */
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (g_ascii_string_to_unsigned(entry->d_name, 10, 1, INT32_MAX, &number, NULL))
            func(proc, (pid_t)number, userdata);
    return true;
}

/* Numbers of mq_timedsend(2); those of a 32-bit program are another table's. */
static bool is_send(long number)
{
    static const long numbers[] = {
        SYS_mq_timedsend,
#ifdef __x86_64__
        279, /* i386 */
#endif
        418, /* mq_timedsend_time64, the same on every 32-bit architecture */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (numbers[i] == number)
            return true;
    return false;
}

typedef struct {
    GPtrArray *queues;
    pid_t pid; /* whose threads are looked at */
} Senders;

/* The descriptor that a thread is sending to; -1: it does not send. */
static int descriptor_of_send(int proc, const char *task)
{
    g_autofree char *path = g_strconcat(task, "/syscall", NULL);
    BERTH_AUTO_FD fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    char text[256];
    unsigned long argument;
    long number;
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -1;
    text[n] = '\0'; /* proc(5): "running", or a number and arguments in hexadecimal */
    if (sscanf(text, "%ld 0x%lx", &number, &argument) != 2 || !is_send(number))
        return -1;
    return (int)argument;
}

static void look_at_thread(int proc, pid_t tid, void *userdata)
{
    Senders *senders = userdata;
    g_autofree char *task = g_strdup_printf("%d/task/%d", senders->pid, tid);
    int descriptor = descriptor_of_send(proc, task);
    g_autofree char *path = g_strdup_printf("%s/fd/%d", task, descriptor);
    struct stat st;

    if (descriptor < 0 || fstatat(proc, path, &st, 0) < 0)
        return;
    for (guint i = 0; i < senders->queues->len; i++) {
        BerthFullQueue *queue = senders->queues->pdata[i];

        if (queue->device == st.st_dev && queue->inode == st.st_ino)
            queue->sender = senders->pid;
    }
}

static void look_at_process(int proc, pid_t pid, void *userdata)
{
    Senders *senders = userdata;
    g_autofree char *path = g_strdup_printf("%d/task", pid);

    senders->pid = pid;
    (void)each_number(proc, path, look_at_thread, senders);
}

bool berth_processes_find_senders(int proc, GPtrArray *queues, GError **error)
{
    Senders senders = { .queues = queues };

    return each_number(proc, ".", look_at_process, &senders) ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read /proc");
}

typedef struct {
    ino_t namespace;
    pid_t self;
    json_t *found;
    bool unknown;
} Undo;

static void look_for_undo(int proc, pid_t pid, void *userdata)
{
    g_autofree char *path = g_strdup_printf("%d/ns/ipc", pid);
    Undo *undo = userdata;
    struct stat st;
    long r;

    if (pid == undo->self || fstatat(proc, path, &st, 0) < 0 || st.st_ino != undo->namespace)
        return;
    /* this process has none: who has the same has none either */
    r = syscall(SYS_kcmp, undo->self, pid, KCMP_SYSVSEM, 0, 0);
    if (r > 0)
        json_array_append_new(undo->found, json_integer(pid));
    else if (r < 0 && errno != ESRCH)
        undo->unknown = true;
}

json_t *berth_processes_find_undo(int proc)
{
    Undo undo = { .found = json_array() };
    char self[32] = "";
    struct stat st;

    /* its number in the PID namespace of that procfs */
    if (fstatat(proc, "thread-self/ns/ipc", &st, 0) < 0 ||
        readlinkat(proc, "self", self, sizeof(self) - 1) < 0) {
        undo.unknown = true;
    } else {
        undo.namespace = st.st_ino;
        undo.self = (pid_t)atoi(self);
        undo.unknown = !each_number(proc, ".", look_for_undo, &undo);
    }
    if (!undo.unknown)
        return undo.found;
    json_decref(undo.found);
    return json_null();
}
