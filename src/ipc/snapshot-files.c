/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of a shm into a snapshot, each directory before what is in it. They are looked at
 * twice: first all of them, for what cannot be kept; then each for what it is at that moment, since
 * programs may go on using them. A file without a name that somebody still holds open is not found
 * by any name, but is counted by the file system: what is in use must be what was found.
 */

#include "ipc/snapshot-files.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/shm.h"
#include "ipc/snapshot-data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DEPTH_MAX 128  /* directories in each other */
#define PATH_MOST 3500 /* bytes of a path: what tar programs take */
#define LOOKS_MAX 5    /* at files that come and go while they are counted */

/* simple_xattr_space() in the kernel: an attribute takes this much, besides name and value */
#define XATTR_SPACE 40
#define INODE_SPACE 1024

typedef struct {
    BerthSnapshotWriter *writer; /* NULL: only look */
    const char *const *leave_out;
    BerthRefusals *refusals; /* of a look */
    bool check_access;       /* root may read everything */
    uint64_t names;          /* found */
    uint64_t xattr_space;    /* bytes that they use of the room for inodes */
    GHashTable *linked;      /* inode → path, of files with more names than one */
    GString *path;           /* of what is looked at, such as shm/dir/file */
    unsigned depth;
} Walk;

static void walk_clear(Walk *walk)
{
    if (walk->linked)
        g_hash_table_unref(walk->linked);
    if (walk->path)
        g_string_free(walk->path, TRUE);
}
#define AUTO_WALK __attribute__((cleanup(walk_clear))) Walk

static bool walk_directory(Walk *walk, int fd, GError **error);

static bool set_failed(const Walk *walk, GError **error)
{
    g_autofree char *quoted = berth_quote(walk->path->str);

    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read %s", quoted);
}

/* Reads the list of attributes, as xattr(7) has it. Returns: (transfer full): it, or NULL. */
static char *list_attributes(int fd, size_t *length)
{
    ssize_t size = flistxattr(fd, NULL, 0);
    char *list;

    *length = 0;
    if (size <= 0)
        return NULL;
    list = g_malloc0((size_t)size + 1);
    size = flistxattr(fd, list, (size_t)size);
    if (size > 0)
        *length = (size_t)size;
    return list;
}

/* Labels of security modules are the machine's to give. */
static bool is_kept(const char *attribute)
{
    return g_str_has_prefix(attribute, "user.") || g_str_has_prefix(attribute, "trusted.") ||
           g_str_has_prefix(attribute, "system.posix_acl_");
}

static void add_attributes(int fd, struct archive_entry *entry)
{
    size_t length;
    g_autofree char *list = list_attributes(fd, &length);

    for (const char *name = list; name && name < list + length; name += strlen(name) + 1) {
        g_autofree char *value = NULL;
        ssize_t size = is_kept(name) ? fgetxattr(fd, name, NULL, 0) : -1;

        if (size < 0)
            continue;
        value = g_malloc((size_t)size + 1);
        size = fgetxattr(fd, name, value, (size_t)size);
        if (size >= 0)
            archive_entry_xattr_add_entry(entry, name, value, (size_t)size);
    }
}

static struct archive_entry *new_entry(const Walk *walk, const struct stat *st)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_copy_pathname(entry, walk->path->str);
    archive_entry_set_mode(entry, st->st_mode);
    archive_entry_set_uid(entry, st->st_uid);
    archive_entry_set_gid(entry, st->st_gid);
    archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    archive_entry_set_atime(entry, st->st_atim.tv_sec, st->st_atim.tv_nsec);
    archive_entry_set_size(entry, 0);
    return entry;
}

/* The other name under which a file was written already. */
static const char *earlier_name(Walk *walk, const struct stat *st)
{
    gint64 inode = (gint64)st->st_ino;
    const char *earlier;

    if (st->st_nlink < 2)
        return NULL;
    earlier = g_hash_table_lookup(walk->linked, &inode);
    if (!earlier)
        g_hash_table_insert(walk->linked, g_memdup2(&inode, sizeof(inode)),
                            g_strdup(walk->path->str));
    return earlier;
}

