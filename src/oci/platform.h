/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/**
 * BerthPlatform: what an image runs on, in the words of the Go language that images use (GOOS,
 * GOARCH). Other usual words have been replaced: x86_64 is amd64, aarch64 is arm64, and a variant
 * that is the architecture's first (amd64 v1, arm64 v8) is none.
 */
typedef struct {
    char *os;
    char *architecture;
    char *variant;    /* (nullable) */
    char *os_version; /* (nullable) of Windows images; for show only */
} BerthPlatform;

/**
 * berth_platform_parse:
 * @text: `os/arch[/variant]`; case does not count
 * @error: BERTH_ERROR_INVALID_OPTION naming @text
 *
 * Returns: (transfer full) (nullable): the platform.
 */
BerthPlatform *berth_platform_parse(const char *text, GError **error);

/**
 * berth_platform_host:
 * @error: BERTH_ERROR_FAILED: uname(2) fails
 *
 * Returns: (transfer full) (nullable): the platform of the running kernel.
 */
BerthPlatform *berth_platform_host(GError **error);

/**
 * berth_platform_from_machine:
 * @sysname: as uname(2) has it, `Linux`
 * @machine: as uname(2) has it, `x86_64`, `armv7l`
 *
 * Returns: (transfer full): the platform; one of another name keeps its name.
 */
BerthPlatform *berth_platform_from_machine(const char *sysname, const char *machine);

/**
 * berth_platform_from_json:
 * @object: an image config, or the `platform` of a descriptor; both have the same members
 * @platform: (out) (transfer full): the platform, or NULL when `os` or `architecture` is absent or
 *   empty: there are images that do not say
 * @error: BERTH_ERROR_MANIFEST_INVALID: a member that is not a string, or too long
 */
bool berth_platform_from_json(const json_t *object, BerthPlatform **platform, GError **error);

/** berth_platform_free: frees @platform (nullable). */
void berth_platform_free(BerthPlatform *platform);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthPlatform, berth_platform_free)

/** berth_platform_to_string: Returns: (transfer full): `os/arch[/variant]`. */
char *berth_platform_to_string(const BerthPlatform *platform);

/**
 * berth_platform_rank:
 * @wanted: what shall run
 * @offered: what there is
 *
 * Older variants of an architecture run on newer ones: arm v8, v7, v6, v5; amd64 v4, v3, v2, v1.
 * One without a variant is taken after those that have the right one.
 *
 * Returns: 0 when both are the same, more the worse @offered fits, -1 when it does not run there.
 */
int berth_platform_rank(const BerthPlatform *wanted, const BerthPlatform *offered);
