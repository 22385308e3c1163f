/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of a shm before a snapshot: what there is, and what cannot be kept of it. A file
 * without a name that somebody still holds open is not found by any name, but is counted by the
 * file system: what is in use must be what was found. Nothing is read here, and nothing but
 * directories opened.
 */

#include "ipc/snapshot-survey.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/shm.h"
#include "ipc/snapshot-attributes.h"
#include "ipc/snapshot-files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MOST   3500 /* bytes of a path: what tar programs take */
#define LOOKS_MAX   5    /* at files that come and go while they are counted */
#define INODE_SPACE 1024 /* bytes of attributes that count like a file */

typedef struct {
    BerthRefusals *refusals; /* (nullable): gets what cannot be kept */
    bool check_access;       /* only whether it may be read */
    bool attributes;         /* also count the room that attributes take */
    bool left_out;           /* what is looked at is: it is only counted */
    bool too_deep;           /* not everything was counted */
    uint64_t names;          /* found */
    uint64_t space;          /* bytes that attributes use of the room for inodes */
    GHashTable *linked;      /* owned: inodes with more names than one that were counted */
    GString *path;           /* owned: of what is looked at, such as shm/dir/file */
    unsigned depth;
} Walk;

static void walk_clear(Walk *walk)
{
    g_hash_table_unref(walk->linked);
    g_string_free(walk->path, TRUE);
}
#define AUTO_WALK __attribute__((cleanup(walk_clear))) Walk

static Walk new_walk(void)
{
    return (Walk){ .linked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
                   .path = g_string_new(BERTH_SNAPSHOT_SHM) };
}

static bool walk_directory(Walk *walk, int fd, GError **error);

static bool set_failed(const Walk *walk, GError **error)
{
    g_autofree char *quoted = berth_quote(walk->path->str);

    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read %s", quoted);
}

static bool has_other_names(Walk *walk, const struct stat *st)
{
    gint64 inode = (gint64)st->st_ino;

    return !S_ISDIR(st->st_mode) && st->st_nlink > 1 &&
           !g_hash_table_add(walk->linked, g_memdup2(&inode, sizeof(inode)));
}

/* Counts the room that the attributes of a file take, once for all its names. */
static void count_attributes(Walk *walk, int dir, const char *name)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !has_other_names(walk, &st) &&
        fchdir(dir) == 0)
        walk->space += berth_attributes_space(-1, name);
}

/* Whether a name can be kept by its looks. */
static void check_type(const Walk *walk, mode_t type)
{
    if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != S_IFIFO)
        berth_refuse(walk->refusals, BERTH_ERROR_NOT_SUPPORTED, walk->path->str,
                     "it is a socket or a device");
    else if (walk->path->len > PATH_MOST ||
             (type == S_IFDIR && walk->depth >= BERTH_FILES_DEPTH_MAX))
        berth_refuse(walk->refusals, BERTH_ERROR_NOT_SUPPORTED, walk->path->str,
                     "it lies too deep in directories");
}

/* Goes on into a directory, and opens any file that may be closed to this process. */
static bool enter(Walk *walk, int dir, const char *name, mode_t type, GError **error)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    BERTH_AUTO_FD fd = openat(dir, name, flags | (type == S_IFDIR ? O_DIRECTORY : 0));

    if (fd < 0 && walk->check_access && (errno == EACCES || errno == EPERM)) {
        berth_refuse(walk->refusals, BERTH_ERROR_ACCESS_DENIED, walk->path->str,
                     "it belongs to another user and may not be read; root can save it");
        return true;
    }
    if (fd < 0) /* gone meanwhile, or something else */
        return errno == ENOENT || errno == ELOOP || errno == ENOTDIR || set_failed(walk, error);
    return type != S_IFDIR || walk_directory(walk, fd, error);
}

static bool look_at_entry(Walk *walk, int dir, const char *name, mode_t type, GError **error)
{
    walk->names++;
    if (walk->refusals && !walk->check_access && !walk->left_out)
        check_type(walk, type);
    if (walk->attributes)
        count_attributes(walk, dir, name);
    if (type != S_IFDIR && !(walk->check_access && type == S_IFREG))
        return true;
    if (type == S_IFDIR && walk->depth >= BERTH_FILES_DEPTH_MAX) {
        walk->too_deep = true;
        return true;
    }
    return enter(walk, dir, name, type, error);
}

static bool walk_entry(Walk *walk, int dir, const struct dirent *entry, GError **error)
{
    gsize length = walk->path->len;
    bool outer = walk->left_out, ok = true;

    g_string_append_c(walk->path, '/');
    g_string_append(walk->path, entry->d_name);
    walk->left_out |=
        walk->refusals && berth_is_left_out(walk->refusals->leave_out, walk->path->str);
    /* what is left out is not opened by who may not */
    if (!walk->left_out || !walk->check_access)
        ok = look_at_entry(walk, dir, entry->d_name, berth_files_type(dir, entry), error);
    walk->left_out = outer;
    g_string_truncate(walk->path, length);
    return ok;
}

static bool walk_directory(Walk *walk, int fd, GError **error)
{
    BERTH_AUTO_FD copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    bool ok = true;

    if (!dir)
        return set_failed(walk, error);
    (void)berth_steal_fd(&copy); /* closedir() closes it */
    walk->depth++;
    for (struct dirent *entry = readdir(dir); ok && entry; entry = readdir(dir))
        if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
            ok = walk_entry(walk, fd, entry, error);
    walk->depth--;
    return ok;
}

static bool is_all_left_out(const BerthRefusals *refusals)
{
    return berth_is_left_out(refusals->leave_out, BERTH_SNAPSHOT_SHM);
}

/*
 * Names are counted like files are: a link too takes an inode of the limit. Attributes are looked
 * at only when there is something to explain.
 */
bool berth_files_survey(int shm, BerthIndex *index, BerthRefusals *refusals, GError **error)
{
    BerthShmUsage before, after;
    uint64_t found = 0;

    for (unsigned look = 0; look < LOOKS_MAX; look++) {
        AUTO_WALK walk = new_walk();

        walk.refusals = look == 0 ? refusals : NULL;
        walk.left_out = is_all_left_out(refusals);
        walk.attributes = look > 0;
        if (!berth_shm_usage(shm, &before, error) || !walk_directory(&walk, shm, error))
            return false;
        if (walk.attributes)
            walk.space += berth_attributes_space(shm, NULL);
        if (!berth_shm_usage(shm, &after, error))
            return false;
        index->shm_bytes = after.used;
        index->shm_inodes = after.inodes_used;
        found = 1 + walk.names + (walk.space + INODE_SPACE - 1) / INODE_SPACE;
        if (walk.too_deep || after.inodes_used <= found)
            return true;
        if (look > 0 && before.inodes_used == after.inodes_used)
            break;
    }
    berth_refuse(refusals, BERTH_ERROR_SANDBOX_BUSY, "unlinked",
                 "a file in shm that has no name any more is still open or mapped by a program, "
                 "and cannot be reached");
    return true;
}

bool berth_files_check_access(int shm, BerthRefusals *refusals, GError **error)
{
    AUTO_WALK walk = new_walk();

    walk.refusals = refusals;
    walk.check_access = true;
    return is_all_left_out(refusals) || walk_directory(&walk, shm, error);
}
