/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

/** BerthIpcMode: the IPC modes of a sandbox, Docker's. */
typedef enum {
    BERTH_IPC_MODE_DEFAULT, /* the empty string: the configured default, never stored */
    BERTH_IPC_MODE_PRIVATE,
    BERTH_IPC_MODE_SHAREABLE,
    BERTH_IPC_MODE_NONE,
    BERTH_IPC_MODE_HOST,
    BERTH_IPC_MODE_CONTAINER, /* takes a donor: container:SANDBOX */
    _BERTH_IPC_MODE_MAX,
    _BERTH_IPC_MODE_INVALID = -EINVAL,
} BerthIpcMode;

/** berth_ipc_mode_to_string: Returns: (static): the word of @mode, without argument. */
const char *berth_ipc_mode_to_string(BerthIpcMode mode);

/**
 * berth_ipc_mode_from_word:
 * @word: one word without argument, as AllowedModes= lists them; the empty string is not one
 *
 * Returns: the mode, or _BERTH_IPC_MODE_INVALID.
 */
BerthIpcMode berth_ipc_mode_from_word(const char *word);

/**
 * berth_ipc_mode_parse:
 * @text: what a caller gave: empty, `private`, `shareable`, `none`, `host` or `container:X`;
 *   case-sensitive, untrimmed. X is everything after the first colon and may be empty here: that
 *   there is no such sandbox is found out when it is looked up
 * @mode: (out): the mode
 * @donor: (out) (transfer none): X inside @text, or NULL with any other mode
 * @error: BERTH_ERROR_INVALID_MODE with the text that tools match on
 *
 * Returns: whether @text is a mode.
 */
bool berth_ipc_mode_parse(const char *text, BerthIpcMode *mode, const char **donor, GError **error);

/** berth_ipc_mode_may_be_default: Returns: whether the settings may name @mode as default. */
static inline bool berth_ipc_mode_may_be_default(BerthIpcMode mode)
{
    return mode == BERTH_IPC_MODE_SHAREABLE || mode == BERTH_IPC_MODE_PRIVATE;
}

/**
 * berth_ipc_mode_is_handed_over: Returns: whether a sandbox of @mode is handed over once, so that
 * nobody can join it afterwards.
 */
static inline bool berth_ipc_mode_is_handed_over(BerthIpcMode mode)
{
    return mode == BERTH_IPC_MODE_PRIVATE || mode == BERTH_IPC_MODE_NONE;
}
