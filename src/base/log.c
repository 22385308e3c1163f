/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structured logging. Under systemd every line is a journal entry with its fields; on a terminal it
 * is one line of text. Which of the two is found out once, by JOURNAL_STREAM as systemd.exec(5)
 * says, and can be changed while the service runs (org.freedesktop.LogControl1). It must never fail
 * its caller and keeps errno, so that a line can be logged between a call and the look at its
 * error.
 */

#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define MAX_FIELDS 24 /* of one entry; further ones are dropped */

static int max_level = LOG_INFO;
static BerthLogTarget log_target = BERTH_LOG_AUTO;

static const char *const targets[_BERTH_LOG_TARGET_MAX] = {
    [BERTH_LOG_AUTO] = "auto",
    [BERTH_LOG_JOURNAL] = "journal",
    [BERTH_LOG_CONSOLE] = "console",
    [BERTH_LOG_NULL] = "null",
};

static const char *const levels[] = {
    [LOG_EMERG] = "emerg",     [LOG_ALERT] = "alert",   [LOG_CRIT] = "crit", [LOG_ERR] = "err",
    [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

const char *berth_log_target_to_string(BerthLogTarget target)
{
    return targets[target];
}

BerthLogTarget berth_log_target_from_string(const char *word)
{
    for (BerthLogTarget t = 0; t < _BERTH_LOG_TARGET_MAX; t++)
        if (g_str_equal(targets[t], word))
            return t;
    return _BERTH_LOG_TARGET_INVALID;
}

const char *berth_log_level_to_string(int level)
{
    return level >= 0 && level < (int)G_N_ELEMENTS(levels) ? levels[level] : NULL;
}

int berth_log_level_from_string(const char *word)
{
    for (int level = 0; level < (int)G_N_ELEMENTS(levels); level++)
        if (g_str_equal(levels[level], word))
            return level;
    return -EINVAL;
}

void berth_log_set_level(int level)
{
    max_level = level;
}

int berth_log_get_level(void)
{
    return max_level;
}

void berth_log_set_target(BerthLogTarget target)
{
    log_target = target;
}

BerthLogTarget berth_log_get_target(void)
{
    return log_target;
}

/* Whether standard error is the journal's stream, see $JOURNAL_STREAM in systemd.exec(5). */
static bool stderr_is_journal(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    struct stat st;
    uintmax_t device, inode;

    return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static BerthLogTarget effective_target(void)
{
    static int to_journal = -1;

    if (log_target != BERTH_LOG_AUTO)
        return log_target;
    if (to_journal < 0)
        to_journal = stderr_is_journal();
    return to_journal ? BERTH_LOG_JOURNAL : BERTH_LOG_CONSOLE;
}

static void add_field(struct iovec *vectors, int *count, const char *field)
{
    if (*count < MAX_FIELDS) {
        vectors[*count].iov_base = (char *)field;
        vectors[*count].iov_len = strlen(field);
        ++*count;
    }
}

void berth_log_full(int level, const char *file, int line, const char *func, const char *id,
                    const char *const *fields, const char *format, ...)
{
    int saved = errno;
    BerthLogTarget target;
    g_autofree char *message = NULL;
    va_list args;

    if (level > max_level)
        return;
    target = effective_target();
    if (target == BERTH_LOG_NULL) {
        errno = saved;
        return;
    }

    va_start(args, format);
    errno = saved; /* for %m */
    message = g_strdup_vprintf(format, args);
    va_end(args);

    if (target == BERTH_LOG_CONSOLE) {
        /* one write, so that lines of several processes do not mix */
        g_autofree char *text = g_strconcat(message, "\n", NULL);

        if (write(STDERR_FILENO, text, strlen(text)) < 0) { /* nowhere to report it */
        }
    } else {
        g_autofree char *f_message = g_strconcat("MESSAGE=", message, NULL);
        g_autofree char *f_priority = g_strdup_printf("PRIORITY=%d", level);
        g_autofree char *f_file = g_strconcat("CODE_FILE=", file, NULL);
        g_autofree char *f_line = g_strdup_printf("CODE_LINE=%d", line);
        g_autofree char *f_func = g_strconcat("CODE_FUNC=", func, NULL);
        g_autofree char *f_id = id ? g_strconcat("MESSAGE_ID=", id, NULL) : NULL;
        struct iovec vectors[MAX_FIELDS];
        int count = 0;

        add_field(vectors, &count, f_message);
        add_field(vectors, &count, f_priority);
        add_field(vectors, &count, f_file);
        add_field(vectors, &count, f_line);
        add_field(vectors, &count, f_func);
        if (f_id)
            add_field(vectors, &count, f_id);
        for (; fields && *fields; fields++)
            add_field(vectors, &count, *fields);
        (void)sd_journal_sendv(vectors, count);
    }
    errno = saved;
}
