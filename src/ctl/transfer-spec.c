/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of the methods of Images that start a transfer, as the command line gives them. Words
 * are passed on as they are: what a platform or a policy may be is decided by the service alone.
 */

#include "ctl/transfer-spec.h"

static int append_text(sd_bus_message *message, const char *key, const char *text)
{
    return text ? sd_bus_message_append(message, "{sv}", key, "s", text) : 0;
}

static int append_flag(sd_bus_message *message, const char *key, bool flag)
{
    return flag ? sd_bus_message_append(message, "{sv}", key, "b", true) : 0;
}

int ctl_transfer_spec_append(const CtlTransferSpec *spec, int credentials, sd_bus_message *message)
{
    int r = sd_bus_message_open_container(message, 'a', "{sv}");

    if (r >= 0)
        r = append_text(message, "Platform", spec->platform);
    if (r >= 0)
        r = append_flag(message, "AllPlatforms", spec->all_platforms);
    if (r >= 0)
        r = append_flag(message, "Referrers", spec->referrers);
    if (r >= 0)
        r = append_text(message, "ForeignLayers", spec->foreign);
    if (r >= 0)
        r = append_text(message, "Format", spec->format);
    if (r >= 0)
        r = append_flag(message, "IncludeForeign", spec->include_foreign);
    if (r >= 0)
        r = append_text(message, "Reference", spec->reference);
    if (r >= 0 && spec->has_max_bandwidth)
        r = sd_bus_message_append(message, "{sv}", "MaxBandwidth", "t", spec->max_bandwidth);
    if (r >= 0 && credentials >= 0)
        r = sd_bus_message_append(message, "{sv}", "Credentials", "h", credentials);
    return r < 0 ? r : sd_bus_message_close_container(message);
}
