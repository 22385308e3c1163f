/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of a snapshot into an empty shm. No path is ever resolved: a member must come after the
 * directory it lies in and before that is left, so that a stack of open directories is all that is
 * needed, and every file is made with one name in one of them, new or not at all. At the top they
 * get names that nobody knows until all is there. A directory is its maker's, and closed to others,
 * until it is left.
 */

#include "ipc/restore-files.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/libarchive.h"
#include "base/names.h"
#include "ipc/restore-log.h"
#include "ipc/restore-top.h"
#include "ipc/snapshot-attributes.h"
#include "ipc/snapshot-index.h"
#include "ipc/snapshot-pax.h"
#include "ipc/snapshot-refusals.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX   256
#define RECORDS_MAX 65536 /* bytes of them in memory; they are not needed before the end */

/* A directory that is being filled. */
typedef struct {
    char *name;                  /* owned: in the archive */
    int fd;                      /* owned */
    struct archive_entry *entry; /* owned: what it becomes when it is left */
} Directory;

struct BerthRestoreFiles {
    int shm, log;
    char *prefix; /* owned */
    const BerthActor *actor;
    const char *const *leave_out;
    GArray *stack;       /* owned (element-type Directory): the first is shm itself */
    GByteArray *records; /* owned: of the log, not written yet */
    GHashTable *top;     /* owned: name → number, of what lies at the top */
    const char *path;    /* (not owned) of the member that is being made */
};

static void clear_directory(gpointer data)
{
    Directory *directory = data;

    g_free(directory->name);
    berth_close(directory->fd);
    archive_entry_free(directory->entry);
}

BerthRestoreFiles *berth_restore_files_new(int shm, int log, const char *prefix,
                                           const BerthActor *actor, const char *const *leave_out)
{
    BerthRestoreFiles *files = g_new0(BerthRestoreFiles, 1);

    files->shm = shm;
    files->log = log;
    files->prefix = g_strdup(prefix);
    files->actor = actor;
    files->leave_out = leave_out;
    files->stack = g_array_new(FALSE, TRUE, sizeof(Directory));
    g_array_set_clear_func(files->stack, clear_directory);
    files->records = g_byte_array_new();
    files->top = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return files;
}

void berth_restore_files_free(BerthRestoreFiles *files)
{
    if (!files)
        return;
    g_array_unref(files->stack);
    g_byte_array_unref(files->records);
    g_hash_table_unref(files->top);
    g_free(files->prefix);
    g_free(files);
}

static bool set_invalid(const BerthRestoreFiles *files, GError **error, const char *why)
{
    g_autofree char *quoted = berth_quote(files->path);

    return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                           "the snapshot is damaged: its member %s %s", quoted, why);
}

/* An error of the kernel's, about the member. */
static bool set_failed(const BerthRestoreFiles *files, GError **error, const char *what)
{
    int err = errno;
    g_autofree char *quoted = berth_quote(files->path);

    if (err == EEXIST)
        return berth_set_error(error, BERTH_ERROR_ARCHIVE_INVALID,
                               "the snapshot is damaged: its member %s is there twice", quoted);
    if (err == ENOSPC || err == EDQUOT || err == EFBIG)
        return berth_set_error(error, BERTH_ERROR_QUOTA_EXCEEDED,
                               "the sandbox is full: %s does not fit; resize it (berthctl resize) "
                               "and restore again",
                               quoted);
    if ((err == EPERM || err == EACCES) && files->actor->uid == 0)
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                               "the service may not %s %s; give it the capability, or name it in "
                               "LeaveOut",
                               what, quoted);
    if (err == EPERM || err == EACCES)
        return berth_set_error(error, BERTH_ERROR_ACCESS_DENIED,
                               "user %u may not %s %s; root can restore it, or name it in LeaveOut",
                               files->actor->uid, what, quoted);
    return berth_set_error_errno(error, BERTH_ERROR_FAILED, err, "cannot %s %s", what, quoted);
}

static uid_t uid_of(struct archive_entry *entry)
{
    return (uid_t)archive_entry_uid(entry);
}

static gid_t gid_of(struct archive_entry *entry)
{
    return (gid_t)archive_entry_gid(entry);
}

