/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** BerthRequest: something that was asked for and is under way, with all its tries. */
typedef struct BerthRequest BerthRequest;

/**
 * berth_request_cancel: ends it; nothing is called any more. May be called from everywhere but from
 * its own callbacks: those can return false, and after the one that says that it ended it is gone.
 */
void berth_request_cancel(BerthRequest *request);

/** berth_request_resume: after write() said to pause. */
void berth_request_resume(BerthRequest *request);

/** BerthBlobSink: where the bytes of a blob go. */
typedef struct {
    /* asked before each try: bytes that are there already, where it goes on */
    uint64_t (*offset)(void *userdata);
    /* What is there cannot be the beginning of the blob, since the server has less: begin anew, so
     * that offset() is 0. false ends the request with @error */
    bool (*restart)(void *userdata, GError **error);
    /* The next bytes. *@pause set: no more until berth_request_resume(), but for up to 512 KiB that
     * were read already. false ends the request with @error */
    bool (*write)(const void *data, size_t length, bool *pause, void *userdata, GError **error);
    /* It ended; NULL: all bytes were delivered. Whether they are the right ones is not known here
     */
    void (*done)(const GError *error, void *userdata);
} BerthBlobSink;
