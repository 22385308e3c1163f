/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of the methods of Images that start a transfer, as the command line gives them. Words
 * are passed on as they are: what a platform or a policy may be is decided by the service alone.
 */

#include "ctl/transfer-spec.h"

int ctl_transfer_spec_append(const CtlTransferSpec *spec, int credentials, sd_bus_message *message)
{
    int r = sd_bus_message_open_container(message, 'a', "{sv}");

    if (r >= 0 && spec->platform)
        r = sd_bus_message_append(message, "{sv}", "Platform", "s", spec->platform);
    if (r >= 0 && spec->all_platforms)
        r = sd_bus_message_append(message, "{sv}", "AllPlatforms", "b", true);
    if (r >= 0 && spec->foreign)
        r = sd_bus_message_append(message, "{sv}", "ForeignLayers", "s", spec->foreign);
    if (r >= 0 && spec->has_max_bandwidth)
        r = sd_bus_message_append(message, "{sv}", "MaxBandwidth", "t", spec->max_bandwidth);
    if (r >= 0 && credentials >= 0)
        r = sd_bus_message_append(message, "{sv}", "Credentials", "h", credentials);
    return r < 0 ? r : sd_bus_message_close_container(message);
}
