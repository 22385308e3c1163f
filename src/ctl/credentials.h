/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/**
 * ctl_credentials_open:
 * @ctl: the run; ctl->transfer.creds names a file instead of the user's own
 * @images: (array zero-terminated=1): references whose registries will be asked; what is no
 *   reference is skipped
 * @fd: (out): a sealed memfd with an auth.json for Images, or -1 when there is nothing to hand over
 *
 * Of the user's own files only the entries for these registries leave this process; of a file that
 * was named for this call all. Helpers are run here, never named to the service.
 *
 * Returns: false when it failed and was reported.
 */
bool ctl_credentials_open(Ctl *ctl, const char *const *images, int *fd);
