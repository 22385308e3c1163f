/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves a text in a shm file, in a SysV segment and in a POSIX message queue, or expects one in
 * all three. It runs on both sides of a sandbox: what one side leaves the other must find, and the
 * queue must also show in the mount at /dev/mqueue. It is linked statically and needs nothing in
 * its root directory but /dev/shm and /dev/mqueue. It must not say "found" for a text that it left
 * itself: taking the message from the queue makes sure of that.
 *
 *   probe put TEXT              leave TEXT
 *   probe get TEXT              expect TEXT
 *   probe exchange THEIRS OURS  expect THEIRS, then leave OURS
 */

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define SHM  "/probe" /* shm_open(3) puts it below /dev/shm */
#define KEY  0x70726f62
#define MQ   "/probe"
#define SIZE 4096

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void expect(const char *where, const char *found, const char *wanted)
{
    if (strncmp(found, wanted, SIZE) != 0) {
        fprintf(stderr, "probe: %s holds '%.100s' instead of '%s'\n", where, found, wanted);
        exit(1);
    }
    printf("probe: %s holds '%s'\n", where, wanted);
}

static char *map_file(int flags)
{
    int fd = shm_open(SHM, O_RDWR | flags, 0666);
    char *data;

    if (fd < 0 || ((flags & O_CREAT) && ftruncate(fd, SIZE) < 0))
        fail("/dev/shm/probe");
    data = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        fail("mmap");
    close(fd);
    return data;
}

static char *attach_segment(int flags)
{
    int id = shmget(KEY, SIZE, flags | 0666);
    char *data = id < 0 ? (char *)-1 : shmat(id, NULL, 0);

    if (data == (char *)-1)
        fail("SysV segment");
    return data;
}

static mqd_t open_queue(int flags)
{
    mqd_t queue = mq_open(MQ, O_RDWR | O_NONBLOCK | flags, 0666, NULL);

    if (queue == (mqd_t)-1)
        fail("message queue");
    return queue;
}

static void put(const char *text)
{
    static char old[65536];
    mqd_t queue = open_queue(O_CREAT);

    strncpy(map_file(O_CREAT), text, SIZE - 1);
    strncpy(attach_segment(IPC_CREAT), text, SIZE - 1);
    while (mq_receive(queue, old, sizeof(old), NULL) >= 0)
        ; /* what nobody took */
    if (mq_send(queue, text, strlen(text) + 1, 0) < 0)
        fail("mq_send");
}

static void get(const char *text)
{
    static char message[65536];

    expect("the shm file", map_file(0), text);
    expect("the SysV segment", attach_segment(0), text);
    if (mq_receive(open_queue(0), message, sizeof(message), NULL) < 0)
        fail("mq_receive");
    expect("the message queue", message, text);
    if (access("/dev/mqueue" MQ, F_OK) < 0)
        fail("/dev/mqueue/probe");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "put") == 0) {
        put(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "get") == 0) {
        get(argv[2]);
    } else if (argc == 4 && strcmp(argv[1], "exchange") == 0) {
        get(argv[2]);
        put(argv[3]);
    } else {
        fputs("usage: probe put TEXT | get TEXT | exchange THEIRS OURS\n", stderr);
        return 2;
    }
    return 0;
}