static bool write_file(Walk *walk, int fd, const struct stat *st, GError **error)
{
    g_autoptr(BerthEntry) entry = new_entry(walk, st);
    const char *earlier = earlier_name(walk, st);

    if (earlier) {
        archive_entry_copy_hardlink(entry, earlier);
        return berth_snapshot_writer_begin(walk->writer, entry, error);
    }
    add_attributes(fd, entry);
    return berth_snapshot_data(walk->writer, entry, fd, (uint64_t)st->st_size,
                               (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size, error);
}

/* A symbolic link or FIFO, which has no contents; it has attributes, but none that are kept. */
static bool write_node(Walk *walk, int dir, const char *name, const struct stat *st, GError **error)
{
    g_autoptr(BerthEntry) entry = new_entry(walk, st);
    const char *earlier = earlier_name(walk, st);
    char target[PATH_MAX];

    if (earlier) {
        archive_entry_copy_hardlink(entry, earlier);
    } else if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

        if (n < 0)
            return errno == ENOENT || set_failed(walk, error);
        target[n] = '\0';
        archive_entry_copy_symlink(entry, target);
    }
    return berth_snapshot_writer_begin(walk->writer, entry, error);
}

static bool write_directory(Walk *walk, int fd, GError **error)
{
    g_autoptr(BerthEntry) entry = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return set_failed(walk, error);
    entry = new_entry(walk, &st);
    add_attributes(fd, entry);
    return berth_snapshot_writer_begin(walk->writer, entry, error);
}

static bool write_entry(Walk *walk, int dir, const char *name, mode_t type, GError **error)
{
    BERTH_AUTO_FD fd = -1;
    struct stat st;

    if (type == S_IFLNK || type == S_IFIFO) {
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT || set_failed(walk, error);
        /* it can have become something else meanwhile: then it is of no interest as this */
        return (st.st_mode & S_IFMT) != type || write_node(walk, dir, name, &st, error);
    }
    fd = openat(dir, name,
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
                    (type == S_IFDIR ? O_DIRECTORY : 0));
    if (fd < 0) /* gone meanwhile */
        return errno == ENOENT || errno == ELOOP || errno == ENOTDIR || set_failed(walk, error);
    if (type == S_IFDIR)
        return write_directory(walk, fd, error) && walk_directory(walk, fd, error);
    if (fstat(fd, &st) < 0)
        return set_failed(walk, error);
    return !S_ISREG(st.st_mode) || write_file(walk, fd, &st, error);
}

/* Notes what is there, and whether it can be kept. */
static bool look_at_entry(Walk *walk, int dir, const char *name, mode_t type, GError **error)
{
    BERTH_AUTO_FD fd = -1;

    if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != S_IFIFO) {
        berth_refuse(walk->refusals, BERTH_ERROR_NOT_SUPPORTED, walk->path->str,
                     "it is a socket or a device");
        return true;
    }
    if (walk->path->len > PATH_MOST || (type == S_IFDIR && walk->depth >= DEPTH_MAX)) {
        berth_refuse(walk->refusals, BERTH_ERROR_NOT_SUPPORTED, walk->path->str,
                     "it lies too deep in directories");
        return true;
    }
    if (type == S_IFLNK || type == S_IFIFO || (type == S_IFREG && !walk->check_access))
        return true;
    fd = openat(dir, name,
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
                    (type == S_IFDIR ? O_DIRECTORY : 0));
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        berth_refuse(walk->refusals, BERTH_ERROR_ACCESS_DENIED, walk->path->str,
                     "it belongs to another user and may not be read; root can save it");
        return true;
    }
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == ENOTDIR || set_failed(walk, error);
    return type != S_IFDIR || walk_directory(walk, fd, error);
}