static bool check_owner(const BerthRestoreFiles *files, struct archive_entry *entry, GError **error)
{
    int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
    g_autofree char *quoted = berth_quote(files->path);

    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return set_invalid(files, error, "has an owner that nobody can be");
    if (files->actor->uid == 0 || uid_of(entry) == files->actor->uid)
        return true;
    return berth_set_error(
        error, BERTH_ERROR_ACCESS_DENIED,
        "%s belongs to user %u, and only root can restore what belongs to others "
        "than user %u; name it in LeaveOut to go on without it",
        quoted, uid_of(entry), files->actor->uid);
}

static bool set_times(const BerthRestoreFiles *files, struct archive_entry *entry, int dir,
                      const char *name, GError **error)
{
    struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

    if (archive_entry_atime_is_set(entry))
        times[0] = (struct timespec){ archive_entry_atime(entry), archive_entry_atime_nsec(entry) };
    if (archive_entry_mtime_is_set(entry))
        times[1] = (struct timespec){ archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) };
    return (name ? utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) : futimens(dir, times)) == 0 ||
           set_failed(files, error, "set the times of");
}

/* Of what @fd is open on, or of a name in the directory @dir; see berth_attribute_set(). */
static bool set_attributes(const BerthRestoreFiles *files, struct archive_entry *entry, int fd,
                           int dir, const char *file_name, bool late, GError **error)
{
    const char *name;
    const void *value;
    size_t size;

    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        g_autofree char *attribute = name ? berth_pax_attribute_name(name) : NULL;

        if (attribute && ((fd < 0 && fchdir(dir) < 0) ||
                          !berth_attribute_set(fd, file_name, attribute, value, size, late)))
            return set_failed(files, error, "set the attributes of");
    }
    return true;
}

/* As the owner: the bits that a change of owner takes away, and only the owner may give. */
static bool set_mode_as_owner(const BerthRestoreFiles *files, struct archive_entry *entry, int fd,
                              GError **error)
{
    int r, err;

    if (files->actor->uid == 0) {
        setfsgid(gid_of(entry));
        setfsuid(uid_of(entry));
    }
    r = fchmod(fd, archive_entry_perm(entry) & 07777);
    err = errno;
    if (files->actor->uid == 0) {
        setfsuid(0);
        setfsgid(0);
    }
    errno = err;
    return r == 0 || set_failed(files, error, "set the permissions of");
}

/*
 * Everything that a file or directory that is open gets besides its data. It was made with the mode
 * @made, which a default ACL can have narrowed.
 */
static bool settle(const BerthRestoreFiles *files, struct archive_entry *entry, int fd, mode_t made,
                   GError **error)
{
    mode_t mode = archive_entry_perm(entry) & 07777;
    struct stat st;

    if (mode != made && fchmod(fd, mode) < 0)
        return set_failed(files, error, "set the permissions of");
    if (!set_attributes(files, entry, fd, -1, NULL, false, error) ||
        !set_times(files, entry, fd, NULL, error))
        return false;
    if (fstat(fd, &st) < 0)
        return set_failed(files, error, "look at");
    if (st.st_uid != uid_of(entry) || st.st_gid != gid_of(entry) || (st.st_mode & 07777) != mode) {
        if (fchown(fd, uid_of(entry), gid_of(entry)) < 0)
            return set_failed(files, error, "set the owner of");
        if (fstat(fd, &st) < 0)
            return set_failed(files, error, "look at");
        if ((st.st_mode & 07777) != mode && !set_mode_as_owner(files, entry, fd, error))
            return false;
    }
    return set_attributes(files, entry, fd, -1, NULL, true, error);
}

/* The last directory of the stack is left. */
static bool leave(BerthRestoreFiles *files, GError **error)
{
    guint last = files->stack->len - 1;
    Directory *directory = &g_array_index(files->stack, Directory, last);
    bool ok = !directory->entry || settle(files, directory->entry, directory->fd, 0700, error);

    g_array_set_size(files->stack, last);
    return ok;
}

static int directory_fd(const BerthRestoreFiles *files)
{
    return g_array_index(files->stack, Directory, files->stack->len - 1).fd;
}

static bool check_name(const BerthRestoreFiles *files, const char *name, GError **error)
{
    return berth_snapshot_name_is_valid(name) ||
           set_invalid(files, error, "has a name that no file in a directory has");
}

/*
 * Leaves the directories that @parts (without the last) do not lie in; the others must be open.
 */
