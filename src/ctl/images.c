/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs on images in the store that need one call: images, inspect, tag, remove-image, prune.
 */

#include "base/names.h"
#include "base/size.h"
#include "ctl/bus.h"
#include "ctl/json.h"
#include "ctl/object.h"
#include "ctl/output.h"
#include "ctl/report.h"
#include "ctl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_DIGITS 12

/* By reference, those without one last; then by digest: an order that stays. */
static int compare_rows(gconstpointer a, gconstpointer b)
{
    const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;
    const char *name = ctl_json_text(left, "Reference"), *other = ctl_json_text(right, "Reference");
    int order = (!*name - !*other) ?: strcmp(name, other);

    return order ?: strcmp(ctl_json_text(left, "Digest"), ctl_json_text(right, "Digest"));
}

/* An image that has no name is known by its digest alone, which is then shown in full. */
static char *digest_cell(const json_t *row)
{
    const char *digest = ctl_json_text(row, "Digest"), *colon = strchr(digest, ':');
    size_t length = colon ? (size_t)(colon - digest) + 1 + SHORT_DIGITS : strlen(digest);

    if (!*ctl_json_text(row, "Reference"))
        return g_strdup(digest);
    return g_strndup(digest, MIN(length, strlen(digest)));
}

static void print_images(const Ctl *ctl, const json_t *rows)
{
    static const char *const headers[] = { "REFERENCE", "DIGEST", "PLATFORM",
                                           ">SIZE",     "PULLED", "OWNER" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char *cells[] = {
            g_strdup(ctl_json_text(row, "Reference")),
            digest_cell(row),
            g_strdup(ctl_json_text(row, "Platform")),
            ctl_object_size(row, "Size"),
            ctl_format_time((uint64_t)ctl_json_number(row, "PulledUSec")),
            ctl_format_user((uint32_t)ctl_json_number(row, "Owner")),
        };

        G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(headers));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "images");
}

static int append_filter(sd_bus_message *message, const char *prefix)
{
    return prefix ? sd_bus_message_append(message, "a{sv}", 1, "Reference", "s", prefix)
                  : sd_bus_message_append(message, "a{sv}", 0);
}

int ctl_verb_images(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *message = NULL;
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) rows = NULL;
    g_autoptr(json_t) sorted = NULL;
    int r;

    if (!ctl_bus_new_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "List", &message) ||
        !ctl_bus_send(ctl, message,
                      append_filter(message, ctl->n_operands > 0 ? ctl->operands[0] : NULL),
                      &reply))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &rows);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    sorted = ctl_json_sort(rows, compare_rows);
    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        print_images(ctl, sorted);
    else
        ctl_print_json(ctl, sorted);
    return EXIT_SUCCESS;
}

/* In the order of the manifest, which is that in which they are unpacked. */
static void print_layers(const Ctl *ctl, const json_t *layers)
{
    static const char *const headers[] = { "LAYER", ">SIZE", "PRESENT", "MEDIA TYPE", "URLS" };
    g_autoptr(CtlTable) table = ctl_table_new(headers, G_N_ELEMENTS(headers));

    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *row = json_array_get(layers, i);
        g_autoptr(GString) urls = g_string_new(NULL);
        size_t n;
        json_t *url;

        json_array_foreach(json_object_get(row, "Urls"), n, url)
        {
            g_string_append_printf(urls, "%s%s", n > 0 ? " " : "", json_string_value(url) ?: "");
        }
        char *cells[] = {
            g_strdup(ctl_json_text(row, "Digest")),
            ctl_object_size(row, "Size"),
            g_strdup(json_is_true(json_object_get(row, "Present")) ? "yes" : "no"),
            g_strdup(ctl_json_text(row, "MediaType")),
            g_strdup(urls->str),
        };

        G_STATIC_ASSERT(G_N_ELEMENTS(cells) == G_N_ELEMENTS(headers));
        ctl_table_add(table, cells);
    }
    ctl_table_print(ctl, table, "layers");
}

/* Manifest and configuration are for programs; --json has them. */
static void print_image(const Ctl *ctl, json_t *image)
{
    g_autoptr(json_t) layers = json_incref(json_object_get(image, "Layers"));
    static const char *const left_out[] = { "Layers", "Manifest", "Config" };

    for (unsigned i = 0; i < G_N_ELEMENTS(left_out); i++)
        json_object_del(image, left_out[i]);
    ctl_object_print(image);
    putchar('\n');
    print_layers(ctl, layers);
}

int ctl_verb_inspect(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    g_autoptr(json_t) image = NULL;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Inspect", &reply, "sa{sv}",
                      ctl->operands[0], 0))
        return EXIT_FAILURE;
    r = ctl_json_read(reply, &image);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    ctl_pager_open(ctl);
    if (ctl->json == CTL_JSON_OFF)
        print_image(ctl, image);
    else
        ctl_print_json(ctl, image);
    return EXIT_SUCCESS;
}

int ctl_verb_tag(Ctl *ctl)
{
    return ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Tag", NULL, "ssa{sv}",
                        ctl->operands[0], ctl->operands[1], 0)
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}

int ctl_verb_remove_image(Ctl *ctl)
{
    int status = EXIT_SUCCESS;

    for (int i = 0; i < ctl->n_operands; i++)
        if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Remove", NULL, "sa{sv}",
                          ctl->operands[i], 0))
            status = EXIT_FAILURE;
    return status;
}

int ctl_verb_prune(Ctl *ctl)
{
    CTL_AUTO_MESSAGE *reply = NULL;
    uint64_t bytes;
    uint32_t blobs;
    int r;

    if (!ctl_bus_call(ctl, BERTH_OBJECT_ROOT, BERTH_IF_IMAGES, "Prune", &reply, "a{sv}", 0))
        return EXIT_FAILURE;
    r = sd_bus_message_read(reply, "tu", &bytes, &blobs);
    if (r < 0)
        return ctl_fail_bus(ctl, NULL, r);
    if (ctl->json == CTL_JSON_OFF) {
        g_autofree char *size = berth_size_format(bytes);

        printf(_("%" PRIu32 " blobs removed, %s freed.\n"), blobs, size);
    } else {
        g_autoptr(json_t) object =
            json_pack("{s:I, s:I}", "Bytes", (json_int_t)bytes, "Blobs", (json_int_t)blobs);

        ctl_print_json(ctl, object);
    }
    return EXIT_SUCCESS;
}
