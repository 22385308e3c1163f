/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: index.json of a store, whoever wrote it. What is taken has the same entries however
 * it is read, and can be changed: some lines go, an entry comes, and the result is in our own form
 * and has exactly what it should.
 */

#include "base/error.h"
#include "base/json.h"
#include "oci/index-file.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#define ADDED "{\"annotations\":{\"" BERTH_ANNOTATION_NAME "\":\"h.example/a:1\"}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static BerthIndexFile *parse(const void *data, size_t size, bool strict)
{
    g_autoptr(GError) error = NULL;
    char *text = g_malloc(size + 1);
    BerthIndexFile *file;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    file = berth_index_file_parse(text, size, strict, &error);
    g_assert(!file == !!error);
    if (error) {
        g_assert(error->code == BERTH_ERROR_STORE_CORRUPT);
        g_assert(g_utf8_validate(error->message, -1, NULL) && !strchr(error->message, '\n'));
    }
    return file;
}

/* Of a file that was read strictly: all entries, in one array. */
static json_t *entries_of(const BerthIndexFile *file)
{
    json_t *entries = json_array();
    BerthIndexLine line = { 0 };

    while (berth_index_file_next(file, &line)) {
        g_autoptr(GError) error = NULL;
        json_t *entry = berth_index_file_entry(file, &line, &error);

        if (!entry) { /* more than one entry may hold */
            g_assert(error->code == BERTH_ERROR_STORE_CORRUPT);
            json_decref(entries);
            return NULL;
        }
        json_array_append_new(entries, entry);
    }
    return entries;
}

/* Lets every second line go and one come. */
static void change(const BerthIndexFile *file, const json_t *entries)
{
    g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(BerthIndexLine));
    g_autoptr(GPtrArray) in = g_ptr_array_new();
    g_autoptr(GArray) pieces = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(BerthIndexFile) changed = NULL;
    g_autoptr(json_t) wanted = json_array(), found = NULL;
    BerthIndexLine line = { 0 };

    for (size_t i = 0; berth_index_file_next(file, &line); i++)
        if (i % 2)
            g_array_append_val(out, line);
        else
            json_array_append(wanted, json_array_get(entries, i));
    if (out->len > 0) {
        g_ptr_array_add(in, (char *)ADDED);
        json_array_append_new(wanted, json_loads(ADDED, 0, NULL));
    }
    pieces = berth_index_file_pieces(file, out, in);
    for (guint i = 0; i < pieces->len; i++) {
        const struct iovec *piece = &g_array_index(pieces, struct iovec, i);

        g_string_append_len(text, piece->iov_base, (gssize)piece->iov_len);
    }
    g_assert(g_str_has_prefix(text->str, BERTH_INDEX_FILE_HEAD));
    changed = parse(text->str, text->len, true);
    g_assert(changed);
    found = entries_of(changed);
    g_assert(found && json_equal(found, wanted));
    line = (BerthIndexLine){ 0 };
    g_assert(berth_index_file_next_named(changed, "h.example/a:1", &line) || out->len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(BerthIndexFile) strict = parse(data, size, true);
    g_autoptr(BerthIndexFile) quick = parse(data, size, false);
    g_autoptr(json_t) entries = strict ? entries_of(strict) : NULL;
    g_autoptr(json_t) quick_entries = quick ? entries_of(quick) : NULL;
    BerthIndexLine line = { 0 };

    g_assert(quick || !strict);
    if (quick)
        while (berth_index_file_next_with(quick, "\"a\"", &line) ||
               berth_index_file_next_named(quick, "a", &line))
            g_assert(line.begin >= quick->begin && line.next > line.begin &&
                     line.next <= quick->end);
    if (!entries)
        return 0;
    /* a line that is none is only found when it is read; then all is read again */
    if (quick_entries)
        g_assert(json_equal(entries, quick_entries));
    change(strict, entries);
    return 0;
}