static bool go_to(BerthRestoreFiles *files, char **parts, guint n, GError **error)
{
    guint same = 0;

    while (same < files->stack->len && same < n - 1 &&
           g_str_equal(g_array_index(files->stack, Directory, same).name, parts[same]))
        same++;
    while (files->stack->len > same)
        if (!leave(files, error))
            return false;
    return same == n - 1 ||
           set_invalid(files, error, "does not follow the directory that it lies in");
}

/* Returns: (transfer full): the name that the member gets for now. */
static char *name_for_now(BerthRestoreFiles *files, const char *name, GError **error)
{
    g_autofree char *record = NULL;
    guint number;

    if (files->stack->len > 1)
        return g_strdup(name);
    number = g_hash_table_size(files->top);
    if (!g_hash_table_insert(files->top, g_strdup(name), GUINT_TO_POINTER(number))) {
        set_invalid(files, error, "is there twice");
        return NULL;
    }
    record = g_strdup_printf("%u=%s", number, name);
    berth_restore_log_collect(files->records, BERTH_LOG_FILE, record);
    if (files->records->len > RECORDS_MAX &&
        !berth_restore_log_add_all(files->log, files->records, error))
        return NULL;
    return g_strdup_printf("%s%u", files->prefix, number);
}

static bool make_directory(BerthRestoreFiles *files, const char *last, const char *name,
                           struct archive_entry *entry, GError **error)
{
    int dir = directory_fd(files);
    Directory directory = { .fd = -1 };

    if (files->stack->len >= DEPTH_MAX)
        return set_invalid(files, error, "lies too deep in directories");
    if (mkdirat(dir, name, 0700) < 0)
        return set_failed(files, error, "make");
    directory.fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory.fd < 0)
        return set_failed(files, error, "open");
    directory.entry = archive_entry_clone(entry);
    g_array_append_val(files->stack, directory);
    g_array_index(files->stack, Directory, files->stack->len - 1).name = g_strdup(last);
    return true;
}

/* @end: (out): where the last data ended. */
static bool write_data(const BerthRestoreFiles *files, int fd, BerthRestoreReader *reader,
                       uint64_t *end, GError **error)
{
    while (true) {
        const char *data;
        uint64_t offset;
        size_t length;

        if (!berth_restore_reader_block(reader, (const void **)&data, &length, &offset, error))
            return false;
        if (length == 0)
            return true;
        while (length > 0) {
            ssize_t n = pwrite(fd, data, length, (off_t)offset);

            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return set_failed(files, error, "write");
            data += n;
            offset += (uint64_t)n;
            length -= (size_t)n;
        }
        *end = offset;
    }
}

