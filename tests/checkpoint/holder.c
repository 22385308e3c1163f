/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program to be checkpointed: it holds one of everything that an IPC sandbox has, in its memory
 * and not, and tells on request what it still finds. Usage: holder REPORT WORD...: with `make`,
 * make all first; with `nothing-attached`, have no segment attached. It writes a line to the file
 * REPORT when it is ready, and after each SIGUSR1: `ok`, or what is wrong; SIGUSR2: it changes the
 * first byte of the mapped file by one, and tells its value.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

#define KEY    0x42455254
#define OTHER  0x42455255
#define SIZE   65536
#define TEXT   "what was queued"
#define MAPPED "/dev/shm/mapped"
#define CLOSED "/dev/shm/closed"
#define VALUE  3

/* semctl(2): the caller defines it */
union semun {
    int val;
};

typedef struct {
    long type;
    char text[64];
} Message;

static const char *report;
static char *mapped, *attached;

static void tell(const char *text)
{
    int fd = open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) < 0 || write(fd, "\n", 1) < 0)
        _exit(3);
    (void)close(fd);
}

static __attribute__((noreturn)) void fail(const char *what)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    tell(text);
    _exit(1);
}

/* Maps the file that both programs of a sandbox share. */
static void map(bool make)
{
    int fd = open(MAPPED, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0666);

    if (fd < 0 || (make && ftruncate(fd, SIZE) < 0))
        fail(MAPPED);
    mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        fail("mmap");
    (void)close(fd);
}

static void make_all(void)
{
    const Message message = { .type = 7, .text = TEXT };
    int fd = open(CLOSED, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int other = shmget(OTHER, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    int semaphores = semget(KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    int queue = msgget(KEY, IPC_CREAT | IPC_EXCL | 0600);
    char *memory = other >= 0 ? shmat(other, NULL, 0) : (void *)-1;

    if (fd < 0 || write(fd, TEXT, strlen(TEXT)) < 0)
        fail(CLOSED);
    (void)close(fd);
    if (memory == (void *)-1 || shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600) < 0)
        fail("shmget");
    memset(memory, 'o', SIZE);
    (void)shmdt(memory);
    if (semaphores < 0 || semctl(semaphores, 1, SETVAL, (union semun){ .val = VALUE }) < 0)
        fail("semget");
    if (queue < 0 || msgsnd(queue, &message, sizeof(message.text), 0) < 0)
        fail("msgsnd");
    memcpy(mapped + 1, TEXT, sizeof(TEXT));
}

static const char *check(void)
{
    int fd = open(CLOSED, O_RDONLY | O_CLOEXEC), other = shmget(OTHER, 0, 0);
    char text[64] = "";
    Message message;
    const char *memory = other >= 0 ? shmat(other, NULL, SHM_RDONLY) : (void *)-1;

    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || strcmp(text, TEXT) != 0)
        return "the closed file";
    (void)close(fd);
    if (strcmp(mapped + 1, TEXT) != 0)
        return "the mapped file";
    if (memory == (void *)-1 || memory[SIZE - 1] != 'o')
        return "the segment that is not attached";
    (void)shmdt(memory);
    if (attached && strcmp(attached, TEXT) != 0)
        return "the segment that is attached";
    if (semctl(semget(KEY, 0, 0), 1, GETVAL) != VALUE)
        return "the semaphores";
    if (msgrcv(msgget(KEY, 0), &message, sizeof(message.text), 7, IPC_NOWAIT) < 0 ||
        strcmp(message.text, TEXT) != 0)
        return "the message";
    if (msgsnd(msgget(KEY, 0), &message, sizeof(message.text), IPC_NOWAIT) < 0)
        return "the queue";
    return "ok";
}

int main(int argc, char **argv)
{
    bool make = false, nothing = false;
    sigset_t signals;
    char text[32];
    int number;

    if (argc < 2)
        return 2;
    report = argv[1];
    for (int i = 2; i < argc; i++) {
        make |= strcmp(argv[i], "make") == 0;
        nothing |= strcmp(argv[i], "nothing-attached") == 0;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    map(make);
    if (make)
        make_all();
    if (!nothing) {
        attached = shmat(shmget(KEY, 0, 0), NULL, 0);
        if (attached == (void *)-1)
            fail("shmat");
        memcpy(attached, TEXT, sizeof(TEXT));
    }
    (void)snprintf(text, sizeof(text), "ready %d", getpid());
    tell(text);
    while (sigwait(&signals, &number) == 0) {
        if (number == SIGUSR1) {
            tell(check());
            continue;
        }
        mapped[0]++;
        (void)snprintf(text, sizeof(text), "%d", mapped[0]);
        tell(text);
    }
    return 0;
}
