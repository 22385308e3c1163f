/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of images in the store share: what is found, what is listed, and whether the index
 * is in our own form.
 */

#include "oci/index-file.h"
#include "store-fixture.h"

#define HEAD "{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[\n"
#define ABC  "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DEF  "sha256:cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34"

static inline BerthImage *find(Fixture *f, const char *name)
{
    g_autoptr(GError) error = NULL;
    BerthImage *image = berth_store_find(f->store, name, &error);

    g_assert_no_error(error);
    return image;
}

static inline void assert_absent(Fixture *f, const char *name)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(berth_store_find(f->store, name, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_NO_SUCH_IMAGE);
    g_assert_nonnull(strstr(error->message, name));
}

/* What is listed, as `REFERENCE OWNER...` lines. */
static inline char *list(Fixture *f, const char *prefix)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = berth_store_list(f->store, prefix, &error);
    GString *text = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < images->len; i++) {
        const BerthImage *image = images->pdata[i];

        g_string_append(text, image->reference ? image->reference : "-");
        for (guint o = 0; o < image->owners->len; o++)
            g_string_append_printf(text, " %u", g_array_index(image->owners, uid_t, o));
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

static inline void assert_list(Fixture *f, const char *prefix, const char *wanted)
{
    g_autofree char *text = list(f, prefix);

    g_assert_cmpstr(text, ==, wanted);
}

/* The index is in our form, and JSON. */
static inline void assert_own_form(Fixture *f)
{
    g_autofree char *text = read_file(f, "index.json");
    json_auto_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    g_assert_nonnull(root);
    g_assert_true(g_str_has_prefix(text, HEAD));
    g_assert_cmpuint(count_in_ingest(f, "tmp-"), ==, 0);
}
