/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define BERTH_IDS_MAX 256 /* users, and groups, of one sandbox */

/** BerthIds: users and groups as IDs. */
typedef struct {
    GArray *users;  /* (element-type uid_t) */
    GArray *groups; /* (element-type gid_t) */
} BerthIds;

void berth_ids_init(BerthIds *ids);
void berth_ids_clear(BerthIds *ids);

/** berth_ids_contain: Returns: whether @id is in @array (nullable), an array of uid_t or gid_t. */
bool berth_ids_contain(const GArray *array, uint32_t id);

/**
 * berth_ids_check:
 * @names: (nullable): names or decimal IDs
 * @what: `Users` or `Groups`, for messages
 * @error: BERTH_ERROR_INVALID_OPTION: too many, or one that can be neither name nor ID
 */
bool berth_ids_check(char **names, const char *what, GError **error);

typedef void (*BerthIdsFunc)(const GError *error, void *userdata);

/**
 * berth_ids_resolve:
 * @uid: for whom
 * @users, @groups: (nullable): checked names or decimal IDs; must stay until @done is called
 * @ids: (out): initialized; filled when @done is called, and must stay until then
 * @pending: (out): whether @done will be called later: user databases can be far away. With decimal
 *   IDs only everything is known at once, and @done is not called
 * @done: gets NULL, or BERTH_ERROR_INVALID_OPTION naming what is unknown
 */
bool berth_ids_resolve(sd_event *event, uid_t uid, char **users, char **groups, BerthIds *ids,
                       bool *pending, BerthIdsFunc done, void *userdata, GError **error);
