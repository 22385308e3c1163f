/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extended attributes of files: which are kept, and how they are read and set (xattr(7)). ACLs are
 * among them. Those that a security module gave belong to the machine and its policy, and are
 * neither saved nor restored. Links are never followed.
 */

#include "ipc/snapshot-attributes.h"

#include "ipc/snapshot-pax.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#define CAPABILITY "security.capability"

/* simple_xattr_space() in the kernel: an attribute takes this much, besides name and value */
#define XATTR_SPACE 40

/* What security modules give, with all that begins like it. */
static const char *const labels[] = {
    "security.SMACK64", "security.apparmor", "security.evm",    "security.ima",
    "security.sehash",  "security.selinux",  "security.tomoyo",
};

static bool is_kept(const char *attribute)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(labels); i++)
        if (g_str_has_prefix(attribute, labels[i]))
            return false;
    return g_str_has_prefix(attribute, "user.") || g_str_has_prefix(attribute, "trusted.") ||
           g_str_has_prefix(attribute, "security.") ||
           g_str_has_prefix(attribute, "system.posix_acl_");
}

static ssize_t list_into(int fd, const char *name, char *list, size_t size)
{
    return fd >= 0 ? flistxattr(fd, list, size) : llistxattr(name, list, size);
}

static ssize_t get_into(int fd, const char *name, const char *attribute, void *value, size_t size)
{
    return fd >= 0 ? fgetxattr(fd, attribute, value, size)
                   : lgetxattr(name, attribute, value, size);
}

/* Returns: (transfer full): the names, each with a NUL at its end, or NULL: there are none. */
static char *list(int fd, const char *name, size_t *length)
{
    ssize_t size = list_into(fd, name, NULL, 0);
    char *names;

    *length = 0;
    if (size <= 0)
        return NULL;
    names = g_malloc0((size_t)size + 1);
    size = list_into(fd, name, names, (size_t)size);
    if (size > 0)
        *length = (size_t)size;
    return names;
}

void berth_attributes_add(int fd, const char *name, GByteArray *records)
{
    size_t length;
    g_autofree char *names = list(fd, name, &length);

    for (const char *one = names; one && one < names + length; one += strlen(one) + 1) {
        ssize_t size = is_kept(one) ? get_into(fd, name, one, NULL, 0) : -1;
        g_autofree char *value = size >= 0 ? g_malloc((size_t)size + 1) : NULL;

        if (value)
            size = get_into(fd, name, one, value, (size_t)size);
        if (size >= 0)
            berth_pax_attribute(records, one, value, (size_t)size);
    }
}

uint64_t berth_attributes_space(int fd, const char *name)
{
    size_t length;
    g_autofree char *names = list(fd, name, &length);
    uint64_t space = 0;

    for (const char *one = names; one && one < names + length; one += strlen(one) + 1) {
        ssize_t size = get_into(fd, name, one, NULL, 0);

        if (size >= 0 && !g_str_has_prefix(one, "system."))
            space += XATTR_SPACE + strlen(one) + (uint64_t)size;
    }
    return space;
}

bool berth_attribute_set(int fd, const char *name, const char *attribute, const void *value,
                         size_t size, bool late)
{
    if (!is_kept(attribute) || g_str_equal(attribute, CAPABILITY) != late)
        return true;
    return (fd >= 0 ? fsetxattr(fd, attribute, value, size, 0)
                    : lsetxattr(name, attribute, value, size, 0)) == 0;
}
