/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of a shm into a snapshot, each directory before what is in it. All of them were looked
 * at before, for what cannot be kept (snapshot-survey.c); here each is written for what it is at
 * that moment, since programs may go on using them.
 */

#include "ipc/snapshot-files.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ipc/snapshot-attributes.h"
#include "ipc/snapshot-data.h"
#include "ipc/snapshot-index.h"
#include "ipc/snapshot-refusals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file as it is written; what it refers to is in the walk. */
typedef struct {
    struct statx st;
    struct timespec atime, mtime;
    BerthMember member;
} File;

typedef struct {
    BerthSnapshotWriter *writer;
    const char *const *leave_out;
    GHashTable *linked;    /* owned: inode → path, of files with more names than one */
    GString *path;         /* owned: of what is written, such as shm/dir/file */
    GByteArray *records;   /* owned: its attributes */
    char target[PATH_MAX]; /* of a symbolic link */
} Walk;

static void walk_clear(Walk *walk)
{
    g_hash_table_unref(walk->linked);
    g_string_free(walk->path, TRUE);
    g_byte_array_unref(walk->records);
}
#define AUTO_WALK __attribute__((cleanup(walk_clear))) Walk

static bool walk_directory(Walk *walk, int fd, GError **error);

static bool set_failed(const Walk *walk, GError **error)
{
    g_autofree char *quoted = berth_quote(walk->path->str);

    return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, "cannot read %s", quoted);
}

mode_t berth_files_type(int dir, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return DTTOIF(entry->d_type);
    return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

/* Flags that chattr(1) sets: what has them could not be given its name, nor removed again. */
static bool check_flags(const Walk *walk, const File *file, GError **error)
{
    BERTH_AUTO_REFUSALS refusals = { .leave_out = walk->leave_out };

    if (file->st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
        berth_refuse(&refusals, BERTH_ERROR_NOT_SUPPORTED, walk->path->str,
                     "it is immutable or append-only (chattr -ia)");
    return berth_refusals_check(&refusals, error);
}

/* Looks at @name in @dir, or at @dir itself when @name is "". Returns: false and errno on error. */
static bool look(const Walk *walk, int dir, const char *name, File *file)
{
    const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_STATX_DONT_SYNC;

    if (statx(dir, name, flags, STATX_BASIC_STATS, &file->st) < 0)
        return false;
    file->atime = (struct timespec){ file->st.stx_atime.tv_sec, file->st.stx_atime.tv_nsec };
    file->mtime = (struct timespec){ file->st.stx_mtime.tv_sec, file->st.stx_mtime.tv_nsec };
    g_byte_array_set_size(walk->records, 0);
    file->member = (BerthMember){ .path = walk->path->str,
                                  .mode = file->st.stx_mode,
                                  .uid = file->st.stx_uid,
                                  .gid = file->st.stx_gid,
                                  .atime = &file->atime,
                                  .mtime = &file->mtime,
                                  .records = walk->records };
    return true;
}

/* The other name under which a file was written already. */
static const char *earlier_name(const Walk *walk, const File *file)
{
    gint64 inode = (gint64)file->st.stx_ino;
    const char *earlier;

    if (file->st.stx_nlink < 2)
        return NULL;
    earlier = g_hash_table_lookup(walk->linked, &inode);
    if (!earlier)
        g_hash_table_insert(walk->linked, g_memdup2(&inode, sizeof(inode)),
                            g_strdup(walk->path->str));
    return earlier;
}

static bool write_file(const Walk *walk, int fd, File *file, GError **error)
{
    file->member.link = earlier_name(walk, file);
    if (file->member.link)
        return berth_snapshot_writer_begin(walk->writer, &file->member, error);
    if (!check_flags(walk, file, error))
        return false;
    berth_attributes_add(fd, NULL, walk->records);
    file->member.size = file->st.stx_size;
    return berth_snapshot_data(walk->writer, &file->member, fd,
                               file->st.stx_blocks * 512 < file->st.stx_size, error);
}

/* A symbolic link or FIFO, which has no contents, and is not opened: whoever waits would see it. */
static bool write_node(Walk *walk, int dir, const char *name, File *file, GError **error)
{
    file->member.link = earlier_name(walk, file);
    if (file->member.link)
        return berth_snapshot_writer_begin(walk->writer, &file->member, error);
    if (S_ISLNK(file->st.stx_mode)) {
        ssize_t n = readlinkat(dir, name, walk->target, sizeof(walk->target) - 1);

        if (n < 0)
            return errno == ENOENT || set_failed(walk, error);
        walk->target[n] = '\0';
        file->member.target = walk->target;
    }
    if (fchdir(dir) == 0)
        berth_attributes_add(-1, name, walk->records);
    return check_flags(walk, file, error) &&
           berth_snapshot_writer_begin(walk->writer, &file->member, error);
}

static bool write_directory(const Walk *walk, int fd, GError **error)
{
    File file;

    if (!look(walk, fd, "", &file))
        return set_failed(walk, error);
    berth_attributes_add(fd, NULL, walk->records);
    return check_flags(walk, &file, error) &&
           berth_snapshot_writer_begin(walk->writer, &file.member, error);
}

static bool write_entry(Walk *walk, int dir, const char *name, mode_t type, GError **error)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    BERTH_AUTO_FD fd = -1;
    File file;

    if (type == S_IFLNK || type == S_IFIFO) {
        if (!look(walk, dir, name, &file))
            return errno == ENOENT || set_failed(walk, error);
        /* it can have become something else meanwhile: then it is of no interest as this */
        return (file.st.stx_mode & S_IFMT) != type || write_node(walk, dir, name, &file, error);
    }
    fd = openat(dir, name, flags | (type == S_IFDIR ? O_DIRECTORY : 0));
    if (fd < 0) /* gone meanwhile */
        return errno == ENOENT || errno == ELOOP || errno == ENOTDIR || set_failed(walk, error);
    if (type == S_IFDIR)
        return write_directory(walk, fd, error) && walk_directory(walk, fd, error);
    if (!look(walk, fd, "", &file))
        return set_failed(walk, error);
    return !S_ISREG(file.st.stx_mode) || write_file(walk, fd, &file, error);
}

static bool walk_entry(Walk *walk, int dir, const struct dirent *entry, GError **error)
{
    gsize length = walk->path->len;
    bool ok = true;

    g_string_append_c(walk->path, '/');
    g_string_append(walk->path, entry->d_name);
    if (!berth_is_left_out(walk->leave_out, walk->path->str)) /* else it is not even opened */
        ok = write_entry(walk, dir, entry->d_name, berth_files_type(dir, entry), error);
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
    for (struct dirent *entry = readdir(dir); ok && entry; entry = readdir(dir))
        if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
            ok = walk_entry(walk, fd, entry, error);
    return ok;
}

bool berth_files_write(BerthSnapshotWriter *writer, int shm, const char *const *leave_out,
                       GError **error)
{
    AUTO_WALK walk = { .writer = writer,
                       .leave_out = leave_out,
                       .linked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free),
                       .path = g_string_new(BERTH_SNAPSHOT_SHM),
                       .records = g_byte_array_new() };

    if (berth_is_left_out(leave_out, walk.path->str))
        return true;
    return write_directory(&walk, shm, error) && walk_directory(&walk, shm, error);
}
