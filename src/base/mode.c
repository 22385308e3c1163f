/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The grammar of IPC modes, shared by the settings, the daemon and the command line. It knows words
 * only: whether a donor exists or a mode is allowed is decided elsewhere. The text of the error is
 * a contract, tools match on it.
 */

#include "base/mode.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

static const char *const words[_BERTH_IPC_MODE_MAX] = {
    [BERTH_IPC_MODE_DEFAULT] = "",
    [BERTH_IPC_MODE_PRIVATE] = "private",
    [BERTH_IPC_MODE_SHAREABLE] = "shareable",
    [BERTH_IPC_MODE_NONE] = "none",
    [BERTH_IPC_MODE_HOST] = "host",
    [BERTH_IPC_MODE_CONTAINER] = "container",
};

const char *berth_ipc_mode_to_string(BerthIpcMode mode)
{
    g_assert(mode >= 0 && mode < _BERTH_IPC_MODE_MAX);
    return words[mode];
}

BerthIpcMode berth_ipc_mode_from_word(const char *word)
{
    for (BerthIpcMode mode = BERTH_IPC_MODE_DEFAULT + 1; mode < _BERTH_IPC_MODE_MAX; mode++)
        if (g_str_equal(words[mode], word))
            return mode;
    return _BERTH_IPC_MODE_INVALID;
}

bool berth_ipc_mode_parse(const char *text, BerthIpcMode *mode, const char **donor, GError **error)
{
    const char *colon = strchr(text, ':');
    BerthIpcMode found = _BERTH_IPC_MODE_INVALID;

    if (colon) {
        if (g_str_has_prefix(text, "container:"))
            found = BERTH_IPC_MODE_CONTAINER;
    } else if (!*text) {
        found = BERTH_IPC_MODE_DEFAULT;
    } else {
        found = berth_ipc_mode_from_word(text);
        if (found == BERTH_IPC_MODE_CONTAINER) /* it needs its colon */
            found = _BERTH_IPC_MODE_INVALID;
    }

    if (found == _BERTH_IPC_MODE_INVALID) {
        g_autofree char *quoted = berth_quote(text);

        return berth_set_error(error, BERTH_ERROR_INVALID_MODE, "invalid IPC mode: %s", quoted);
    }

    *mode = found;
    *donor = found == BERTH_IPC_MODE_CONTAINER ? colon + 1 : NULL;
    return true;
}
