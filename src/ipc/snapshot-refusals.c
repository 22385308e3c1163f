/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refusals: whatever a snapshot cannot keep is refused by name before anything is touched, unless
 * the caller said to leave it out. The names are those of the members of the archive, so that what
 * was refused can be repeated in LeaveOut. They come from the programs in the sandbox, and are
 * quoted.
 */

#include "ipc/snapshot-refusals.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

#define NAMED_MAX 8 /* of how many an error gives the names */

void berth_refusals_clear(BerthRefusals *refusals)
{
    if (refusals->text)
        g_string_free(refusals->text, TRUE);
    refusals->text = NULL;
}

bool berth_is_left_out(const char *const *leave_out, const char *name)
{
    for (; leave_out && *leave_out; leave_out++) {
        size_t length = strlen(*leave_out);

        if (length > 0 && strncmp(*leave_out, name, length) == 0 &&
            (name[length] == '\0' || name[length] == '/'))
            return true;
    }
    return false;
}

bool berth_refuse(BerthRefusals *refusals, int code, const char *name, const char *why)
{
    g_autofree char *quoted = berth_quote(name);

    if (berth_is_left_out(refusals->leave_out, name))
        return false;
    /* what can never be kept is the answer; that something else is busy is not worth a try then */
    if (refusals->n++ == 0 || code != BERTH_ERROR_SANDBOX_BUSY)
        refusals->code = code;
    if (!refusals->text)
        refusals->text = g_string_new(NULL);
    if (refusals->n <= NAMED_MAX)
        g_string_append_printf(refusals->text, "%s%s: %s", refusals->n > 1 ? "; " : "", quoted,
                               why);
    return true;
}

bool berth_refusals_check(const BerthRefusals *refusals, GError **error)
{
    if (refusals->n == 0)
        return true;
    if (refusals->n > NAMED_MAX)
        return berth_set_error(error, refusals->code,
                               "a snapshot cannot keep %s; and %u more; name them in LeaveOut to "
                               "go on without them",
                               refusals->text->str, refusals->n - NAMED_MAX);
    return berth_set_error(error, refusals->code,
                           "a snapshot cannot keep %s; name it in LeaveOut to go on without it",
                           refusals->text->str);
}