static bool make_file(const BerthRestoreFiles *files, const char *name, struct archive_entry *entry,
                      BerthRestoreReader *reader, GError **error)
{
    BERTH_AUTO_FD fd = openat(directory_fd(files), name,
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    uint64_t end = 0;

    if (fd < 0)
        return set_failed(files, error, "make");
    if (!write_data(files, fd, reader, &end, error))
        return false;
    if (end != (uint64_t)archive_entry_size(entry) && /* a hole at its end */
        ftruncate(fd, archive_entry_size(entry)) < 0)
        return set_failed(files, error, "write");
    return settle(files, entry, fd, 0600, error);
}

/* A FIFO or symbolic link: by name, since it cannot be opened; its owner comes last. */
static bool make_node(const BerthRestoreFiles *files, const char *name, struct archive_entry *entry,
                      GError **error)
{
    bool link = archive_entry_filetype(entry) == AE_IFLNK;
    const char *target = link ? archive_entry_symlink(entry) : NULL;
    int dir = directory_fd(files);

    if (link && !target)
        target = archive_entry_symlink_utf8(entry);
    if (link && (!target || !*target))
        return set_invalid(files, error, "is a symbolic link to nothing");
    if ((link ? symlinkat(target, dir, name) : mknodat(dir, name, S_IFIFO | 0600, 0)) < 0)
        return set_failed(files, error, "make");
    if (!link && fchmodat(dir, name, archive_entry_perm(entry) & 0777, 0) < 0)
        return set_failed(files, error, "set the permissions of");
    if (!set_attributes(files, entry, -1, dir, name, false, error) ||
        !set_times(files, entry, dir, name, error))
        return false;
    return fchownat(dir, name, uid_of(entry), gid_of(entry), AT_SYMLINK_NOFOLLOW) == 0 ||
           set_failed(files, error, "set the owner of");
}

/* Opens the directory in which @parts lie. */
static int open_parent(const BerthRestoreFiles *files, char **parts, guint n)
{
    int dir = openat(files->shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (guint i = 1; dir >= 0 && i + 1 < n; i++) {
        BERTH_AUTO_FD above = dir;
        g_autofree char *name = NULL;

        name = i > 1 ? g_strdup(parts[i])
                     : g_strdup_printf("%s%u", files->prefix,
                                       GPOINTER_TO_UINT(g_hash_table_lookup(files->top, parts[i])));
        dir = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    return dir;
}

/* Another name of a file that is there already. */
static bool make_link(const BerthRestoreFiles *files, const char *name, const char *target,
                      GError **error)
{
    g_auto(GStrv) parts = g_strsplit(target, "/", -1);
    guint n = g_strv_length(parts);
    g_autofree char *last = NULL;
    BERTH_AUTO_FD parent = -1;

    if (berth_is_left_out(files->leave_out, target)) {
        g_autofree char *quoted = berth_quote(files->path);

        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "%s is another name of a file that LeaveOut names; name it too",
                               quoted);
    }
    if (n < 2 || !g_str_equal(parts[0], BERTH_SNAPSHOT_SHM) ||
        (!g_hash_table_contains(files->top, parts[1])))
        return set_invalid(files, error, "is a link to a file that is not before it");
    for (guint i = 1; i < n; i++)
        if (!check_name(files, parts[i], error))
            return false;
    parent = open_parent(files, parts, n);
    last = n > 2 ? g_strdup(parts[n - 1])
                 : g_strdup_printf("%s%u", files->prefix,
                                   GPOINTER_TO_UINT(g_hash_table_lookup(files->top, parts[1])));
    if (parent < 0 || linkat(parent, last, directory_fd(files), name, 0) < 0)
        return errno == ENOENT
                   ? set_invalid(files, error, "is a link to a file that is not before it")
                   : set_failed(files, error, "link");
    return true;
}

static bool make(BerthRestoreFiles *files, const char *last, struct archive_entry *entry,
                 BerthRestoreReader *reader, GError **error)
{
    const char *target = archive_entry_hardlink(entry);
    g_autofree char *name = NULL;

    if (!check_owner(files, entry, error))
        return false;
    name = name_for_now(files, last, error);
    if (!name)
        return false;
    if (!target)
        target = archive_entry_hardlink_utf8(entry);
    if (target)
        return make_link(files, name, target, error);
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return make_directory(files, last, name, entry, error);
    case AE_IFREG:
        return make_file(files, name, entry, reader, error);
    case AE_IFLNK:
    case AE_IFIFO:
        return make_node(files, name, entry, error);
    default:
        return set_invalid(files, error, "is neither file, directory, link nor FIFO");
    }
}

/* The shm itself, which is there: it gets its attributes when all is done. */
static bool begin(BerthRestoreFiles *files, struct archive_entry *entry, GError **error)
{
    Directory directory = { .fd = openat(files->shm, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

    if (directory.fd < 0)
        return set_failed(files, error, "open");
    g_array_append_val(files->stack, directory);
    g_array_index(files->stack, Directory, 0).name = g_strdup(BERTH_SNAPSHOT_SHM);
    if (!entry)
        return true;
    if (archive_entry_filetype(entry) != AE_IFDIR)
        return set_invalid(files, error, "is no directory");
    return berth_restore_top_note(directory.fd, files->log, files->actor, entry, error);
}

bool berth_restore_files_add(BerthRestoreFiles *files, const char *path,
                             struct archive_entry *entry, BerthRestoreReader *reader,
                             GError **error)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    guint n = g_strv_length(parts);

    files->path = path;
    if (n == 1)
        return files->stack->len == 0 && g_hash_table_size(files->top) == 0
                   ? begin(files, entry, error)
                   : set_invalid(files, error, "comes too late");
    for (guint i = 1; i < n; i++)
        if (!check_name(files, parts[i], error))
            return false;
    if (files->stack->len == 0 && !begin(files, NULL, error))
        return false;
    return go_to(files, parts, n, error) && make(files, parts[n - 1], entry, reader, error);
}

bool berth_restore_files_finish(BerthRestoreFiles *files, GError **error)
{
    files->path = BERTH_SNAPSHOT_SHM;
    while (files->stack->len > 0)
        if (!leave(files, error))
            return false;
    return berth_restore_log_add_all(files->log, files->records, error);
}
