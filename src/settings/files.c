/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which settings files apply, in which order, and their contents. The directories belong to the
 * administrator, so links in them are followed. It must never block (a FIFO or a device in the
 * place of a file is an error) and never read without a bound.
 */

#include "settings/files.h"

#include "base/error.h"
#include "base/fd.h"
#include "settings/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SUFFIX ".conf"

static void closedir_cleanup(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* What messages call @path: they go over D-Bus, which takes UTF-8 only. */
static char *display_path(const char *path)
{
    return g_utf8_make_valid(path, -1);
}

static bool path_error(GError **error, const char *path, int err, const char *what)
{
    g_autofree char *shown = display_path(path);

    return berth_set_error_errno(error, BERTH_ERROR_SETTINGS_INVALID, err, "%s: %s", shown, what);
}

bool berth_settings_files_main(const char *const *directories, const char *name, GPtrArray *paths,
                               GError **error)
{
    for (; *directories; directories++) {
        g_autofree char *path = g_build_filename(*directories, name, NULL);
        struct stat st;

        /* not followed: a dangling link is there, and reading it says what is wrong with it */
        if (lstat(path, &st) == 0) {
            g_ptr_array_add(paths, g_steal_pointer(&path));
            return true;
        }
        if (errno != ENOENT)
            return path_error(error, path, errno, "cannot look for settings");
    }
    return true;
}

/* Adds to @names, name → path, what it does not have yet. */
static bool list_directory(const char *directory, GHashTable *names, GError **error)
{
    __attribute__((cleanup(closedir_cleanup))) DIR *dir = opendir(directory);
    struct dirent *entry;

    if (!dir)
        return errno == ENOENT ||
               path_error(error, directory, errno, "cannot read the directory of settings");

    while (errno = 0, (entry = readdir(dir))) {
        const char *name = entry->d_name;

        if (name[0] == '.' || !g_str_has_suffix(name, SUFFIX) || g_hash_table_contains(names, name))
            continue;
        g_hash_table_insert(names, g_strdup(name), g_build_filename(directory, name, NULL));
    }
    if (errno)
        return path_error(error, directory, errno, "cannot read the directory of settings");
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

bool berth_settings_files_dropins(const char *const *directories, const char *name,
                                  GPtrArray *paths, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GList) sorted = NULL;

    for (; *directories; directories++) {
        g_autofree char *directory = g_build_filename(*directories, name, NULL);

        if (!list_directory(directory, names, error))
            return false;
    }
    sorted = g_list_sort(g_hash_table_get_keys(names), compare_names);
    for (GList *l = sorted; l; l = l->next)
        g_ptr_array_add(paths, g_strdup(g_hash_table_lookup(names, l->data)));
    return true;
}

static bool is_dev_null(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/*
 * Opens @path for reading. @fd stays -1 when it is masked or gone. O_NONBLOCK: opening a FIFO must
 * not wait for its writer.
 */
static bool open_file(const char *path, int *fd, GError **error)
{
    BERTH_AUTO_FD opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int err = errno;
    struct stat st;

    if (opened < 0 && err == ENOENT)
        return lstat(path, &st) < 0 || path_error(error, path, err, "link to a missing file");
    if (opened < 0 && err != ENXIO) /* a socket gives ENXIO */
        return path_error(error, path, err, "cannot open the settings file");
    if (opened >= 0 && fstat(opened, &st) < 0)
        return path_error(error, path, errno, "cannot inspect the settings file");
    if (opened >= 0 && is_dev_null(&st))
        return true;
    if (opened < 0 || !S_ISREG(st.st_mode)) {
        g_autofree char *shown = display_path(path);

        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "%s: not a regular file; remove it or put a file in its place",
                               shown);
    }
    *fd = berth_steal_fd(&opened);
    return true;
}

bool berth_settings_files_read(const char *path, GPtrArray *lines, GError **error)
{
    g_autofree char *shown = display_path(path);
    g_autofree char *text = NULL;
    BERTH_AUTO_FD fd = -1;
    size_t length = 0;

    if (!open_file(path, &fd, error))
        return false;
    if (fd < 0)
        return true;

    /* one byte more than allowed, so that the reader sees that there is more */
    text = g_malloc(BERTH_SETTINGS_FILE_MAX + 1);
    while (length < BERTH_SETTINGS_FILE_MAX + 1) {
        ssize_t n = read(fd, text + length, BERTH_SETTINGS_FILE_MAX + 1 - length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return path_error(error, path, errno, "cannot read the settings file");
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return berth_settings_read_text(shown, text, length, lines, error);
}
