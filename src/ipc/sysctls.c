/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sysctls of an IPC namespace: which there are, what they may be, how to set and read them. The
 * table is the whole list: a name that is not in it must never become a path, since everything else
 * below /proc/sys changes the host.
 *
 * /proc/sys shows the namespace of the thread that opens the file, not of the process and not of
 * the procfs; where the thread is is the caller's business.
 */

#include "ipc/sysctls.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#define NUMBERS_MAX 4

/*
 * IPCMNI and IPCMNI_EXTEND of ipc/util.h. Which one holds is a parameter of the kernel's command
 * line. Asking the kernel by writing is no way: a refused kernel.sem leaves its first three numbers
 * changed.
 */
#define IPCMNI          32768
#define IPCMNI_EXTENDED (1 << 24)

typedef struct {
    uint64_t min, max;
    bool ipcmni; /* max is IPCMNI, or IPCMNI_EXTENDED on a kernel booted with ipcmni_extend */
} Range;

typedef struct {
    const char *name;
    unsigned count; /* of numbers and ranges */
    bool consumed;  /* the kernel resets it to -1 when the next object is made */
    Range ranges[NUMBERS_MAX];
} Sysctl;

#define POSITIVE_INT                                                                               \
    {                                                                                              \
        0, INT_MAX, false                                                                          \
    }
#define IPCMNI_INT                                                                                 \
    {                                                                                              \
        0, IPCMNI, true                                                                            \
    }

/* Sorted by name. HARD_MSGMAX and HARD_MSGSIZEMAX of the mqueue ones are in linux/ipc_namespace.h.
 */
static const Sysctl sysctls[] = {
    { "fs.mqueue.msg_default", 1, false, { { 1, 65536, false } } },
    { "fs.mqueue.msg_max", 1, false, { { 1, 65536, false } } },
    { "fs.mqueue.msgsize_default", 1, false, { { 128, 16777216, false } } },
    { "fs.mqueue.msgsize_max", 1, false, { { 128, 16777216, false } } },
    { "fs.mqueue.queues_max", 1, false, { POSITIVE_INT } },
    /* without effect since Linux 3.19, always 0; there are configurations that still set it */
    { "kernel.auto_msgmni", 1, false, { { 0, 1, false } } },
    { "kernel.msg_next_id", 1, true, { POSITIVE_INT } },
    { "kernel.msgmax", 1, false, { POSITIVE_INT } },
    { "kernel.msgmnb", 1, false, { POSITIVE_INT } },
    { "kernel.msgmni", 1, false, { IPCMNI_INT } },
    { "kernel.sem", 4, false, { POSITIVE_INT, POSITIVE_INT, POSITIVE_INT, IPCMNI_INT } },
    { "kernel.shm_next_id", 1, true, { POSITIVE_INT } },
    { "kernel.shm_rmid_forced", 1, false, { { 0, 1, false } } },
    { "kernel.shmall", 1, false, { { 0, ULONG_MAX, false } } },
    { "kernel.shmmax", 1, false, { { 0, ULONG_MAX, false } } },
    { "kernel.shmmni", 1, false, { IPCMNI_INT } },
};

const char *const *berth_sysctl_names(void)
{
    static const char *names[G_N_ELEMENTS(sysctls) + 1];
    static gsize once;

    if (g_once_init_enter(&once)) {
        for (unsigned i = 0; i < G_N_ELEMENTS(sysctls); i++)
            names[i] = sysctls[i].name;
        g_once_init_leave(&once, 1);
    }
    return names;
}

static const Sysctl *find_sysctl(const char *name, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(sysctls); i++)
        if (g_str_equal(sysctls[i].name, name))
            return &sysctls[i];

    g_autofree char *quoted = berth_quote(name);
    berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                    "sysctl '%s' does not belong to an IPC namespace; allowed are kernel.shm*, "
                    "kernel.msg*, kernel.sem, fs.mqueue.*",
                    quoted);
    return NULL;
}

