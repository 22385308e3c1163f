/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/client.h"

/*
 * What changes a registry, and what is asked before. Errors as for all requests of client.h; what a
 * registry refuses is BERTH_ERROR_REGISTRY_ERROR with its own words. Nothing of this goes to a
 * mirror: that is the caller's to see to.
 */

/** BerthPresenceFunc: @present, @size (-1: not told): without @error. */
typedef void (*BerthPresenceFunc)(bool present, int64_t size, const GError *error, void *userdata);

/**
 * berth_client_has_blob: whether the repository has a blob. Asks with HEAD, or with GET where that
 * is refused.
 * @actions: what a token shall be good for: `pull`, or `pull,push` before an upload
 */
BerthRequest *berth_client_has_blob(BerthClient *client, const BerthDigest *digest,
                                    const char *actions, BerthPresenceFunc func, void *userdata);

/** BerthUploadSource: where the bytes of a blob come from, and what comes of it. */
typedef struct {
    /* At most @length bytes from @offset on, in any order of offsets. Called by libcurl: it must
     * not make or cancel requests. *@wait set, with 0 bytes: none yet; berth_request_resume() when
     * there are. -1 ends the request with @error */
    ssize_t (*read)(uint64_t offset, void *data, size_t length, bool *wait, void *userdata,
                    GError **error);
    /* (nullable) so many bytes were sent; less than before when it begins anew */
    void (*progress)(uint64_t sent, void *userdata);
    /* It ended; without @error the registry has the blob. @mounted: it had it already */
    void (*done)(bool mounted, const GError *error, void *userdata);
} BerthUploadSource;

/**
 * berth_client_upload_blob:
 * @size: in bytes
 * @from: (nullable): another repository at the same registry that may have it: it is mounted from
 *   there if the registry can and may
 * @source: copied
 *
 * Sends it in one piece, or in chunks where the registry wants that; goes on with an upload that
 * was broken off as far as the registry can, else begins anew.
 */
BerthRequest *berth_client_upload_blob(BerthClient *client, const BerthDigest *digest,
                                       uint64_t size, const char *from,
                                       const BerthUploadSource *source, void *userdata);

/**
 * berth_client_mount_blob: only the mount: done() says with BERTH_ERROR_REGISTRY_ERROR when the
 * registry does not; an upload that it began instead is left to it.
 */
BerthRequest *berth_client_mount_blob(BerthClient *client, const BerthDigest *digest,
                                      const char *from, BerthPresenceFunc func, void *userdata);

/**
 * BerthPutFunc:
 * @knows_subject: the registry notes what the manifest refers to by itself (`OCI-Subject`); else
 * the list of referrers has to be kept in a tag
 */
typedef void (*BerthPutFunc)(bool knows_subject, const GError *error, void *userdata);

/**
 * berth_client_put_manifest:
 * @target: a tag or a digest
 * @media_type: as the manifest itself says
 * @manifest: its bytes
 */
BerthRequest *berth_client_put_manifest(BerthClient *client, const char *target,
                                        const char *media_type, GBytes *manifest, BerthPutFunc func,
                                        void *userdata);

/**
 * BerthReferrersFunc:
 * @pages: (element-type GBytes): indexes, to be taken together; NULL with @error
 * @api: the registry knows the question; else this is what its fallback tag holds
 */
typedef void (*BerthReferrersFunc)(const GPtrArray *pages, bool api, const GError *error,
                                   void *userdata);

/**
 * berth_client_list_referrers: what refers to the manifest @digest, by the API and where that is
 * unknown by the fallback tag (distribution specification, "Listing Referrers"). Nothing refers to
 * it: no pages, or empty ones. At most 64 pages of 4 MiB.
 */
BerthRequest *berth_client_list_referrers(BerthClient *client, const BerthDigest *digest,
                                          BerthReferrersFunc func, void *userdata);
