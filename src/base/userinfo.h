/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * berth_userinfo_redact:
 * @text: a URL, a name with userinfo, or anything that was meant to be one
 *
 * Returns: (transfer full): @text with `***` for everything between the scheme (or the start) and
 *   the last `@`: for messages, and for callers who may not know the machine's secrets.
 */
char *berth_userinfo_redact(const char *text);