static mode_t type_of(int dir, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return DTTOIF(entry->d_type);
    return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

static bool walk_entry(Walk *walk, int dir, const struct dirent *entry, GError **error)
{
    gsize length = walk->path->len;
    bool ok;

    walk->names++;
    g_string_append_printf(walk->path, "/%s", entry->d_name);
    if (berth_is_left_out(walk->leave_out, walk->path->str)) {
        ok = true; /* it is not even opened */
    } else {
        mode_t type = type_of(dir, entry);

        ok = walk->writer ? write_entry(walk, dir, entry->d_name, type, error)
                          : look_at_entry(walk, dir, entry->d_name, type, error);
    }
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

/* Counts the room that the attributes of a file take, once for all its names. */
static void count_attributes(Walk *walk, int fd)
{
    g_autofree char *list = NULL;
    gint64 inode;
    struct stat st;
    size_t length;

    if (fstat(fd, &st) < 0)
        return;
    inode = (gint64)st.st_ino;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 &&
        !g_hash_table_add(walk->linked, g_memdup2(&inode, sizeof(inode))))
        return;
    list = list_attributes(fd, &length);
    for (const char *name = list; name && name < list + length; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(fd, name, NULL, 0);

        if (size >= 0 && !g_str_has_prefix(name, "system."))
            walk->xattr_space += XATTR_SPACE + strlen(name) + (uint64_t)size;
    }
}

static bool count_names(Walk *walk, int fd, bool attributes);

/* One name, and what is below it. */
static bool count_entry(Walk *walk, int dir, const struct dirent *entry, bool attributes)
{
    mode_t type = type_of(dir, entry);
    BERTH_AUTO_FD fd = -1;

    walk->names++;
    if (type != S_IFDIR && !(attributes && type == S_IFREG))
        return true;
    fd = openat(dir, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    if (type == S_IFDIR)
        return walk->depth < DEPTH_MAX && count_names(walk, fd, attributes);
    count_attributes(walk, fd);
    return true;
}

/* Counts every name, left out or not, and the room that attributes take. */
static bool count_names(Walk *walk, int fd, bool attributes)
{
    BERTH_AUTO_FD copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BERTH_AUTO_DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    bool ok = dir;

    if (!dir)
        return false;
    (void)berth_steal_fd(&copy); /* closedir() closes it */
    if (attributes)
        count_attributes(walk, fd);
    walk->depth++;
    for (struct dirent *entry = readdir(dir); ok && entry; entry = readdir(dir))
        if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
            ok = count_entry(walk, fd, entry, attributes);
    walk->depth--;
    return ok;
}

/*
 * Looks for files without a name: those that the file system counts, and nobody finds. Names are
 * counted like files are (a link too takes an inode of the limit).
 */
bool berth_files_find_unlinked(int shm, BerthIndex *index, BerthRefusals *refusals, GError **error)
{
    BerthShmUsage before, after;
    bool counted = true;
    uint64_t found = 0;

    for (unsigned look = 0; look < LOOKS_MAX; look++) {
        AUTO_WALK walk = { .linked =
                               g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL) };

        /* attributes are looked at only when there is something to explain */
        if (!berth_shm_usage(shm, &before, error))
            return false;
        counted = count_names(&walk, shm, look > 0);
        if (!berth_shm_usage(shm, &after, error))
            return false;
        index->shm_bytes = after.used;
        index->shm_inodes = after.inodes_used;
        found = 1 + walk.names + (walk.xattr_space + INODE_SPACE - 1) / INODE_SPACE;
        if (!counted || after.inodes_used <= found)
            break;
        if (look > 0 && before.inodes_used == after.inodes_used)
            break;
    }
    if (counted && after.inodes_used > found)
        berth_refuse(refusals, BERTH_ERROR_SANDBOX_BUSY, "unlinked",
                     "a file in shm that has no name any more is still open or mapped by a "
                     "program, and cannot be reached");
    return true;
}

bool berth_files_survey(int shm, BerthRefusals *refusals, GError **error)
{
    AUTO_WALK walk = { .leave_out = refusals->leave_out,
                       .refusals = refusals,
                       .check_access = geteuid() != 0,
                       .path = g_string_new(BERTH_SNAPSHOT_SHM) };

    if (berth_is_left_out(refusals->leave_out, walk.path->str))
        return true;
    return walk_directory(&walk, shm, error);
}

bool berth_files_write(BerthSnapshotWriter *writer, int shm, const char *const *leave_out,
                       GError **error)
{
    AUTO_WALK walk = { .writer = writer,
                       .leave_out = leave_out,
                       .linked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free),
                       .path = g_string_new(BERTH_SNAPSHOT_SHM) };

    if (berth_is_left_out(leave_out, walk.path->str))
        return true;
    return write_directory(&walk, shm, error) && walk_directory(&walk, shm, error);
}
