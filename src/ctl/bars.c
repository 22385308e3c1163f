/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Progress bars, one for each layer that is under way and one in total, drawn again and again at
 * the same place. Each frame is one write, so that a slow terminal does not flicker. Lines are kept
 * shorter than the terminal is wide: one that wrapped would be two, and the place would be lost. It
 * must never move above what it drew itself.
 */

#include "ctl/bars.h"

#include "ctl/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LABEL_WIDTH   14
#define BYTES_WIDTH   15 /* 1023.9M/1023.9M */
#define SPEED_WIDTH   22 /* behind the total: 1023.9M/s, 99h59m left */
#define BAR_WIDTH_MIN 8
#define BAR_WIDTH_MAX 50

typedef struct {
    unsigned columns, rows;
} Size;

bool ctl_bars_usable(int fd)
{
    const char *terminal = getenv("TERM");

    return isatty(fd) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

static Size get_size(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return (Size){ 80, 24 };
    return (Size){ size.ws_col, size.ws_row };
}

static void append_bar(GString *line, unsigned width, uint64_t done, uint64_t total)
{
    unsigned inner = width - 2; /* the brackets */
    unsigned full =
        total > 0 ? (unsigned)((double)MIN(done, total) / (double)total * (double)inner) : 0;

    g_string_append_c(line, '[');
    for (unsigned i = 0; i < inner; i++)
        g_string_append_c(line, i < full ? '=' : i == full && total > 0 ? '>' : ' ');
    g_string_append_c(line, ']');
}

/* How wide bars are in lines of @columns; 0: there is no room for any. */
static unsigned bar_width(unsigned columns)
{
    unsigned rest = LABEL_WIDTH + 1 + BYTES_WIDTH + 1 + SPEED_WIDTH + 1;

    if (columns < rest + BAR_WIDTH_MIN)
        rest = LABEL_WIDTH + 1 + BYTES_WIDTH + 1;
    if (columns < rest + BAR_WIDTH_MIN)
        return 0;
    return MIN(columns - rest, BAR_WIDTH_MAX);
}

/* Adds a line, cut to @columns, in place of what stood there. All text here is ASCII. */
static void add_line(GString *frame, unsigned columns, unsigned n, const GString *line)
{
    if (n > 0)
        g_string_append_c(frame, '\n');
    g_string_append_c(frame, '\r');
    g_string_append_len(frame, line->str, (gssize)MIN(line->len, columns));
    g_string_append(frame, "\033[K");
}

static void fill_line(GString *line, const char *label, unsigned width, uint64_t done,
                      uint64_t total)
{
    g_autofree char *bytes = ctl_progress_bytes(done, total);

    g_string_printf(line, "%-*.*s ", LABEL_WIDTH, LABEL_WIDTH, label);
    if (width > 0) {
        append_bar(line, width, done, total);
        g_string_append_printf(line, " %*s", BYTES_WIDTH, bytes);
    } else {
        g_string_append(line, bytes);
    }
}

static void fill_total(GString *line, const CtlProgress *progress, Size size)
{
    unsigned width = bar_width(size.columns);
    g_autofree char *label = NULL;
    g_autofree char *speed = ctl_progress_speed(progress);

    if (g_strcmp0(progress->state, "running") != 0)
        label = g_strdup(progress->state ?: "");
    else if (progress->layers->len > 0)
        label = g_strdup_printf(_("%u/%u layers"), ctl_progress_layers_over(progress),
                                progress->layers->len);
    else
        label = g_strdup(_("total"));

    fill_line(line, label, width, progress->done, progress->total);
    if (*speed)
        g_string_append_printf(line, " %s", speed);
    /* rate and remaining time tell more than a bar does */
    if (line->len > size.columns && *speed) {
        g_autofree char *summary = ctl_progress_summary(progress);

        g_string_assign(line, summary);
    }
}

/* Appends the lines to @frame. Returns: how many. */
static unsigned render(const CtlProgress *progress, Size size, GString *frame)
{
    g_autoptr(GString) line = g_string_new(NULL);
    unsigned room = MAX(size.rows, 3) - 2, lines = 0, running = 0;

    for (guint i = 0; i < progress->layers->len; i++) {
        const CtlLayer *layer = progress->layers->pdata[i];
        g_autofree char *name = ctl_layer_short_name(layer);

        if (strcmp(layer->state, "running") != 0 || ++running > room)
            continue;
        fill_line(line, name, bar_width(size.columns), layer->done, layer->total);
        add_line(frame, size.columns, lines++, line);
    }
    fill_total(line, progress, size);
    add_line(frame, size.columns, lines++, line);
    return lines;
}

/* What a terminal does not take at once is waited for; a terminal that is gone is no failure. */
static void write_frame(int fd, const char *frame, size_t length)
{
    size_t written = 0;

    while (written < length) {
        ssize_t n = write(fd, frame + written, length - written);

        if (n < 0 && errno != EINTR)
            return;
        written += n > 0 ? (size_t)n : 0;
    }
}

/* To the start of the first line that was drawn. */
static void append_home(const CtlBars *bars, GString *frame)
{
    g_string_append_c(frame, '\r');
    if (bars->drawn > 1)
        g_string_append_printf(frame, "\033[%uA", bars->drawn - 1);
}

void ctl_bars_draw(CtlBars *bars, const CtlProgress *progress)
{
    g_autoptr(GString) frame = g_string_new(NULL);
    Size size = get_size(bars->fd);

    size.columns = MAX(size.columns, 2) - 1;
    append_home(bars, frame);
    bars->drawn = render(progress, size, frame);
    g_string_append(frame, "\033[J");
    write_frame(bars->fd, frame->str, frame->len);
}

void ctl_bars_clear(CtlBars *bars)
{
    g_autoptr(GString) frame = g_string_new(NULL);

    if (bars->drawn == 0)
        return;
    append_home(bars, frame);
    g_string_append(frame, "\033[J");
    bars->drawn = 0;
    write_frame(bars->fd, frame->str, frame->len);
}

void ctl_bars_forget(CtlBars *bars)
{
    if (bars->drawn > 0)
        write_frame(bars->fd, "\n", 1);
    bars->drawn = 0;
}
