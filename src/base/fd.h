/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/**
 * berth_close:
 * @fd: a file descriptor, or a negative number
 *
 * Closes @fd if it is one, and keeps errno. A close() that fails with EBADF is a bug that would one
 * day close somebody else's descriptor; builds with assertions stop there.
 *
 * Returns: -1, to be assigned to what held @fd.
 */
int berth_close(int fd);

/** berth_steal_fd: Returns: *@fd, which is set to -1: ownership moves to the caller. */
static inline int berth_steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

static inline void berth_fd_cleanup(int *fd)
{
    *fd = berth_close(*fd);
}

/** BERTH_AUTO_FD: a file descriptor that is closed when its variable goes out of scope. */
#define BERTH_AUTO_FD __attribute__((cleanup(berth_fd_cleanup))) int

/**
 * berth_close_others:
 * @fds: descriptors to keep, which are put in order; those below 3 are kept anyway
 * @n: how many
 *
 * Closes every other descriptor of the process.
 */
void berth_close_others(int *fds, unsigned n);

static inline void berth_file_cleanup(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

/** BERTH_AUTO_FILE: a stream that is closed when its variable goes out of scope. */
#define BERTH_AUTO_FILE __attribute__((cleanup(berth_file_cleanup))) FILE

static inline void berth_dir_cleanup(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/** BERTH_AUTO_DIR: a directory stream that is closed when its variable goes out of scope. */
#define BERTH_AUTO_DIR __attribute__((cleanup(berth_dir_cleanup))) DIR
