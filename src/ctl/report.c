/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How berthctl says that something failed: one line for people on standard error, always, and one
 * object for programs on standard output when JSON was asked for, where they read the result too.
 * Formats are looked up in the catalog here, so that callers write plain text. Must never print raw
 * control characters of somebody else's text.
 */

#include "ctl/report.h"

#include "base/error.h"
#include "ctl/output.h"
#include "ctl/text.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void print_line(const char *message)
{
    g_autofree char *line = ctl_escape(message);

    fflush(stdout);
    fprintf(stderr, "berthctl: %s\n", line);
}

static void report(const Ctl *ctl, const char *name, const char *message)
{
    print_line(message);
    if (ctl->json != CTL_JSON_OFF) {
        json_t *object = json_pack("{s:s, s:s}", "error", name, "message", message);

        if (object)
            ctl_print_json(ctl, object);
        json_decref(object);
    }
}

int ctl_fail(const Ctl *ctl, const char *name, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(gettext(format), args);
    va_end(args);
    report(ctl, name, message);
    return EXIT_FAILURE;
}

int ctl_fail_error(const Ctl *ctl, const GError *error)
{
    report(ctl, berth_error_dbus_name(error->code), error->message);
    return EXIT_FAILURE;
}

int ctl_fail_bus(const Ctl *ctl, const sd_bus_error *error, int r)
{
    sd_bus_error local __attribute__((cleanup(sd_bus_error_free))) = SD_BUS_ERROR_NULL;

    if (!sd_bus_error_is_set(error)) {
        sd_bus_error_set_errno(&local, r);
        error = &local;
    }
    if (sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
        return ctl_fail(ctl, error->name,
                        "Berth is not running on this bus and cannot be started (%s); start "
                        "berthd, or name its bus with --address=",
                        error->message ?: error->name);
    report(ctl, error->name, error->message ?: error->name);
    return EXIT_FAILURE;
}

int ctl_usage(const Ctl *ctl, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(gettext(format), args);
    va_end(args);
    report(ctl, SD_BUS_ERROR_INVALID_ARGS, message);
    return CTL_EXIT_USAGE;
}

void ctl_note(const Ctl *ctl, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    if (ctl->quiet)
        return;
    va_start(args, format);
    message = g_strdup_vprintf(gettext(format), args);
    va_end(args);
    print_line(message);
}

void ctl_warn(const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(gettext(format), args);
    va_end(args);
    print_line(message);
}
