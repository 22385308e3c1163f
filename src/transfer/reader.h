/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/reference.h"
#include "oci/store.h"
#include "registry/client.h"
#include "settings/registries.h"

#include <systemd/sd-event.h>

/** BerthSource: one place that the repository can be read from. */
typedef struct {
    BerthEndpoint *endpoint; /* owned */
    BerthClient *client;     /* owned */
    BerthMirrorsFor serves;  /* which reads may go there */
} BerthSource;

/**
 * BerthReader: all that reading one repository into the store takes: where to read from, in order,
 * and what the store knows of who may have what. Owned by the job.
 */
typedef struct {
    sd_event *event;    /* (not owned) */
    BerthStore *store;  /* (not owned) */
    BerthLease *lease;  /* (not owned) what is read stays until this is given back */
    BerthHttp *http;    /* owned */
    GPtrArray *sources; /* owned (element-type BerthSource): mirrors first, the registry last */
    char *registry;     /* owned: `host[:port]` by which the image is named */
    char *origin;       /* owned: `host[:port]/repository`, likewise */
    BerthForeignLayers foreign_layers;
    BerthRegistrySettings *urls; /* owned: only foreign_url_hosts of it are set */
} BerthReader;

/** BerthReaderSpec: what a job says of where to read from. */
typedef struct {
    sd_event *event;
    BerthStore *store;
    BerthLease *lease;
    const BerthReference *reference; /* what the image is called */
    const GPtrArray *endpoints;      /* (element-type BerthEndpointRow) */
    const char *foreign_layers;
    char *const *foreign_url_hosts; /* (nullable) */
    uint64_t max_bandwidth;         /* bytes a second; 0: no limit */
} BerthReaderSpec;

/**
 * berth_reader_new:
 * @spec: event, store and lease must outlive the reader
 * @error: BERTH_ERROR_INVALID_ARGS and others
 *
 * Returns: (transfer full) (nullable): the reader.
 */
BerthReader *berth_reader_new(const BerthReaderSpec *spec, GError **error);

/** berth_reader_free: ends connections; no callback comes any more. @reader: (nullable) */
void berth_reader_free(BerthReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthReader, berth_reader_free)

/**
 * berth_reader_registry:
 * Returns: (transfer none): the endpoint of the registry itself, whose settings hold for URLs too.
 */
const BerthEndpoint *berth_reader_registry(const BerthReader *reader);

/**
 * berth_source_serves:
 * @by_digest: whether what is read is named by digest, not by tag
 *
 * Returns: whether MirrorsFor= lets such a read go to @source.
 */
bool berth_source_serves(const BerthSource *source, bool by_digest);

/**
 * berth_collect_failure:
 * @failures: (nullable): what other places said so far, replaced
 * @place: (nullable): where it failed, unless @error says it
 * @error: why
 *
 * Adds a line to the reasons why no place gave what was asked for.
 */
void berth_collect_failure(char **failures, const char *place, const GError *error);
