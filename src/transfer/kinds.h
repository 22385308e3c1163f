/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transfer/kind.h"

/** berth_kind_resolve: `Hosts` as -> `Addresses` a{sas}: what each host resolves to. */
extern const BerthKind berth_kind_resolve;

/** berth_kind_pull: an image from a registry into the store; see pull.c for the job. */
extern const BerthKind berth_kind_pull;