/* Opens a file of procfs and reads its start. Returns: its length, or a negative errno value. */
static ssize_t read_proc(int proc_fd, const char *path, char *buffer, size_t size)
{
    BERTH_AUTO_FD fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buffer, size - 1);
    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    return n;
}

/*
 * Says whether the kernel was booted with ipcmni_extend; the file is @path below @proc_fd. If it
 * cannot be read the answer is no, which is right nearly everywhere.
 */
static bool ipcmni_is_extended(int proc_fd, const char *path)
{
    char cmdline[8192]; /* COMMAND_LINE_SIZE is at most 4096 */
    g_auto(GStrv) words = NULL;

    if (read_proc(proc_fd, path, cmdline, sizeof cmdline) < 0)
        return false;
    words = g_strsplit_set(cmdline, " \n", -1);
    for (char **word = words; *word && !g_str_equal(*word, "--"); word++)
        if (g_str_equal(*word, "ipcmni_extend") || g_str_has_prefix(*word, "ipcmni_extend="))
            return true;
    return false;
}

/* The value of a sysctl, once as numbers and once as the kernel is given it. */
typedef struct {
    uint64_t numbers[NUMBERS_MAX];
    char text[NUMBERS_MAX * 21]; /* 20 digits and a separator each */
} Value;

/*
 * Reads unsigned decimal numbers separated by white space. Refuses what the kernel would take for
 * something else: signs, octal, hexadecimal, too many or too few numbers. Returns: NULL, or what is
 * wrong.
 */
static const char *parse_numbers(const char *text, unsigned count, uint64_t *numbers)
{
    const char *p = text;

    for (unsigned i = 0; i < count; i++) {
        size_t gap = strspn(p, " \t"), digits;

        if (i > 0 && gap == 0)
            return "four numbers are needed, separated by spaces";
        if (i > 0)
            p += gap;
        digits = strspn(p, "0123456789");
        if (digits == 0 || (digits > 1 && *p == '0'))
            return "write decimal digits without a sign or leading zeros";
        errno = 0;
        numbers[i] = g_ascii_strtoull(p, NULL, 10);
        if (errno != 0)
            return "it is out of range";
        p += digits;
    }
    if (*p)
        return count > 1 ? "it must be four numbers and nothing else"
                         : "it must be a single number and nothing else";
    return NULL;
}

/* Fails with what is wrong with @value and the ranges that the sysctl has. */
static bool invalid_value(const Sysctl *sysctl, const char *value, const char *fault, bool extended,
                          GError **error)
{
    g_autofree char *quoted = berth_quote(value);
    g_autoptr(GString) ranges = g_string_new(NULL);

    for (unsigned i = 0; i < sysctl->count; i++) {
        const Range *range = &sysctl->ranges[i];

        g_string_append_printf(ranges, "%s%" PRIu64 "-%" PRIu64, i > 0 ? " " : "", range->min,
                               range->ipcmni && extended ? IPCMNI_EXTENDED : range->max);
    }
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "invalid value '%s' of sysctl %s: %s; the range is %s", quoted,
                           sysctl->name, fault, ranges->str);
}

/* Checks a value and brings it into the form the kernel is given; see ipcmni_is_extended(). */
static bool parse_value(const Sysctl *sysctl, const char *text, int proc_fd, const char *cmdline,
                        Value *value, GError **error)
{
    const char *fault;
    bool extended = false;
    size_t length = 0;

    if (strnlen(text, BERTH_SYSCTL_VALUE_MAX + 1) > BERTH_SYSCTL_VALUE_MAX)
        return invalid_value(sysctl, text, "it is too long", false, error);
    fault = parse_numbers(text, sysctl->count, value->numbers);
    if (fault)
        return invalid_value(sysctl, text, fault, false, error);

    for (unsigned i = 0; i < sysctl->count; i++) {
        const Range *range = &sysctl->ranges[i];
        uint64_t max = range->max;

        /* the command line is read only when it matters */
        if (range->ipcmni && value->numbers[i] > IPCMNI) {
            extended = ipcmni_is_extended(proc_fd, cmdline);
            max = extended ? IPCMNI_EXTENDED : IPCMNI;
        }
        if (value->numbers[i] < range->min || value->numbers[i] > max)
            return invalid_value(sysctl, text, "it is out of range", extended, error);
        length += (size_t)g_snprintf(value->text + length, sizeof value->text - length,
                                     "%s%" PRIu64, i > 0 ? " " : "", value->numbers[i]);
    }
    return true;
}

