/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/method.h"
#include "daemon/transfer.h"

/*
 * Methods of the Images interface whose rows stand in images.c: each of a file of its own, with
 * parse, authorize, act, clear and the size of its arguments.
 */

bool berth_pull_parse(BerthCall *call, GError **error); /* pull.c */
bool berth_pull_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_pull_act(BerthCall *call, GError **error);
void berth_pull_clear(void *data);
extern const size_t berth_pull_arguments_size;

bool berth_push_parse(BerthCall *call, GError **error); /* push.c */
bool berth_copy_parse(BerthCall *call, GError **error);
bool berth_push_authorize(BerthCall *call, BerthRequest *request, GError **error);
bool berth_copy_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_push_act(BerthCall *call, GError **error);
BerthVerdict berth_copy_act(BerthCall *call, GError **error);
void berth_push_clear(void *data);
extern const size_t berth_push_arguments_size;

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

bool berth_import_parse(BerthCall *call, GError **error); /* import.c */
bool berth_import_blob_parse(BerthCall *call, GError **error);
bool berth_import_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_import_act(BerthCall *call, GError **error);
BerthVerdict berth_import_blob_act(BerthCall *call, GError **error);
void berth_import_clear(void *data);
extern const size_t berth_import_arguments_size;

bool berth_export_parse(BerthCall *call, GError **error); /* export.c */
bool berth_export_authorize(BerthCall *call, BerthRequest *request, GError **error);
BerthVerdict berth_export_act(BerthCall *call, GError **error);
void berth_export_clear(void *data);
extern const size_t berth_export_arguments_size;

/**
 * berth_read_stream: reads an `h` that is to be read from or written to from end to end.
 * @what: "archive", for messages
 * @error: BERTH_ERROR_INVALID_ARGS: it is neither a file nor a pipe nor a socket
 *
 * Returns: (transfer full): a duplicate, or -1.
 */
int berth_read_stream(sd_bus_message *message, const char *what, GError **error); /* import.c */

/** berth_transfers_may_begin: whether the caller may have another transfer now. */
bool berth_transfers_may_begin(const BerthCall *call, GError **error); /* transfer-begin.c */

/**
 * berth_transfers_begin: makes a transfer for the caller and replies with its object.
 * @reference: (transfer full) (nullable): this and @job: also on failure
 * @job: (transfer full)
 */
BerthVerdict berth_transfers_begin(BerthCall *call, const BerthTransferKind *kind,
                                   BerthReference *reference, void *job, GError **error);
