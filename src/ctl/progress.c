/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What berthctl knows about a transfer, put together from properties, Describe and signals, and in
 * words. Nothing is drawn or asked here.
 */

#include "ctl/progress.h"

#include "base/size.h"
#include "ctl/json.h"
#include "ctl/output.h"
#include "ctl/text.h"

#include <inttypes.h>
#include <string.h>

#define LAYERS_MAX   65536
#define SHORT_DIGITS 12

static void free_layer(gpointer data)
{
    CtlLayer *layer = data;

    g_free(layer->digest);
    g_free(layer->state);
    g_free(layer->source);
    g_free(layer);
}

void ctl_progress_init(CtlProgress *progress)
{
    *progress = (CtlProgress){ .layers = g_ptr_array_new_with_free_func(free_layer) };
}

void ctl_progress_clear(CtlProgress *progress)
{
    g_free(progress->kind);
    g_free(progress->reference);
    g_free(progress->digest);
    g_free(progress->state);
    g_free(progress->error_name);
    g_free(progress->error_message);
    g_clear_pointer(&progress->layers, g_ptr_array_unref);
}

static void set_text(char **text, const char *value)
{
    if (g_strcmp0(*text, value) == 0)
        return;
    g_free(*text);
    *text = g_strdup(value);
}

static void take_text(const json_t *values, const char *key, char **text)
{
    const char *value = json_string_value(json_object_get(values, key));

    if (value)
        set_text(text, value);
}

static void take_number(const json_t *values, const char *key, uint64_t *number)
{
    const json_t *value = json_object_get(values, key);

    if (json_is_integer(value))
        *number = (uint64_t)json_integer_value(value);
}

/* Returns: (transfer none) (nullable): the layer of that index, made if need be. */
static CtlLayer *get_layer(CtlProgress *progress, size_t index)
{
    if (index >= LAYERS_MAX)
        return NULL;
    while (progress->layers->len <= index) {
        CtlLayer *layer = g_new0(CtlLayer, 1);

        set_text(&layer->digest, "");
        set_text(&layer->state, "waiting");
        set_text(&layer->source, "");
        g_ptr_array_add(progress->layers, layer);
    }
    return progress->layers->pdata[index];
}

static void update_layers(CtlProgress *progress, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        CtlLayer *layer = get_layer(progress, i);

        if (!layer)
            return;
        take_text(row, "Digest", &layer->digest);
        take_text(row, "State", &layer->state);
        take_text(row, "Source", &layer->source);
        take_number(row, "Done", &layer->done);
        take_number(row, "Total", &layer->total);
    }
}

void ctl_progress_update(CtlProgress *progress, const json_t *values)
{
    uint64_t id = progress->id;

    take_number(values, "Id", &id);
    progress->id = (uint32_t)id;
    take_text(values, "Kind", &progress->kind);
    take_text(values, "Reference", &progress->reference);
    take_text(values, "Digest", &progress->digest);
    take_text(values, "State", &progress->state);
    take_text(values, "ErrorName", &progress->error_name);
    take_text(values, "ErrorMessage", &progress->error_message);
    take_number(values, "BytesDone", &progress->done);
    take_number(values, "BytesTotal", &progress->total);
    take_number(values, "Rate", &progress->rate);
    update_layers(progress, json_object_get(values, "Layers"));
}

bool ctl_progress_set_layer(CtlProgress *progress, uint32_t index, const char *digest,
                            const char *state, uint64_t done, uint64_t total)
{
    CtlLayer *layer = get_layer(progress, index);
    bool was_over;

    if (!layer)
        return false;
    was_over = ctl_layer_is_over(layer);
    set_text(&layer->digest, digest);
    set_text(&layer->state, state);
    layer->done = done;
    layer->total = total;
    return !was_over && ctl_layer_is_over(layer);
}

bool ctl_progress_is_over(const CtlProgress *progress)
{
    static const char *const states[] = { "done", "failed", "cancelled", NULL };

    return progress->state && g_strv_contains(states, progress->state);
}

bool ctl_layer_is_over(const CtlLayer *layer)
{
    static const char *const states[] = { "done", "skipped", "failed", NULL };

    return g_strv_contains(states, layer->state);
}

char *ctl_layer_short_name(const CtlLayer *layer)
{
    const char *colon = strchr(layer->digest, ':');
    const char *digits = colon ? colon + 1 : layer->digest;
    g_autofree char *name = g_strndup(digits, strnlen(digits, SHORT_DIGITS));

    return ctl_escape(name);
}

unsigned ctl_progress_layers_over(const CtlProgress *progress)
{
    unsigned over = 0;

    for (guint i = 0; i < progress->layers->len; i++)
        over += ctl_layer_is_over(progress->layers->pdata[i]);
    return over;
}

char *ctl_progress_bytes(uint64_t done, uint64_t total)
{
    g_autofree char *left = berth_size_format(done);
    g_autofree char *right = berth_size_format(total);

    return total > 0 ? g_strdup_printf("%s/%s", left, right) : g_strdup(left);
}

static char *format_seconds(uint64_t seconds)
{
    if (seconds < 60)
        return g_strdup_printf("%" PRIu64 "s", seconds);
    if (seconds < 3600)
        return g_strdup_printf("%" PRIu64 "m%02us", seconds / 60, (unsigned)(seconds % 60));
    return g_strdup_printf("%" PRIu64 "h%02um", seconds / 3600, (unsigned)(seconds / 60 % 60));
}

char *ctl_progress_speed(const CtlProgress *progress)
{
    g_autofree char *rate = berth_size_format(progress->rate);
    g_autofree char *rest = NULL;

    if (progress->rate == 0)
        return g_strdup("");
    if (progress->total <= progress->done)
        return g_strdup_printf("%s/s", rate);
    rest = format_seconds((progress->total - progress->done) / progress->rate);
    return g_strdup_printf(_("%s/s, %s left"), rate, rest);
}

char *ctl_progress_summary(const CtlProgress *progress)
{
    g_autofree char *bytes = ctl_progress_bytes(progress->done, progress->total);
    g_autofree char *speed = ctl_progress_speed(progress);

    if (progress->layers->len == 0)
        return g_strdup_printf("%s%s%s", bytes, *speed ? ", " : "", speed);
    return g_strdup_printf(_("%u/%u layers, %s%s%s"), ctl_progress_layers_over(progress),
                           progress->layers->len, bytes, *speed ? ", " : "", speed);
}