bool berth_sysctl_check(const char *name, const char *value, GError **error)
{
    const Sysctl *sysctl = find_sysctl(name, error);
    Value parsed;

    return sysctl && parse_value(sysctl, value, AT_FDCWD, "/proc/cmdline", &parsed, error);
}

/* Returns: (transfer full): the path of a sysctl below the root of procfs. */
static char *sysctl_path(const Sysctl *sysctl)
{
    char *path = g_strconcat("sys/", sysctl->name, NULL);

    return g_strdelimit(path, ".", '/');
}

/* Fails because the file of a sysctl could not be used. */
static bool no_access(const Sysctl *sysctl, const char *verb, int err, GError **error)
{
    if (err == ENOENT)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "this kernel has no sysctl %s; leave it out", sysctl->name);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, err, "cannot %s sysctl %s", verb,
                                 sysctl->name);
}

static char *read_sysctl(int proc_fd, const Sysctl *sysctl, const char *path, GError **error)
{
    char buffer[BERTH_SYSCTL_VALUE_MAX + 1];
    GString *out;
    ssize_t n = read_proc(proc_fd, path, buffer, sizeof buffer);

    if (n < 0) {
        no_access(sysctl, "read", (int)-n, error);
        return NULL;
    }
    g_strstrip(buffer);
    out = g_string_new(NULL);
    for (const char *p = buffer; *p; p++)
        if (!g_ascii_isspace(*p))
            g_string_append_c(out, *p);
        else if (!g_ascii_isspace(p[-1])) /* not the first: it was stripped */
            g_string_append_c(out, ' ');
    return g_string_free(out, FALSE);
}

char *berth_sysctl_read(int proc_fd, const char *name, GError **error)
{
    const Sysctl *sysctl = find_sysctl(name, error);
    g_autofree char *path = NULL;

    if (!sysctl)
        return NULL;
    path = sysctl_path(sysctl);
    return read_sysctl(proc_fd, sysctl, path, error);
}

/* Writes the whole text at once, as procfs needs it. Returns: 0, or a negative errno value. */
static int write_text(int fd, const char *text)
{
    size_t length = strlen(text);
    ssize_t n = write(fd, text, length);

    if (n < 0)
        return -errno;
    return (size_t)n == length ? 0 : -EIO;
}

bool berth_sysctl_write(int proc_fd, const char *name, const char *value, GError **error)
{
    const Sysctl *sysctl = find_sysctl(name, error);
    g_autofree char *path = NULL, *now = NULL;
    BERTH_AUTO_FD fd = -1;
    Value parsed;
    int r;

    if (!sysctl || !parse_value(sysctl, value, proc_fd, "cmdline", &parsed, error))
        return false;

    path = sysctl_path(sysctl);
    fd = openat(proc_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return no_access(sysctl, "set", errno, error);
    r = write_text(fd, parsed.text);
    if (r == -EINVAL || r == -ERANGE)
        return invalid_value(sysctl, value, "the kernel refuses it", false, error);
    if (r < 0)
        return no_access(sysctl, "set", -r, error);

    /* stored as it is, with no hook that could change it; and written for each sandbox that is made
     */
    if (g_str_equal(sysctl->name, "kernel.shmall"))
        return true;
    now = read_sysctl(proc_fd, sysctl, path, error);
    if (!now)
        return false;
    if (g_str_equal(now, parsed.text) || (sysctl->consumed && g_str_equal(now, "-1")))
        return true;
    return berth_set_error(
        error, BERTH_ERROR_INVALID_OPTION,
        "sysctl %s is '%s' after '%s' was written: the kernel does not take that "
        "value; leave it out",
        sysctl->name, now, parsed.text);
}
