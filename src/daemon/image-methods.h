/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"

/*
 * Methods of the Images interface whose rows stand in images.c: each of a file of its own, with
 * parse, authorize, act, clear and the size of its arguments.
 */

bool berth_pull_parse(BerthCall *call, GError **error); /* pull.c */
bool berth_pull_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_pull_act(BerthCall *call, GError **error);
void berth_pull_clear(void *data);
extern const size_t berth_pull_arguments_size;

bool berth_image_list_parse(BerthCall *call, GError **error); /* image-list.c */
BerthVerdict berth_image_list_act(BerthCall *call, GError **error);
void berth_image_list_clear(void *data);
extern const size_t berth_image_list_arguments_size;

bool berth_image_inspect_parse(BerthCall *call, GError **error); /* image-list.c */
bool berth_image_inspect_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_image_inspect_act(BerthCall *call, GError **error);
void berth_image_inspect_clear(void *data);
extern const size_t berth_image_inspect_arguments_size;

bool berth_image_tag_parse(BerthCall *call, GError **error); /* image-change.c */
bool berth_image_remove_parse(BerthCall *call, GError **error);
bool berth_image_change_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_image_tag_act(BerthCall *call, GError **error);
BerthVerdict berth_image_remove_act(BerthCall *call, GError **error);
void berth_image_change_clear(void *data);
extern const size_t berth_image_change_arguments_size;

bool berth_prune_parse(BerthCall *call, GError **error); /* image-change.c */
BerthVerdict berth_prune_act(BerthCall *call, GError **error);
void berth_prune_clear(void *data);
extern const size_t berth_prune_arguments_size;

bool berth_open_blob_parse(BerthCall *call, GError **error); /* open-blob.c */
bool berth_open_blob_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_open_blob_act(BerthCall *call, GError **error);
void berth_open_blob_clear(void *data);
extern const size_t berth_open_blob_arguments_size;
