/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `inspect`: all about one image: its documents as texts, and which of its layers are here.
 * A document is told only when it is what its digest says, and only as a text that a bus can carry.
 */

#include "base/error.h"
#include "oci/document.h"
#include "transfer/kinds.h"
#include "transfer/store-job.h"

typedef struct {
    BerthStoreKeys store;
    char *image;
    bool brief;
} Arguments;

static const BerthOption keys[] = {
    BERTH_STORE_KEYS,
    { "Image", "s", offsetof(Arguments, image), .required = true },
    { "Brief", "b", offsetof(Arguments, brief) },
    { NULL },
};

static int append_layer(sd_bus_message *result, BerthStore *store, const BerthDescriptor *layer)
{
    char *no_urls[] = { NULL };
    int64_t size;
    int present =
        berth_store_stat_blob(store, &layer->digest, &size, NULL) > 0 && size == layer->size;
    int r = sd_bus_message_open_container(result, 'a', "{sv}");

    if (r >= 0)
        r = sd_bus_message_append(result, "{sv}{sv}{sv}{sv}", "Digest", "s", layer->digest.text,
                                  "MediaType", "s", layer->media_type, "Size", "t",
                                  (uint64_t)layer->size, "Present", "b", present);
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append(result, "s", "Urls");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'v', "as");
    if (r >= 0)
        r = sd_bus_message_append_strv(result, layer->urls ? layer->urls : no_urls);
    for (int i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(result);
    return r;
}

/* @manifest: (nullable): of an index there are no layers to tell. */
static int append_layers(sd_bus_message *result, BerthStore *store, const BerthManifest *manifest)
{
    int r = sd_bus_message_open_container(result, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append(result, "s", "Layers");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'v', "aa{sv}");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && manifest && i < manifest->layers->len; i++)
        r = append_layer(result, store, manifest->layers->pdata[i]);
    for (int i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(result);
    return r;
}

/* The config as a text; "" when there is none, or it is something else than a text. */
static char *read_config(BerthStore *store, const BerthManifest *manifest)
{
    g_autoptr(GBytes) bytes = NULL;
    const char *text;
    gsize size;

    if (manifest)
        bytes =
            berth_store_read_blob(store, &manifest->config->digest, BERTH_DOCUMENT_BYTES_MAX, NULL);
    text = bytes ? g_bytes_get_data(bytes, &size) : NULL;
    return text && g_utf8_validate(text, (gssize)size, NULL) ? g_strndup(text, size) : g_strdup("");
}

static BerthDocument *read_document(BerthStore *store, const BerthImage *image, GError **error)
{
    g_autoptr(GBytes) raw =
        berth_store_read_blob(store, &image->digest, BERTH_DOCUMENT_BYTES_MAX, error);

    return raw ? berth_document_parse(raw, image->media_type, &image->digest, error) : NULL;
}

/* What decides who may do something with @image, whatever has become of its documents. */
static bool tell_brief(sd_bus_message *result, const BerthImage *image, GError **error)
{
    int r = sd_bus_message_append(result, "{sv}", "Digest", "s", image->digest.text);

    if (r >= 0)
        r = berth_append_ids(result, "Readers", image->owners);
    return berth_store_job_told(r, error);
}

static bool tell_all(BerthJob *job, BerthStore *store, const BerthImage *image, GError **error)
{
    g_autoptr(BerthDocument) document = read_document(store, image, error);
    g_autofree char *text = NULL, *config = NULL;
    gsize size;
    const char *raw;
    int r;

    if (!document)
        return false;
    raw = g_bytes_get_data(document->raw, &size);
    text = g_strndup(raw, size); /* it was parsed, so it is UTF-8 without NUL */
    config = read_config(store, document->manifest);
    r = berth_append_image(job->result, store, image);
    if (r >= 0)
        r = sd_bus_message_append(job->result, "{sv}{sv}", "Manifest", "s", text, "Config", "s",
                                  config);
    if (r >= 0)
        r = append_layers(job->result, store, document->manifest);
    if (r >= 0)
        r = berth_append_ids(job->result, "Readers", image->owners);
    return berth_store_job_told(r, error);
}

static bool work(BerthJob *job, GError **error)
{
    Arguments *arguments = job->arguments;
    g_autoptr(BerthStore) store = berth_store_job_open(&arguments->store, error);
    g_autoptr(BerthImage) image = store ? berth_store_find(store, arguments->image, error) : NULL;

    if (!image)
        return false;
    return arguments->brief ? tell_brief(job->result, image, error)
                            : tell_all(job, store, image, error);
}

const BerthKind berth_kind_inspect = {
    .name = "inspect",
    .class = BERTH_CLASS_QUERY,
    .keys = keys,
    .size = sizeof(Arguments),
    .prepare = berth_store_job_prepare,
    .work = work,
};
