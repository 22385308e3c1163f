/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/options.h"
#include "settings/registries.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * BerthTransferOptions: options of the methods that begin a transfer with a registry; each method
 * has a table of those that it knows. What was not given is zero, or -1.
 */
typedef struct {
    char *platform; /* owned (nullable): os/arch[/variant] */
    bool all_platforms;
    bool referrers;
    int credentials;           /* owned: an auth.json, of the one registry or of the destination */
    int source_credentials;    /* owned */
    char *foreign_layers;      /* owned (nullable) */
    int wanted_foreign_layers; /* that as a BerthForeignLayers, -1: as the settings say */
    uint64_t max_bandwidth;    /* bytes a second, 0: no limit */
} BerthTransferOptions;

/** berth_transfer_options_init: before anything can fail: @options can be cleared then. */
void berth_transfer_options_init(BerthTransferOptions *options);

/**
 * berth_transfer_options_read:
 * @message: positioned at the `a{sv}`
 * @known: what the method knows, for a target of this type
 * @error: BERTH_ERROR_INVALID_ARGS, BERTH_ERROR_INVALID_OPTION
 *
 * Reads and checks what can be checked without settings.
 */
bool berth_transfer_options_read(BerthTransferOptions *options, sd_bus_message *message,
                                 const BerthOption *known, GError **error);
void berth_transfer_options_clear(BerthTransferOptions *options);

/** berth_transfer_options_move: @job: (out): uninitialized, gets all that is in @options. */
void berth_transfer_options_move(BerthTransferOptions *options, BerthTransferOptions *job);

/** berth_transfer_options_platform: Returns: (transfer none): what the worker is told, or "". */
const char *berth_transfer_options_platform(const BerthTransferOptions *options);

/**
 * berth_transfer_options_foreign_layers:
 * @settings: what is in force where is read from
 * @word: (out) (static): for the worker
 * @error: BERTH_ERROR_INVALID_OPTION: the caller wants more than they allow
 */
bool berth_transfer_options_foreign_layers(const BerthTransferOptions *options,
                                           const BerthRegistrySettings *settings, const char **word,
                                           GError **error);
