/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/endpoint.h"
#include "registry/url.h"

/**
 * berth_proxy_for:
 * @setting: Proxy= of the endpoint: a URL; "none"; "": as the environment says, in `http_proxy`,
 *   `https_proxy`, `all_proxy` and `no_proxy`, which never holds for loopback
 * @url: where to
 *
 * Returns: (transfer full): the proxy, to be wiped since it may hold a password; "": none.
 */
char *berth_proxy_for(const char *setting, const BerthUrl *url);

/**
 * berth_no_proxy_matches:
 * @list: of names (with all that is below them), addresses and networks, each perhaps with a port,
 *   separated by commas or blanks; `*` is everything
 * @url: where to
 */
bool berth_no_proxy_matches(const char *list, const BerthUrl *url);
