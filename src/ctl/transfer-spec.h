/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/**
 * CtlTransferSpec: how an image shall be transferred. What was not given is not sent, so that the
 * service's settings hold. Strings belong to argv.
 */
typedef struct {
    const char *platform;
    bool all_platforms;
    bool referrers;
    const char *foreign;   /* ForeignLayers */
    const char *format;    /* of export */
    bool include_foreign;  /* of export */
    const char *reference; /* of import */
    const char *creds;     /* an auth.json; NULL: the user's own */
    const char *output;    /* where export writes, `-`: standard output */
    bool has_max_bandwidth;
    uint64_t max_bandwidth; /* bytes a second */
} CtlTransferSpec;

/**
 * ctl_transfer_spec_append:
 * @spec: what to ask for
 * @credentials: a sealed memfd, or a negative number for none
 * @message: a call of Images; gets the `a{sv}` of its options
 *
 * Returns: 0, or a negative errno of sd-bus.
 */
int ctl_transfer_spec_append(const CtlTransferSpec *spec, int credentials, sd_bus_message *message);
