/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this machine has: memory, transparent huge pages, NUMA nodes; and whether an option that
 * asks for them can be honoured. The kernel answers a bad `mpol=` or `huge=` with "Bad value" and
 * nothing more, and takes some values only to ignore them; the messages here say what is there.
 *
 * Everything is read with fopen() from /proc and /sys at each call: nodes and memory come and go,
 * the tests put a mock machine in place, and sysinfo() or sysconf() would see the real one. Never
 * call this from the vault's thread: it has no /proc and no /sys.
 */

#include "ipc/machine.h"

#include "base/error.h"
#include "base/names.h"
#include "ipc/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define THP_FILE       "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define NODE_DIR       "/sys/devices/system/node"
#define WEIGHTED_DIR   "/sys/kernel/mm/mempolicy/weighted_interleave"

#define LINE_MAX_BYTES 8192 /* the list of 1024 nodes with every second missing is 2.5 KiB */

/*
 * Reads the first line of a file. Returns: (transfer full): the line without its newline; or NULL,
 * with a positive errno value in *err.
 */
static char *read_line(const char *path, int *err)
{
    char buffer[LINE_MAX_BYTES] = "";
    FILE *file = fopen(path, "re");
    bool failed;

    if (!file) {
        *err = errno;
        return NULL;
    }
    failed = !fgets(buffer, sizeof buffer, file) && ferror(file);
    fclose(file);
    if (failed) {
        *err = EIO;
        return NULL;
    }
    return g_strdup(g_strchomp(buffer));
}

static bool check_length(const char *option, const char *value, GError **error)
{
    if (strnlen(value, BERTH_MACHINE_VALUE_MAX + 1) <= BERTH_MACHINE_VALUE_MAX)
        return true;

    g_autofree char *quoted = berth_quote(value);
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "invalid %s '%s': it is longer than %d bytes", option, quoted,
                           BERTH_MACHINE_VALUE_MAX);
}

/* Reads a line `MemTotal:  N kB`. Returns: the size in bytes; 0 if the line is anything else. */
static uint64_t parse_mem_total(char *line)
{
    char *rest;
    guint64 kib;

    if (!g_str_has_prefix(line, "MemTotal:"))
        return 0;
    kib = g_ascii_strtoull(line + strlen("MemTotal:"), &rest, 10);
    /* "kB" is literal in the kernel's source and has always meant KiB */
    if (kib > UINT64_MAX / 1024 || !g_str_equal(g_strstrip(rest), "kB"))
        return 0;
    return kib * 1024;
}

bool berth_machine_memory(uint64_t *bytes, GError **error)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t total = 0;
    char line[256];

    if (!file)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read /proc/meminfo");
    while (total == 0 && fgets(line, sizeof line, file))
        total = parse_mem_total(line);
    fclose(file);
    if (total == 0)
        return berth_set_error(error, BERTH_ERROR_FAILED, "/proc/meminfo has no usable MemTotal");
    *bytes = total;
    return true;
}

bool berth_machine_check_huge(const char *value, GError **error)
{
    static const char *const allowed[] = { "never", "always", "within_size", "advise", NULL };
    g_autofree char *line = NULL;
    int err = 0;

    if (!check_length("ShmHuge", value, error))
        return false;
    if (!g_strv_contains(allowed, value)) {
        g_autofree char *quoted = berth_quote(value);
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "invalid ShmHuge '%s': use never, always, within_size or advise",
                               quoted);
    }
    if (g_str_equal(value, "never"))
        return true;

    line = read_line(THP_FILE, &err);
    if (!line && err == ENOENT)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "ShmHuge '%s' needs transparent huge pages, which this machine does "
                               "not have (no " THP_FILE "); use never",
                               value);
    if (!line)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, err, "cannot read " THP_FILE);
    /* the file lists all words and brackets the one in force */
    if (strstr(line, "[deny]"))
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "ShmHuge '%s' would be without effect: " THP_FILE " is 'deny'; use "
                               "never, or write never to that file",
                               value);
    return true;
}

/*
 * Reads the nodes a policy may name: those with memory. Older kernels and some containers lack
 * has_memory; online is the nearest then.
 */
