/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fetching documents: that nobody is called back before he knows what he has begun.
 */

#include "base/error.h"
#include "transfer/fetch-document.h"

typedef struct {
    sd_event *event;
    BerthDocumentFetch *fetch;
    unsigned calls;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    sd_event_unref(f->event);
}

static void on_document(BerthDocument *document, const GError *error, void *userdata)
{
    Fixture *f = userdata;

    g_assert_nonnull(f->fetch);
    g_assert_null(document);
    g_assert_error((GError *)error, BERTH_ERROR, BERTH_ERROR_REGISTRY_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "latest"));
    f->calls++;
    sd_event_exit(f->event, 0);
}

static void test_nobody_serves(Fixture *f, gconstpointer unused)
{
    BerthSource source = { .serves = BERTH_MIRRORS_FOR_DIGESTS };
    g_autoptr(GPtrArray) sources = g_ptr_array_new();
    BerthReader reader = { .event = f->event, .sources = sources };

    g_ptr_array_add(sources, &source);
    f->fetch = berth_document_fetch(&reader, "latest", NULL, on_document, f);
    g_assert_cmpuint(f->calls, ==, 0);
    g_assert_cmpint(sd_event_loop(f->event), ==, 0);
    g_assert_cmpuint(f->calls, ==, 1);
}

static void test_cancelled(Fixture *f, gconstpointer unused)
{
    BerthSource source = { .serves = BERTH_MIRRORS_FOR_DIGESTS };
    g_autoptr(GPtrArray) sources = g_ptr_array_new();
    BerthReader reader = { .event = f->event, .sources = sources };

    g_ptr_array_add(sources, &source);
    berth_document_fetch_cancel(berth_document_fetch(&reader, "latest", NULL, on_document, f));
    g_assert_cmpint(sd_event_run(f->event, 0), ==, 0);
    g_assert_cmpuint(f->calls, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/fetch-document/nobody-serves", Fixture, NULL, set_up, test_nobody_serves,
               tear_down);
    g_test_add("/fetch-document/cancelled", Fixture, NULL, set_up, test_cancelled, tear_down);
    return g_test_run();
}
