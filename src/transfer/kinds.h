/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transfer/kind.h"

/** berth_kind_resolve: `Hosts` as -> `Addresses` a{sas}: what each host resolves to. */
extern const BerthKind berth_kind_resolve;

/** berth_kind_pull: an image from a registry into the store; see pull.c for the job. */
extern const BerthKind berth_kind_pull;

/*
 * About the store alone; `Store` h, `MinFree` t and `Uid` u for each. Rows of images: `Reference`
 * s, `Digest` s, `MediaType` s, `Size` t (of all that is in it), `Platform` s, `PulledUSec` t,
 * `Owner` u.
 */

/** berth_kind_list: `Reference` s, a prefix -> `Images` aa{sv}. */
extern const BerthKind berth_kind_list;

/**
 * berth_kind_inspect: `Image` s -> as of `list`, and `Manifest` s, `Config` s, `Layers` aa{sv}
 * (`Digest` s, `MediaType` s, `Size` t, `Present` b, `Urls` as), `Readers` au: its owners.
 */
extern const BerthKind berth_kind_inspect;

/**
 * berth_kind_blob: `Digest` s -> `Size` t, `Readers` au: who has an image with it. With a `Uid`
 * only that one is looked for, which is much less work. With `Into` h, memory of the blob's size: a
 * verified copy in there -> nothing.
 */
extern const BerthKind berth_kind_blob;

/** berth_kind_tag: `Image` s, `Expect` s (its digest), `NewReference` s -> nothing. */
extern const BerthKind berth_kind_tag;

/** berth_kind_remove: `Image` s, `Expect` s (its digest) -> nothing. */
extern const BerthKind berth_kind_remove;

/** berth_kind_prune: -> `Bytes` t, `Blobs` u: what was removed. */
extern const BerthKind berth_kind_prune;

/** berth_kind_export: images of the store into an archive; see export.c for the job. */
extern const BerthKind berth_kind_export;

/** berth_kind_import: an archive's images into the store; see import.c for the job. */
extern const BerthKind berth_kind_import;

/** berth_kind_import_blob: a single blob into the store; see import-blob.c for the job. */
extern const BerthKind berth_kind_import_blob;

/** berth_kind_push: an image of the store to a registry; see push.c for the job. */
extern const BerthKind berth_kind_push;

/** berth_kind_copy: an image from one registry to another; see copy.c for the job. */
extern const BerthKind berth_kind_copy;
