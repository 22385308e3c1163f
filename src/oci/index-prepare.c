/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The next index.json, made early. With many images the file is large, and copying and syncing it
 * would be most of what a small pull takes; but all of it except the pulled image's line is known
 * when the pull begins. So a thread writes that while the network is waited for. It is used only
 * when index.json is still the very file that it was made from; else it is thrown away, and the
 * index is made as ever.
 */

#include "oci/index-prepare.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/json.h"
#include "oci/index-file.h"
#include "oci/store-internal.h"
#include "oci/threads.h"

#include <string.h>
#include <sys/uio.h>

struct BerthPrepared {
    BerthStore *store;
    char *name;
    GThread *thread; /* (nullable) */
    bool ready;      /* the rest is of use */
    int from;        /* index.json; as long as it is open, no other file has its inode */
    struct stat st;
    BerthTemporary file;
    GPtrArray *before; /* (element-type json_t) */
    bool any;          /* entry in the file */
    char *tail;        /* its last line */
};

/* Of @file: the lines that go, and what they say. */
static GArray *find_before(BerthPrepared *prepared, const BerthIndexFile *file)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
    BerthIndexLine line = { 0 };

    while (berth_index_file_next_named(file, prepared->name, &line)) {
        json_t *entry = berth_index_file_entry(file, &line, NULL);

        if (!entry) {
            g_array_unref(out);
            return NULL;
        }
        g_ptr_array_add(prepared->before, entry);
        g_array_append_val(out, line);
    }
    return out;
}

/* All but the last line and the line feed before it. */
static bool write_lines(BerthPrepared *prepared, const BerthIndexFile *file, const GArray *out)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GArray) pieces = berth_index_file_pieces(file, out, none);
    size_t total = 0;

    prepared->tail = g_strndup(file->text + file->end, file->length - file->end);
    g_array_set_size(pieces, pieces->len - 1); /* the last line is a piece of its own */
    prepared->any = pieces->len > 1 ||
                    g_array_index(pieces, struct iovec, 0).iov_len > strlen(BERTH_INDEX_FILE_HEAD);
    if (prepared->any) /* and so is the line feed */
        g_array_set_size(pieces, pieces->len - 1);
    for (guint i = 0; i < pieces->len; i++)
        total += g_array_index(pieces, struct iovec, i).iov_len;
    if (total > BERTH_INDEX_FILE_MAX / 2 || !berth_store_claim(prepared->store, total, NULL))
        return false;
    for (guint i = 0; i < pieces->len; i++) {
        const struct iovec *piece = &g_array_index(pieces, struct iovec, i);

        if (!berth_store_write(prepared->file.fd, piece->iov_base, piece->iov_len, NULL))
            return false;
    }
    return !prepared->store->durable || fsync(prepared->file.fd) == 0;
}

static gpointer prepare(gpointer data)
{
    BerthPrepared *prepared = data;
    g_autoptr(BerthIndexFile) file = NULL;
    g_autoptr(GArray) out = NULL;

    prepared->from = berth_store_openat(prepared->store->root, BERTH_STORE_INDEX, O_RDONLY);
    if (prepared->from < 0 || fstat(prepared->from, &prepared->st) < 0)
        return NULL;
    file = berth_index_file_read(prepared->store, false, NULL);
    out = file ? find_before(prepared, file) : NULL;
    prepared->ready =
        out &&
        berth_temporary_make(prepared->store, BERTH_STORE_TEMPORARY, &prepared->file, NULL) &&
        write_lines(prepared, file, out);
    return NULL;
}

BerthPrepared *berth_prepared_new(BerthStore *store, const char *name)
{
    g_autoptr(BerthPrepared) prepared = g_new0(BerthPrepared, 1);

    prepared->store = store;
    prepared->name = g_strdup(name);
    prepared->from = prepared->file.fd = -1;
    prepared->before = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    prepared->thread = berth_thread_start("index", prepare, prepared);
    return prepared->thread ? g_steal_pointer(&prepared) : NULL;
}

static void wait_for(BerthPrepared *prepared)
{
    if (prepared->thread)
        (void)g_thread_join(g_steal_pointer(&prepared->thread));
}

void berth_prepared_free(BerthPrepared *prepared)
{
    if (!prepared)
        return;
    wait_for(prepared);
    berth_temporary_clear(&prepared->file);
    berth_close(prepared->from);
    g_ptr_array_unref(prepared->before);
    g_free(prepared->tail);
    g_free(prepared->name);
    g_free(prepared);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool berth_prepared_fits(BerthPrepared *prepared, const char *name)
{
    struct stat st;

    wait_for(prepared);
    return prepared->ready && g_str_equal(name, prepared->name) &&
           fstatat(prepared->store->root, BERTH_STORE_INDEX, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_same(&st, &prepared->st);
}

const GPtrArray *berth_prepared_before(const BerthPrepared *prepared)
{
    return prepared->before;
}

bool berth_prepared_use(BerthPrepared *prepared, const char *line, GError **error)
{
    g_autofree char *rest =
        g_strconcat(prepared->any ? ",\n" : "", line, "\n", prepared->tail, NULL);

    prepared->ready = false;
    return berth_store_claim(prepared->store, strlen(rest), error) &&
           berth_store_write(prepared->file.fd, rest, strlen(rest), error) &&
           berth_index_file_place(prepared->store, &prepared->file, error);
}
