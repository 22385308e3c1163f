/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/daemon.h"
#include "daemon/declared.h"
#include "daemon/method.h"
#include "daemon/sandbox.h"
#include "daemon/transfers.h"

/*
 * The interfaces of the service, one file each. Every function registers at @daemon->bus and
 * returns a negative errno on failure.
 */
int berth_manager_register(BerthDaemon *daemon);     /* manager.c */
int berth_sandboxes_register(BerthDaemon *daemon);   /* sandboxes-methods.c */
int berth_sandbox_register(BerthDaemon *daemon);     /* sandbox-methods.c */
int berth_registries_register(BerthDaemon *daemon);  /* registries.c */
int berth_images_register(BerthDaemon *daemon);      /* images.c */
int berth_transfer_register(BerthDaemon *daemon);    /* transfer-methods.c */
int berth_log_control_register(BerthDaemon *daemon); /* log-control.c */

/**
 * berth_manager_reload: reads the settings again, all or nothing, and announces them; @done is
 * called when declared sandboxes are what they should be, perhaps before this returns. Not on
 * failure.
 */
bool berth_manager_reload(BerthDaemon *daemon, BerthDeclaredDone done, void *userdata,
                          GError **error);

/** berth_sandbox_announce_…: tell the bus, as BerthSandboxEvents; @userdata is the daemon. */
void berth_sandbox_announce_added(const BerthSandbox *sandbox, void *userdata);
void berth_sandbox_announce_removed(const BerthSandbox *sandbox, void *userdata);
void berth_sandbox_announce_changed(const BerthSandbox *sandbox, const char *property,
                                    void *userdata);

/** berth_describe_public: appends what everybody may know, as `{sv}` entries. */
int berth_describe_public(sd_bus_message *reply, const BerthSandbox *sandbox);
/** berth_describe_private: appends what Describe gives, as `{sv}` entries. */
bool berth_describe_private(sd_bus_message *reply, const BerthDaemon *daemon,
                            const BerthSandbox *sandbox, GError **error);

/**
 * berth_join: opens @sandbox for the caller and replies with its descriptors; hands it over when
 * its mode says so.
 * @given: how the caller named it
 */
BerthVerdict berth_join(BerthCall *call, BerthSandbox *sandbox, const char *given, GError **error);

/** berth_fill_details: says what an action is about: @sandbox (nullable). */
void berth_fill_details(BerthDetails *details, const BerthSandbox *sandbox);

/**
 * berth_authorize_sandbox: adds the action of the call's row unless the caller is among those whom
 * the row exempts for @sandbox; NULL: it does not exist, which only who is allowed will learn.
 */
void berth_authorize_sandbox(const BerthCall *call, const BerthSandbox *sandbox,
                             BerthRequest *request);

/**
 * berth_sandbox_of_call: Returns: (transfer none): the sandbox on whose object @call was made, or
 * NULL when it is gone: BERTH_ERROR_NO_SUCH_SANDBOX.
 */
BerthSandbox *berth_sandbox_of_call(const BerthCall *call, GError **error);

/** berth_transfer_announcements: Returns: (transfer none): how transfers get onto the bus. */
const BerthTransferEvents *berth_transfer_announcements(BerthDaemon *daemon);

/**
 * berth_transfer_of_call: Returns: (transfer none): the transfer on whose object @call was made, or
 * NULL when it is gone: BERTH_ERROR_NO_SUCH_TRANSFER.
 */
BerthTransfer *berth_transfer_of_call(const BerthCall *call, GError **error);

/**
 * berth_transfer_append_row: appends an `a{sv}` of ListTransfers.
 * @all: also what only its owner and root may know
 */
int berth_transfer_append_row(sd_bus_message *reply, const BerthTransfer *transfer, bool all);

/** berth_fill_image_details: says which image an action is about. */
void berth_fill_image_details(BerthDetails *details, const BerthReference *reference);
