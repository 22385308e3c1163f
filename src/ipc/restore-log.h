/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/** BerthRestoreRecord: what a record of the log is about. */
enum {
    BERTH_LOG_PREFIX = 'p',    /* of the names that files have until the end */
    BERTH_LOG_SYSCTL = 'y',    /* NAME=VALUE: what was before */
    BERTH_LOG_SEGMENT = 's',   /* ID that is about to be made */
    BERTH_LOG_SEMAPHORE = 'e', /* likewise */
    BERTH_LOG_MESSAGES = 'm',  /* likewise */
    BERTH_LOG_QUEUE = 'q',     /* NAME that is about to be made */
    BERTH_LOG_FILE = 'f',      /* NUMBER=NAME: what PREFIX and NUMBER becomes */
    BERTH_LOG_ROOT = 'r',      /* MODE UID GID of the shm itself */
    BERTH_LOG_ATTRIBUTE = 'x', /* VALUE=NAME, likewise, the value in hexadecimal digits */
    BERTH_LOG_TIMES = 't',     /* SECONDS NANOSECONDS of the last access, and of the last change */
    BERTH_LOG_FINAL = 'z',     /* NAME=VALUE: a sysctl that is set at the end */
    BERTH_LOG_COMMIT = 'c',    /* all is there: names are given, what follows is carried on */
    BERTH_LOG_ABORT = 'u',     /* a name was taken meanwhile: all is undone after all */
};

/**
 * berth_restore_log_open: in the vault: opens the log of restoring sandbox @id.
 * @make: make it when there is none; else @fd becomes -1
 * @fd: (out) (transfer full): locked
 * @error: BERTH_ERROR_SANDBOX_BUSY when another process uses it
 */
bool berth_restore_log_open(const char *id, bool make, int *fd, GError **error);

/** berth_restore_log_add: appends a record. */
bool berth_restore_log_add(int fd, char kind, const char *text, GError **error);

/** berth_restore_log_collect: appends a record to @records, for berth_restore_log_add_all(). */
void berth_restore_log_collect(GByteArray *records, char kind, const char *text);
/** berth_restore_log_add_all: appends @records to the log, and empties them. */
bool berth_restore_log_add_all(int fd, GByteArray *records, GError **error);

/**
 * berth_restore_log_read: Returns: (transfer full) (element-type utf8): the records, each its kind
 * and then its text, of a log that may have been written by anybody; or NULL.
 */
GPtrArray *berth_restore_log_read(int fd, GError **error);

/** berth_restore_log_remove: in the vault: removes the log of @id. */
void berth_restore_log_remove(const char *id);
