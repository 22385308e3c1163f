/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the grammars of what callers write (modes, sizes, percentages, names, references)
 * and the quoting of it in messages. Any input may be refused; what must hold is written as
 * assertions.
 */

#include "base/error.h"
#include "base/mode.h"
#include "base/names.h"
#include "base/size.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOTAL (UINT64_C(1) << 43)

/* A function that fails sets an error which can be sent over the bus, one that succeeds sets none.
 */
static void check(bool ok, int code, GError *error)
{
    g_assert(ok == (error == NULL));
    if (!error)
        return;
    g_assert(error->domain == BERTH_ERROR && error->code == code);
    g_assert(g_utf8_validate(error->message, -1, NULL));
    g_assert(!strchr(error->message, '\n'));
    g_assert(strlen(error->message) < 600);
    g_error_free(error);
}

static void try_mode(const char *text)
{
    GError *error = NULL;
    BerthIpcMode mode;
    const char *donor;
    bool ok = berth_ipc_mode_parse(text, &mode, &donor, &error);

    check(ok, BERTH_ERROR_INVALID_MODE, error);
    if (ok && mode == BERTH_IPC_MODE_CONTAINER)
        g_assert(donor == text + strlen("container:"));
    else if (ok)
        g_assert(!donor && g_str_equal(berth_ipc_mode_to_string(mode), text));
}

static void try_size(const char *text)
{
    GError *error = NULL;
    uint64_t bytes = 0, again = 0;
    bool ok = berth_size_parse(text, &bytes, &error);

    check(ok, BERTH_ERROR_INVALID_SIZE, error);
    if (ok) {
        g_autofree char *plain = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
        g_autofree char *shown = berth_size_format(bytes);

        g_assert(bytes <= INT64_MAX && shown[0]);
        g_assert(berth_size_parse(plain, &again, NULL) && again == bytes);
    }

    error = NULL;
    ok = berth_size_or_percent_parse(text, TOTAL, &bytes, &error);
    check(ok, BERTH_ERROR_INVALID_SIZE, error);
    if (ok && g_str_has_suffix(text, "%"))
        g_assert(bytes <= TOTAL);
}

static void try_names(const char *text)
{
    GError *error = NULL;
    BerthSandboxRef ref;
    bool ok = berth_name_check(text, &error);

    check(ok, BERTH_ERROR_INVALID_NAME, error);
    if (ok)
        g_assert(strlen(text) <= BERTH_NAME_LENGTH && !strchr(text, '/') && text[0] != '.' &&
                 !berth_id_is_valid(text));

    error = NULL;
    ok = berth_sandbox_ref_parse(text, &ref, &error);
    check(ok, BERTH_ERROR_INVALID_NAME, error);
    if (ok) {
        g_assert(ref.text >= text && ref.text <= text + strlen(text));
        g_assert(ref.kind == BERTH_REF_ID ? berth_id_is_valid(ref.text)
                                          : berth_name_check(ref.text, NULL));
        g_assert(ref.uid != (uid_t)-1);
    }
}

static void try_quote(const char *text)
{
    g_autofree char *quoted = berth_quote(text);

    g_assert(g_utf8_validate(quoted, -1, NULL));
    g_assert(strlen(quoted) <= 200 + strlen("…"));
    for (const char *p = quoted; *p; p = g_utf8_next_char(p))
        g_assert(g_unichar_isprint(g_utf8_get_char(p)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    try_mode(text);
    try_size(text);
    try_names(text);
    try_quote(text);
    return 0;
}
