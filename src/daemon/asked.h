/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/reference.h"
#include "daemon/method.h"
#include "daemon/query.h"

/**
 * BerthAsked: a question that a call asks the store, and the answer. Zeroed: not asked yet. It lies
 * in the call's arguments.
 */
typedef struct {
    BerthCall *call;
    BerthQuery *query;      /* under way */
    sd_bus_message *result; /* owned: of the answer */
    GError *failure;        /* owned: why there is none */
    bool answered;
} BerthAsked;

/**
 * berth_asked_ask: asks; act of @call runs again, after its authorize, when the answer is there.
 * @job: its fill gets @asked
 *
 * Returns: BERTH_CALL_WAITING.
 */
BerthVerdict berth_asked_ask(BerthAsked *asked, BerthCall *call, const BerthStoreJob *job);

/** berth_asked_check: whether there is a result. @error: the failure */
bool berth_asked_check(const BerthAsked *asked, GError **error);

/** berth_asked_clear: ends what is under way, and forgets the answer. */
void berth_asked_clear(BerthAsked *asked);

/** BerthImageName: an image as a caller names it. */
typedef struct {
    char *text;                /* owned: as given, or the full reference */
    BerthReference *reference; /* owned (nullable): NULL: it is a digest */
} BerthImageName;

/**
 * berth_image_name_read:
 * @text: a reference or a digest
 * @error: BERTH_ERROR_INVALID_REFERENCE
 */
bool berth_image_name_read(BerthImageName *name, const char *text, GError **error);
void berth_image_name_clear(BerthImageName *name);

/**
 * berth_authorize_image: adds @action unless the caller is among those who
 * pulled or imported the image. Adds nothing while @asked is not answered: act must ask first.
 * Whether there is such an image only who is allowed will learn.
 * @action: (static)
 * @asked: a question whose answer has `Readers`
 * @error: the store could not say anything
 */
bool berth_authorize_image(const BerthCall *call, const BerthAsked *asked,
                           const BerthImageName *name, const char *action, BerthRequest *request,
                           GError **error);

/** berth_asked_has_reader: Returns: whether @uid is among `Readers` of the answer. */
bool berth_asked_has_reader(const BerthAsked *asked, uid_t uid);
