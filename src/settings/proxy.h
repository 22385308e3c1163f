/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/**
 * berth_proxy_check:
 * @text: `http://[user[:password]@]host[:port][/]`; also https, socks4, socks4a, socks5 and socks5h
 * @hint: (out) (transfer none): what is wrong with it; never repeats a part of @text
 */
bool berth_proxy_check(const char *text, const char **hint);
