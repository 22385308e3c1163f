/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of sandboxes: what is written is read back, what an older version left out has its
 * meaning, and what is damaged is refused rather than guessed.
 */

#include "base/error.h"
#include "daemon/sandbox.h"

#include <string.h>

#define ID    "0123456789abcdef0123456789abcdef"
#define OTHER "ffffffffffffffffffffffffffffffff"

static BerthSandbox *reread(const BerthSandbox *sandbox)
{
    g_autofree char *record = berth_sandbox_to_record(sandbox);
    g_autoptr(GError) error = NULL;
    BerthSandbox *copy = berth_sandbox_from_record(sandbox->id, record, &error);

    g_assert_no_error(error);
    return copy;
}

static BerthSandbox *example(void)
{
    BerthSandbox *sandbox = berth_sandbox_new();

    g_strlcpy(sandbox->id, ID, sizeof(sandbox->id));
    g_strlcpy(sandbox->contents->base, ID, sizeof(sandbox->contents->base));
    sandbox->mode = BERTH_IPC_MODE_SHAREABLE;
    return sandbox;
}

static void test_everything(void)
{
    static const uint32_t ids[] = { 1000, 4294967294u };
    g_autoptr(BerthSandbox) sandbox = example();
    g_autoptr(BerthSandbox) copy = NULL;

    sandbox->name = g_strdup("demo");
    sandbox->owner = 1000;
    sandbox->created_usec = UINT64_C(1795449183483000);
    sandbox->published = true;
    sandbox->huge = g_strdup("advise");
    sandbox->numa = g_strdup("bind:0,2-3");
    sandbox->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(sandbox->labels, g_strdup("a;b\n[c]"), g_strdup(" =\\;ü\t"));
    g_hash_table_insert(sandbox->labels, g_strdup("empty"), g_strdup(""));
    sandbox->ids.users = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_array_append_vals(sandbox->ids.users, ids, G_N_ELEMENTS(ids));
    sandbox->lifetime = BERTH_LIFETIME_PROCESS;
    sandbox->pid = 77;
    sandbox->pid_start = 123456789;
    sandbox->contents->owner = 1000;
    sandbox->contents->shmall_set = true;
    sandbox->contents->sysv_limit = 65536;
    copy = reread(sandbox);

    g_assert_cmpstr(copy->name, ==, "demo");
    g_assert_cmpuint(copy->owner, ==, 1000);
    g_assert_cmpuint(copy->created_usec, ==, sandbox->created_usec);
    g_assert_true(copy->published);
    g_assert_cmpstr(copy->huge, ==, "advise");
    g_assert_cmpstr(copy->numa, ==, "bind:0,2-3");
    g_assert_cmpuint(g_hash_table_size(copy->labels), ==, 2);
    g_assert_cmpstr(g_hash_table_lookup(copy->labels, "a;b\n[c]"), ==, " =\\;ü\t");
    g_assert_cmpstr(g_hash_table_lookup(copy->labels, "empty"), ==, "");
    g_assert_true(berth_ids_contain(copy->ids.users, 1000));
    g_assert_true(berth_ids_contain(copy->ids.users, 4294967294u));
    g_assert_null(copy->ids.groups);
    g_assert_cmpint(copy->lifetime, ==, BERTH_LIFETIME_PROCESS);
    g_assert_cmpint(copy->pid, ==, 77);
    g_assert_cmpuint(copy->pid_start, ==, 123456789);
    g_assert_cmpuint(copy->contents->owner, ==, 1000);
    g_assert_true(copy->contents->shmall_set);
    g_assert_cmpuint(copy->contents->sysv_limit, ==, 65536);
    g_assert_cmpint(copy->contents->wd, ==, -1);
}

static void test_handed_over(void)
{
    g_autoptr(BerthSandbox) sandbox = example();
    g_autoptr(BerthSandbox) copy = NULL;

    sandbox->mode = BERTH_IPC_MODE_PRIVATE;
    sandbox->state = BERTH_SANDBOX_HANDED_OVER;
    sandbox->contents->wd = 3;
    sandbox->contents->info = (BerthSlotInfo){ 4026532000, 0x2d, 67108864, 16384 };
    copy = reread(sandbox);

    g_assert_cmpint(copy->state, ==, BERTH_SANDBOX_HANDED_OVER);
    g_assert_cmpint(copy->contents->wd, ==, 3);
    g_assert_cmpuint(copy->contents->info.namespace_id, ==, 4026532000);
    g_assert_cmpuint(copy->contents->info.shm_device, ==, 0x2d);
    g_assert_cmpuint(copy->contents->info.shm_size, ==, 67108864);
    g_assert_cmpuint(copy->contents->info.shm_inodes, ==, 16384);
}

static void test_joiner(void)
{
    g_autoptr(BerthSandbox) sandbox = example();
    g_autoptr(BerthSandbox) copy = NULL;

    sandbox->mode = BERTH_IPC_MODE_CONTAINER;
    g_strlcpy(sandbox->donor, OTHER, sizeof(sandbox->donor));
    g_strlcpy(sandbox->contents->base, OTHER, sizeof(sandbox->contents->base));
    copy = reread(sandbox);

    g_assert_cmpstr(copy->donor, ==, OTHER);
    g_assert_cmpstr(copy->contents->base, ==, OTHER);
}

/* A record of an older version has no mode: it means shareable, really so. */
static void test_without_mode(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthSandbox) sandbox =
        berth_sandbox_from_record(ID, "[Sandbox]\nName=old\nOwner=0\n", &error);

    g_assert_no_error(error);
    g_assert_cmpint(sandbox->mode, ==, BERTH_IPC_MODE_SHAREABLE);
    g_assert_cmpint(sandbox->state, ==, BERTH_SANDBOX_READY);
    g_assert_cmpint(sandbox->lifetime, ==, BERTH_LIFETIME_EXPLICIT);
    g_assert_cmpstr(sandbox->contents->base, ==, ID);
}

static void test_damaged(void)
{
    static const char *const records[] = {
        "no key file",
        "[Sandbox]\nMode=sharable\n",
        "[Sandbox]\nState=gone\n",
        "[Sandbox]\nLifetime=forever\n",
        "[Sandbox]\nDonor=../../etc\n",
        "[Sandbox]\nBase=\n",
        "[Sandbox]\nName=../x\n",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(records); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(berth_sandbox_from_record(ID, records[i], &error));
        g_assert_nonnull(error);
        g_assert_true(error->domain == BERTH_ERROR);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/everything", test_everything);
    g_test_add_func("/record/handed-over", test_handed_over);
    g_test_add_func("/record/joiner", test_joiner);
    g_test_add_func("/record/without-mode", test_without_mode);
    g_test_add_func("/record/damaged", test_damaged);
    return g_test_run();
}
