/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blobs on their way in: small and large, resumed, restarted, wrong, too long, waiting for each
 * other, and what is left in ingest/ each time.
 */

#include "store-fixture.h"

#include <sys/file.h>

#define SMALL 1000
#define LARGE (9 * 1024 * 1024 + 77)

static char *partial_name(const BerthDigest *digest)
{
    return g_strconcat("ingest/sha256-", berth_digest_hex(digest), NULL);
}

static void assert_stored(Fixture *f, const BerthDigest *digest, size_t length)
{
    g_autofree char *name = partial_name(digest);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = berth_store_read_blob(f->store, digest, length, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, length);
    g_assert_false(file_exists(f, name));
}

static void ingest_all(Fixture *f, size_t length, size_t piece, bool size_known)
{
    g_autofree char *data = make_bytes(length, (unsigned)piece);
    BerthDigest digest = digest_of(data, length);
    Run run;

    start_run(f, f->store, &digest, size_known ? (int64_t)length : -1, false, &run);
    run_until(f, &run.ready);
    g_assert_false(run.present);
    g_assert_cmpuint(run.offset, ==, 0);
    feed(f, &run, data, length, piece);
    g_assert_cmpuint(berth_ingest_offset(run.ingest), ==, length);
    g_assert_false(run.done);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_no_error(run.error);
    g_assert_false(berth_ingest_resumed(run.ingest));
    end_run(&run);
    assert_stored(f, &digest, length);
}

static void test_whole(Fixture *f, gconstpointer unused)
{
    ingest_all(f, 0, 1, true);
    ingest_all(f, SMALL, 100, true);
    ingest_all(f, SMALL, SMALL, false);
    ingest_all(f, 256 * 1024, 1000, true);
    ingest_all(f, 512 * 1024, 512 * 1024, true);
    ingest_all(f, LARGE, 16000, true);
    ingest_all(f, LARGE + 1, 3000000, false);
}

