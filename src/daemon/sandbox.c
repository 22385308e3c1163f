/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One sandbox as data: who owns it, what it is called, what it shares. It knows neither bus nor
 * kernel; sandboxes.c changes it and keeps vault and bus in step.
 */

#include "daemon/sandbox.h"

#include "base/error.h"

#include <string.h>
#include <systemd/sd-id128.h>

static const char *const states[_BERTH_SANDBOX_STATE_MAX] = {
    [BERTH_SANDBOX_READY] = "ready",
    [BERTH_SANDBOX_HANDED_OVER] = "handed-over",
    [BERTH_SANDBOX_REMOVED] = "removed",
};

static const char *const lifetimes[_BERTH_LIFETIME_MAX] = {
    [BERTH_LIFETIME_EXPLICIT] = "explicit",
    [BERTH_LIFETIME_CONNECTION] = "connection",
    [BERTH_LIFETIME_PROCESS] = "process",
};

const char *berth_sandbox_state_to_string(BerthSandboxState state)
{
    g_assert(state >= 0 && state < _BERTH_SANDBOX_STATE_MAX);
    return states[state];
}

BerthSandboxState berth_sandbox_state_from_string(const char *word)
{
    for (BerthSandboxState state = 0; state < _BERTH_SANDBOX_STATE_MAX; state++)
        if (g_str_equal(states[state], word))
            return state;
    return _BERTH_SANDBOX_STATE_INVALID;
}

const char *berth_lifetime_to_string(BerthLifetime lifetime)
{
    g_assert(lifetime >= 0 && lifetime < _BERTH_LIFETIME_MAX);
    return lifetimes[lifetime];
}

BerthLifetime berth_lifetime_from_string(const char *word)
{
    for (BerthLifetime lifetime = 0; lifetime < _BERTH_LIFETIME_MAX; lifetime++)
        if (g_str_equal(lifetimes[lifetime], word))
            return lifetime;
    return _BERTH_LIFETIME_INVALID;
}

BerthContents *berth_contents_new(void)
{
    BerthContents *contents = g_new0(BerthContents, 1);

    contents->refs = 1;
    contents->wd = -1;
    return contents;
}

BerthContents *berth_contents_ref(BerthContents *contents)
{
    contents->refs++;
    return contents;
}

void berth_contents_unref(BerthContents *contents)
{
    if (contents && --contents->refs == 0)
        g_free(contents);
}

BerthSandbox *berth_sandbox_new(void)
{
    BerthSandbox *sandbox = g_new0(BerthSandbox, 1);

    sandbox->contents = berth_contents_new();
    return sandbox;
}

void berth_sandbox_free(BerthSandbox *sandbox)
{
    if (!sandbox)
        return;
    sd_event_source_disable_unref(sandbox->process);
    berth_contents_unref(sandbox->contents);
    berth_ids_clear(&sandbox->ids);
    g_free(sandbox->peer);
    g_free(sandbox->bus);
    g_clear_pointer(&sandbox->labels, g_hash_table_unref);
    g_free(sandbox->huge);
    g_free(sandbox->numa);
    g_free(sandbox->name);
    g_free(sandbox);
}

char *berth_sandbox_mode(const BerthSandbox *sandbox)
{
    return g_strconcat(berth_ipc_mode_to_string(sandbox->mode), *sandbox->donor ? ":" : "",
                       sandbox->donor, NULL);
}

const char *berth_sandbox_title(const BerthSandbox *sandbox)
{
    return sandbox->name ? sandbox->name : sandbox->id;
}

const char *berth_sandbox_by_name(const BerthSandbox *sandbox)
{
    return sandbox->owner == 0 ? sandbox->name : NULL;
}

char *berth_sandbox_path(const char *id)
{
    return g_strconcat(BERTH_SANDBOX_PATH "/", id, NULL);
}

bool berth_sandbox_new_id(char id[BERTH_ID_LENGTH + 1], GError **error)
{
    sd_id128_t random;
    int r = sd_id128_randomize(&random);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot make an ID");
    sd_id128_to_string(random, id);
    return true;
}
