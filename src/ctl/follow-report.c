/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What berthctl says while it follows a transfer. For people on standard error: bars on a terminal,
 * else a line for each layer that ended and one in total every few seconds, and in the end where
 * the layers came from. The result, the digest, is all there is on standard output, so that a
 * script can keep it. For programs: one event a line, there.
 */

#include "ctl/follow-report.h"

#include "base/json.h"
#include "base/size.h"
#include "ctl/output.h"
#include "ctl/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_INTERVAL_USEC UINT64_C(10000000)

void ctl_follow_report_init(CtlFollowReport *report, const Ctl *ctl, const CtlProgress *progress)
{
    *report = (CtlFollowReport){ .ctl = ctl, .progress = progress, .bars.fd = STDERR_FILENO };
    if (ctl->json != CTL_JSON_OFF)
        report->form = CTL_FOLLOW_EVENTS;
    else if (ctl->quiet)
        report->form = CTL_FOLLOW_QUIET;
    else
        report->form = ctl_bars_usable(STDERR_FILENO) ? CTL_FOLLOW_BARS : CTL_FOLLOW_LINES;
}

static void print_event(const char *event, uint32_t id, json_t *rest)
{
    g_autoptr(json_t) object = json_pack("{s:s, s:I}", "event", event, "Id", (json_int_t)id);

    json_object_update(object, rest);
    json_decref(rest);
    ctl_print_json_line(object);
}

static json_t *pack_layer(const CtlLayer *layer)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s}", "Digest", layer->digest, "State", layer->state,
                     "Done", (json_int_t)layer->done, "Total", (json_int_t)layer->total, "Source",
                     layer->source);
}

static void print_layer(const CtlFollowReport *report, uint32_t index)
{
    json_t *object = pack_layer(report->progress->layers->pdata[index]);

    json_object_set_new(object, "Index", json_integer(index));
    json_object_del(object, "Source"); /* told in the end */
    print_event("layer", report->progress->id, object);
}

void ctl_follow_report_started(CtlFollowReport *report, const char *path)
{
    const CtlProgress *progress = report->progress;

    report->changed = true;
    if (report->form != CTL_FOLLOW_EVENTS)
        return;
    print_event("started", progress->id,
                json_pack("{s:s, s:s*, s:s*}", "Path", path, "Kind", progress->kind, "Reference",
                          progress->reference));
    for (guint i = 0; i < progress->layers->len; i++)
        print_layer(report, i);
}

void ctl_follow_report_layer(CtlFollowReport *report, uint32_t index, bool over)
{
    const CtlLayer *layer =
        index < report->progress->layers->len ? report->progress->layers->pdata[index] : NULL;

    if (!layer)
        return;
    report->changed = true;
    if (report->form == CTL_FOLLOW_EVENTS) {
        print_layer(report, index);
    } else if (report->form == CTL_FOLLOW_LINES && over) {
        g_autofree char *name = ctl_layer_short_name(layer);
        g_autofree char *size = berth_size_format(layer->total);

        ctl_note(report->ctl, "layer %s %s, %s", name, layer->state, size);
    }
}

void ctl_follow_report_changed(CtlFollowReport *report)
{
    const CtlProgress *progress = report->progress;

    report->changed = true;
    if (report->form == CTL_FOLLOW_EVENTS)
        print_event("progress", progress->id,
                    json_pack("{s:s*, s:I, s:I, s:I}", "State", progress->state, "BytesDone",
                              (json_int_t)progress->done, "BytesTotal", (json_int_t)progress->total,
                              "Rate", (json_int_t)progress->rate));
}

void ctl_follow_report_tick(CtlFollowReport *report, uint64_t now)
{
    if (!report->changed)
        return;
    if (report->form == CTL_FOLLOW_BARS) {
        ctl_bars_draw(&report->bars, report->progress);
        report->changed = false;
    } else if (report->form == CTL_FOLLOW_LINES && report->last_line == 0) {
        report->last_line = now; /* what is over soon needs no line */
    } else if (report->form == CTL_FOLLOW_LINES && now - report->last_line > LINE_INTERVAL_USEC) {
        g_autofree char *summary = ctl_progress_summary(report->progress);

        ctl_note(report->ctl, "%s", summary);
        report->last_line = now;
        report->changed = false;
    }
}

void ctl_follow_report_detached(CtlFollowReport *report)
{
    const Ctl *ctl = report->ctl;
    g_autofree char *address = ctl->address ? g_shell_quote(ctl->address) : NULL;

    ctl_bars_clear(&report->bars);
    if (report->form == CTL_FOLLOW_EVENTS)
        print_event("detached", report->progress->id, json_object());
    ctl_warn("the transfer goes on; cancel it with: berthctl %s%s%scancel %u",
             address ? "--address=" : "", address ?: "", address ? " " : "", report->progress->id);
}

static void print_layers(const CtlFollowReport *report)
{
    for (guint i = 0; i < report->progress->layers->len; i++) {
        const CtlLayer *layer = report->progress->layers->pdata[i];
        g_autofree char *size = berth_size_format(layer->total);
        const char *source = *layer->source ? layer->source : layer->state;

        ctl_note(report->ctl, "%s %7s %s", layer->digest, size, source);
    }
}

static void print_finished(const CtlFollowReport *report, const char *name, const char *message)
{
    const CtlProgress *progress = report->progress;
    json_t *layers = json_array();

    for (guint i = 0; i < progress->layers->len; i++)
        json_array_append_new(layers, pack_layer(progress->layers->pdata[i]));
    print_event("finished", progress->id,
                json_pack("{s:s*, s:s*, s:I, s:I, s:o, s:s*, s:s*}", "State", progress->state,
                          "Digest", progress->digest && *progress->digest ? progress->digest : NULL,
                          "BytesDone", (json_int_t)progress->done, "BytesTotal",
                          (json_int_t)progress->total, "Layers", layers, "error", name, "message",
                          message));
}

int ctl_follow_report_finished(CtlFollowReport *report)
{
    const CtlProgress *progress = report->progress;
    const char *name = NULL, *message = NULL;

    ctl_bars_clear(&report->bars);
    if (g_strcmp0(progress->state, "done") != 0) {
        name = progress->error_name && *progress->error_name ? progress->error_name
                                                             : SD_BUS_ERROR_FAILED;
        message =
            progress->error_message && *progress->error_message ? progress->error_message : name;
        ctl_warn("%s", message);
    } else if (report->form == CTL_FOLLOW_BARS || report->form == CTL_FOLLOW_LINES) {
        print_layers(report);
    }
    if (report->form == CTL_FOLLOW_EVENTS)
        print_finished(report, name, message);
    else if (!name && progress->digest && *progress->digest &&
             g_strcmp0(report->ctl->transfer.output, "-") != 0)
        puts(progress->digest);
    return name ? EXIT_FAILURE : EXIT_SUCCESS;
}