static void test_many(Fixture *f, gconstpointer unused)
{
    enum { COUNT = 50 };
    Run runs[COUNT];
    char *data[COUNT];
    BerthDigest digests[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        data[i] = make_bytes(LARGE / 20, i);
        digests[i] = digest_of(data[i], LARGE / 20);
        start_run(f, f->store, &digests[i], LARGE / 20, false, &runs[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        run_until(f, &runs[i].ready);
    for (unsigned i = 0; i < COUNT; i++) {
        feed(f, &runs[i], data[i], LARGE / 20, 20000);
        berth_ingest_finish(runs[i].ingest);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        run_until(f, &runs[i].done);
        g_assert_no_error(runs[i].error);
        end_run(&runs[i]);
        assert_stored(f, &digests[i], LARGE / 20);
        g_free(data[i]);
    }
}

static void test_mismatch(Fixture *f, gconstpointer unused)
{
    g_autofree char *data = make_bytes(LARGE, 1);
    BerthDigest digest = digest_of(data, LARGE);
    g_autofree char *name = partial_name(&digest);
    Run run;

    data[LARGE / 2] ^= 1;
    start_run(f, f->store, &digest, LARGE, false, &run);
    run_until(f, &run.ready);
    feed(f, &run, data, LARGE, 100000);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_error(run.error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
    end_run(&run);
    g_assert_false(is_present(f->store, &digest));
    g_assert_false(file_exists(f, name));
}

static void test_too_long(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = digest_of("abc", 3);
    g_autoptr(GError) error = NULL;
    bool full;
    Run run;

    start_run(f, f->store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    g_assert_true(berth_ingest_write(run.ingest, "ab", 2, &full, NULL));
    g_assert_false(berth_ingest_write(run.ingest, "cd", 2, &full, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
    g_assert_cmpuint(berth_ingest_offset(run.ingest), ==, 2);
    end_run(&run);
}

/* The source ended early: that is no reason to throw anything away. */
static void test_too_short(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = digest_of("abc", 3);
    g_autofree char *name = partial_name(&digest);
    g_autofree char *text = NULL;
    bool full;
    Run run;

    start_run(f, f->store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    g_assert_true(berth_ingest_write(run.ingest, "ab", 2, &full, NULL));
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_error(run.error, BERTH_ERROR, BERTH_ERROR_FAILED);
    end_run(&run);
    text = read_file(f, name);
    g_assert_cmpstr(text, ==, "ab");
}

/* Begins a blob and lets go of it after @length bytes; the file is there when this returns. */
static void leave_partial(Fixture *f, uid_t uid, const BerthDigest *digest, int64_t size,
                          const char *data, size_t length)
{
    BerthStore *store = open_store(f, uid, 0);
    Run run;

    start_run(f, store, digest, size, false, &run);
    run_until(f, &run.ready);
    feed(f, &run, data, length, 30000);
    end_run(&run);
    berth_store_free(store); /* waits for its threads */
}

static void test_resume(Fixture *f, gconstpointer unused)
{
    static const size_t lengths[] = { 1, SMALL, 256 * 1024, LARGE / 2, LARGE };
    g_autofree char *data = make_bytes(LARGE, 1);
    BerthDigest digest = digest_of(data, LARGE);

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autofree char *name = berth_digest_path(&digest);
        g_autofree char *path = path_of(f, name);
        g_autofree char *partial = partial_name(&digest);
        g_autofree char *partial_path = path_of(f, partial);
        struct stat st;
        Run run;

        leave_partial(f, 0, &digest, LARGE, data, lengths[i]);
        g_assert_cmpint(stat(partial_path, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, lengths[i]);
        /* what was reserved for the rest is free again */
        g_assert_cmpint(st.st_blocks * 512, <, lengths[i] + 65536);
        start_run(f, f->store, &digest, LARGE, false, &run);
        run_until(f, &run.ready);
        g_assert_cmpuint(run.offset, ==, lengths[i]);
        feed(f, &run, data + lengths[i], LARGE - lengths[i], 100000);
        berth_ingest_finish(run.ingest);
        run_until(f, &run.done);
        g_assert_no_error(run.error);
        g_assert_true(berth_ingest_resumed(run.ingest));
        end_run(&run);
        assert_stored(f, &digest, LARGE);
        g_assert_cmpint(unlink(path), ==, 0);
    }
}

/* What an earlier try left is wrong: starting over within the same ingest helps. */
static void test_restart(Fixture *f, gconstpointer unused)
{
    g_autofree char *data = make_bytes(LARGE, 1), *wrong = make_bytes(LARGE, 2);
    BerthDigest digest = digest_of(data, LARGE);
    g_autoptr(GError) error = NULL;
    Run run;

    leave_partial(f, 0, &digest, LARGE, wrong, LARGE / 2);
    start_run(f, f->store, &digest, LARGE, false, &run);
    run_until(f, &run.ready);
    g_assert_cmpuint(run.offset, ==, LARGE / 2);
    feed(f, &run, wrong, LARGE / 3, 100000);
    g_assert_true(berth_ingest_restart(run.ingest, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(berth_ingest_offset(run.ingest), ==, 0);
    g_assert_false(berth_ingest_resumed(run.ingest));
    feed(f, &run, data, LARGE, 100000);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_no_error(run.error);
    end_run(&run);
    assert_stored(f, &digest, LARGE);
}

static void test_partial_too_long(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = digest_of("abc", 3);
    g_autofree char *name = partial_name(&digest);
    Run run;

    write_file(f, name, "abcd");
    start_run(f, f->store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    g_assert_cmpuint(run.offset, ==, 0);
    feed(f, &run, "abc", 3, 3);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_no_error(run.error);
    end_run(&run);
}

/* Whose download it is decides who goes on with it: else the end could be guessed. */
static void test_owner(Fixture *f, gconstpointer unused)
{
    static const struct {
        uid_t before, after;
        uint64_t offset;
    } cases[] = {
        { 0, 0, 2 }, { 1000, 1000, 2 }, { 0, 1000, 0 }, { 1001, 1000, 0 }, { 1000, 0, 2 }
    };
    BerthDigest digest = digest_of("abc", 3);
    g_autofree char *name = partial_name(&digest), *path = path_of(f, name);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        BerthStore *store;
        Run run;

        leave_partial(f, cases[i].before, &digest, 3, "ab", 2);
        store = open_store(f, cases[i].after, 0);
        start_run(f, store, &digest, 3, false, &run);
        run_until(f, &run.ready);
        g_assert_cmpuint(run.offset, ==, cases[i].offset);
        end_run(&run);
        berth_store_free(store);
        g_assert_cmpint(unlink(path), ==, 0);
    }

    /* root went on with it, so it is the user's no more */
    leave_partial(f, 1000, &digest, 3, "a", 1);
    leave_partial(f, 0, &digest, 3, "b", 1);
    leave_partial(f, 1000, &digest, 3, "", 0);
    g_assert_cmpuint(g_file_test(path, G_FILE_TEST_EXISTS), ==, true);
    g_autofree char *text = read_file(f, name);
    g_assert_cmpstr(text, ==, "");
}

static void test_present(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = put_text(f->store, "abc");
    g_autofree char *path = berth_digest_path(&digest), *name = partial_name(&digest);
    Run run;

    start_run(f, f->store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    g_assert_true(run.present);
    end_run(&run);
    g_assert_false(file_exists(f, name));

    /* damaged by another tool: downloaded again */
    write_file(f, path, "ab");
    start_run(f, f->store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    g_assert_false(run.present);
    feed(f, &run, "abc", 3, 3);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_no_error(run.error);
    end_run(&run);
    assert_stored(f, &digest, 3);
}

static void test_drop(Fixture *f, gconstpointer unused)
{
    static const char *const texts[] = { "abc", "abd" };
    BerthDigest digest = digest_of("abc", 3);
    g_autofree char *name = partial_name(&digest);

    for (int i = 0; i < 2; i++) {
        Run run;

        start_run(f, f->store, &digest, 3, true, &run);
        run_until(f, &run.ready);
        g_assert_false(run.present);
        feed(f, &run, texts[i], 3, 1);
        berth_ingest_finish(run.ingest);
        run_until(f, &run.done);
        if (i == 0)
            g_assert_no_error(run.error);
        else
            g_assert_error(run.error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
        end_run(&run);
        g_assert_false(is_present(f->store, &digest));
        g_assert_false(file_exists(f, name));
    }
}

/* The second waits for the first, and then there is nothing left to do. */
static void test_wait(Fixture *f, gconstpointer unused)
{
    g_autofree char *data = make_bytes(LARGE, 1);
    BerthDigest digest = digest_of(data, LARGE);
    g_autoptr(BerthStore) other = open_store(f, 0, 0);
    bool waited = false;
    Run first, second;

    start_run(f, f->store, &digest, LARGE, false, &first);
    run_until(f, &first.ready);
    start_run(f, other, &digest, LARGE, false, &second);
    feed(f, &first, data, LARGE, 100000);
    while (!waited) {
        g_assert_cmpint(sd_event_run(f->event, 10 * G_USEC_PER_SEC), >, 0);
        g_assert_false(second.ready);
        waited = second.waited > 0;
    }
    berth_ingest_finish(first.ingest);
    run_until(f, &second.ready);
    g_assert_true(second.present);
    run_until(f, &first.done);
    end_run(&first);
    end_run(&second);
    assert_stored(f, &digest, LARGE);
}

/* The first gives up: the second goes on where it stopped. */
static void test_take_over(Fixture *f, gconstpointer unused)
{
    g_autofree char *data = make_bytes(LARGE, 1);
    BerthDigest digest = digest_of(data, LARGE);
    g_autoptr(BerthStore) other = open_store(f, 0, 0);
    Run first, second;

    start_run(f, f->store, &digest, LARGE, false, &first);
    run_until(f, &first.ready);
    start_run(f, other, &digest, LARGE, false, &second);
    feed(f, &first, data, LARGE / 2, 100000);
    end_run(&first);
    run_until(f, &second.ready);
    g_assert_cmpuint(second.offset, ==, LARGE / 2);
    feed(f, &second, data + LARGE / 2, LARGE - LARGE / 2, 100000);
    berth_ingest_finish(second.ingest);
    run_until(f, &second.done);
    g_assert_no_error(second.error);
    end_run(&second);
    assert_stored(f, &digest, LARGE);
}

/* Waiting can be given up at any moment, and so can what has just been finished. */
static void test_free(Fixture *f, gconstpointer unused)
{
    g_autofree char *data = make_bytes(LARGE, 1);
    BerthDigest digest = digest_of(data, LARGE);
    BerthStore *other = open_store(f, 0, 0);
    Run first, second;

    start_run(f, f->store, &digest, LARGE, false, &first);
    start_run(f, other, &digest, LARGE, false, &second);
    end_run(&second);
    run_until(f, &first.ready);
    feed(f, &first, data, LARGE, 100000);
    berth_ingest_finish(first.ingest);
    end_run(&first);
    berth_store_free(other);
    berth_store_free(g_steal_pointer(&f->store));
    f->store = open_store(f, 0, 0);
    assert_stored(f, &digest, LARGE); /* finish() was told, so it is finished */
}

static void test_full(Fixture *f, gconstpointer unused)
{
    g_autoptr(BerthStore) store = open_store(f, 0, UINT64_MAX);
    BerthDigest digest = digest_of("abc", 3);
    g_autoptr(GError) error = NULL;
    Run run = { 0 };

    g_assert_null(
        berth_ingest_new(store, f->event, &digest, LARGE, false, &run_events, &run, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_FULL);

    /* one that looked small enough to try */
    start_run(f, store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    feed(f, &run, "abc", 3, 3);
    berth_ingest_finish(run.ingest);
    run_until(f, &run.done);
    g_assert_error(run.error, BERTH_ERROR, BERTH_ERROR_STORE_FULL);
    end_run(&run);
    g_assert_false(is_present(f->store, &digest));
}

/* A write that failed is told by a later one. */
static void test_full_later(Fixture *f, gconstpointer unused)
{
    g_autofree char *data = make_bytes(LARGE, 1);
    g_autoptr(BerthStore) store = open_store(f, 0, UINT64_MAX);
    BerthDigest digest = digest_of(data, LARGE);
    g_autoptr(GError) error = NULL;
    Run run;

    start_run(f, store, &digest, -1, false, &run);
    run_until(f, &run.ready);
    for (size_t at = 0;; at = (at + 100000) % (LARGE - 100000)) {
        bool full;

        if (!berth_ingest_write(run.ingest, data + at, 100000, &full, &error))
            break;
        if (full) {
            run_until(f, &run.room);
            run.room = false;
        }
    }
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_STORE_FULL);
    end_run(&run);
}

/* It is known before the blob can be found. */
static void test_origin(Fixture *f, gconstpointer unused)
{
    BerthDigest digest = digest_of("abc", 3);
    g_auto(GStrv) origins = NULL;
    Run run;

    start_run(f, f->store, &digest, 3, false, &run);
    run_until(f, &run.ready);
    feed(f, &run, "abc", 3, 3);
    berth_ingest_set_origin(run.ingest, "h.example/a");
    berth_ingest_finish(run.ingest);
    while (!is_present(f->store, &digest)) /* a thread puts it there */
        g_usleep(100);
    origins = berth_store_origins(f->store, &digest);
    g_assert_cmpstr(origins[0], ==, "h.example/a");
    run_until(f, &run.done);
    end_run(&run);
}

#define ADD(path, func) g_test_add("/ingest/" path, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("whole", test_whole);
    ADD("origin", test_origin);
    ADD("many", test_many);
    ADD("mismatch", test_mismatch);
    ADD("too-long", test_too_long);
    ADD("too-short", test_too_short);
    ADD("resume", test_resume);
    ADD("restart", test_restart);
    ADD("partial-too-long", test_partial_too_long);
    ADD("owner", test_owner);
    ADD("present", test_present);
    ADD("drop", test_drop);
    ADD("wait", test_wait);
    ADD("take-over", test_take_over);
    ADD("free", test_free);
    ADD("full", test_full);
    ADD("full-later", test_full_later);
    return g_test_run();
}