static bool machine_nodes(BerthNodes *nodes, GError **error)
{
    static const char *const files[] = { NODE_DIR "/has_memory", NODE_DIR "/online" };
    g_autoptr(GError) local = NULL;
    g_autofree char *line = NULL;
    int err = ENOENT;

    for (unsigned i = 0; i < G_N_ELEMENTS(files) && !line && err == ENOENT; i++)
        line = read_line(files[i], &err);
    if (!line && err == ENOENT)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "ShmNuma needs a kernel with NUMA, which this machine does not have "
                               "(no " NODE_DIR "); leave it out");
    if (!line)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, err,
                                     "cannot read the list of nodes in " NODE_DIR);
    if (!berth_nodes_parse(line, nodes, &local))
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               "cannot understand the list of nodes in " NODE_DIR ": %s",
                               local->message);
    return true;
}

typedef enum {
    NODES_FORBIDDEN,
    NODES_ONE_OR_NONE,
    NODES_OPTIONAL,
    NODES_REQUIRED,
} NodesRule;

typedef struct {
    const char *name;
    NodesRule nodes;
    const char *probe; /* what is there when the kernel has the mode; NULL: since before 6.1 */
} Policy;

/*
 * The kernel's names: policy_modes[] in mm/mempolicy.c; the rules: mpol_parse_str() and mpol_new()
 * there. A flag with `default` is read and dropped by the kernel and so refused here; the order
 * `bind:0=static` happens to work but is documented nowhere.
 */
static const Policy policies[] = {
    { "default", NODES_FORBIDDEN, NULL },
    { "local", NODES_FORBIDDEN, NULL },
    { "prefer", NODES_ONE_OR_NONE, NULL },
    { "prefer (many)", NODES_REQUIRED, NULL },
    { "bind", NODES_REQUIRED, NULL },
    { "interleave", NODES_OPTIONAL, NULL },
    { "weighted interleave", NODES_OPTIONAL, WEIGHTED_DIR }, /* Linux 6.9 */
};

static const Policy *find_policy(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(policies); i++)
        if (g_str_equal(policies[i].name, name))
            return &policies[i];
    return NULL;
}

/*
 * Checks the parts of a policy against each other. The flag and the list are NULL when their
 * separator was missing. Returns: NULL, or what is wrong.
 */
static const char *mempolicy_fault(const Policy *policy, const char *flag, const char *list)
{
    if (!policy)
        return "the mode is none of default, local, prefer, prefer (many), bind, interleave and "
               "weighted interleave";
    if (flag && !g_str_equal(flag, "static") && !g_str_equal(flag, "relative"))
        return "the flag after '=' is neither static nor relative";
    if (list && !*list)
        return "no node follows the ':'";

    switch (policy->nodes) {
    case NODES_FORBIDDEN:
        if (list || flag)
            return "this mode takes neither nodes nor a flag";
        break;
    case NODES_ONE_OR_NONE:
        if (list && list[strspn(list, "0123456789")])
            return "this mode takes a single node; for more use prefer (many)";
        if (flag && !list)
            return "this mode takes a flag only with a node";
        break;
    case NODES_REQUIRED:
        if (!list)
            return "this mode needs nodes, as in MODE:0";
        break;
    case NODES_OPTIONAL:
        break;
    }
    return NULL;
}

/* Fails with @fault about @value; the remedy is the list of what the machine has. */
static bool invalid_mempolicy(const char *value, const BerthNodes *present, const char *fault,
                              GError **error)
{
    g_autofree char *quoted = berth_quote(value);
    g_autofree char *nodes = berth_nodes_format(present);

    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "invalid ShmNuma '%s': %s; nodes of this machine: %s", quoted, fault,
                           nodes);
}

bool berth_machine_check_mempolicy(const char *value, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *mode = NULL;
    const Policy *policy;
    BerthNodes present, wanted;
    char *list, *flag;
    const char *fault;
    int missing;

    if (!check_length("ShmNuma", value, error) || !machine_nodes(&present, error))
        return false;

    mode = g_strdup(value);
    list = strchr(mode, ':');
    if (list)
        *list++ = '\0';
    flag = strchr(mode, '=');
    if (flag)
        *flag++ = '\0';

    policy = find_policy(mode);
    fault = mempolicy_fault(policy, flag, list);
    if (fault)
        return invalid_mempolicy(value, &present, fault, error);
    if (!berth_nodes_parse(list ? list : "", &wanted, &local))
        return invalid_mempolicy(value, &present, local->message, error);

    missing = berth_nodes_first_missing(&wanted, &present);
    if (missing >= 0) {
        g_autofree char *what = g_strdup_printf("there is no node %d with memory", missing);
        return invalid_mempolicy(value, &present, what, error);
    }
    if (policy->probe && access(policy->probe, F_OK) < 0)
        return berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                               "this kernel does not know the ShmNuma mode '%s' (no %s); use "
                               "interleave",
                               policy->name, policy->probe);
    return true;
}
