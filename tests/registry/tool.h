/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"
#include "registry/client.h"

/** Tool: what the programs of the tests have in common: what is asked for and how it went. */
typedef struct {
    sd_event *event;
    BerthHttp *http;
    BerthClient *client;
    BerthEndpoint *endpoint;
    unsigned pending;
    bool failed;
    gboolean insecure, mirror, pausing, allow_all;
    char *ca, *certificate, *key, *credentials, *proxy, *space, *from, *type;
    char **addresses;
    int stall, connect, retries, connections, bandwidth, copies;
    gint64 size, offset;
} Tool;

/**
 * tool_run: reads options, and runs the loop until everything that @start began has ended.
 * @usage: the arguments
 * @n_words: how many; the second and the third are host and repository
 *
 * Returns: the exit status of the program.
 */
int tool_run(int argc, char **argv, const char *usage, int n_words,
             void (*start)(Tool *tool, char **words));

/** tool_ended: one thing ended; prints `ok` and @note, or the error. */
void tool_ended(Tool *tool, const char *note, const GError *error);

/** tool_digest: Returns: @text as a digest; ends the program when it is none. */
BerthDigest tool_digest(const char *text);

/** tool_read_file: Returns: (transfer full): all of it; ends the program when it cannot be read. */
GBytes *tool_read_file(const char *path);
