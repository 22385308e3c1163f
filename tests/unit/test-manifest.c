/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manifests and indexes: what is read from each kind, which of them a document is, and what is
 * refused: ambiguous, lying, oversized and old ones. Media types and URLs stand here too.
 */

#include "base/error.h"
#include "oci/document.h"
#include "oci/hash.h"

#include <stdarg.h>
#include <string.h>

#define OCI             "application/vnd.oci.image."
#define DOCKER          "application/vnd.docker.distribution."
#define OCI_MANIFEST    OCI "manifest.v1+json"
#define OCI_INDEX       OCI "index.v1+json"
#define DOCKER_MANIFEST DOCKER "manifest.v2+json"
#define DOCKER_LIST     DOCKER "manifest.list.v2+json"

#define ABC             "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DESCRIPTOR(type, more)                                                                     \
    "{\"mediaType\":\"" type "\",\"digest\":\"" ABC "\",\"size\":3" more "}"
#define CONFIG DESCRIPTOR(OCI "config.v1+json", "")
#define LAYER  DESCRIPTOR(OCI "layer.v1.tar+gzip", "")
#define V2     "\"schemaVersion\":2,"

static BerthDocument *parse(const char *json, const char *content_type, GError **error)
{
    g_autoptr(GBytes) raw = g_bytes_new(json, strlen(json));

    return berth_document_parse(raw, content_type, NULL, error);
}

static BerthDocument *parse_good(const char *json, const char *content_type)
{
    g_autoptr(GError) error = NULL;
    BerthDocument *document = parse(json, content_type, &error);

    g_assert_no_error(error);
    g_assert_nonnull(document);
    g_assert_true(!document->manifest != !document->index);
    return document;
}

static void assert_code(const char *json, const char *content_type, int code, const char *why)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(parse(json, content_type, &error));
    g_assert_error(error, BERTH_ERROR, code);
    if (!strstr(error->message, why))
        g_test_message("%.200s: %s", json, error->message);
    g_assert_nonnull(strstr(error->message, why));
    g_assert_true(g_str_has_prefix(error->message, "manifest sha256:"));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

static void assert_refused(const char *json, const char *why)
{
    assert_code(json, NULL, BERTH_ERROR_MANIFEST_INVALID, why);
}

/* A manifest whose one layer is @layer. */
static void assert_layer_refused(const char *layer, const char *why)
{
    g_autofree char *json =
        g_strdup_printf("{" V2 "\"config\":" CONFIG ",\"layers\":[" LAYER ",%s]}", layer);

    assert_refused(json, why);
    assert_refused(json, "\"layers\" entry 1: ");
}

/* Manifests */

static void test_manifest(void)
{
    static const char json[] =
        "{" V2 "\"mediaType\":\"" OCI_MANIFEST "\",\"config\":" CONFIG ",\"layers\":[" LAYER ","
        "{\"mediaType\":\"" OCI "layer.nondistributable.v1.tar+zstd\",\"size\":17592186044416,"
        "\"digest\":\"" ABC "\",\"urls\":[\"https://u.example/a\",\"ftp://u.example/b\"],"
        "\"annotations\":{\"a\":\"b\",\"\":\"\"}}],\"subject\":" LAYER ",\"artifactType\":\"a/b\","
        "\"annotations\":{\"k\":\"v\"},\"unknown\":[{}]}\n ";
    g_autoptr(BerthDocument) document = parse_good(json, OCI_MANIFEST);
    const BerthManifest *manifest = document->manifest;
    const BerthDescriptor *layer;

    g_assert_cmpint(document->type, ==, BERTH_MEDIA_OCI_MANIFEST);
    g_assert_cmpmem(g_bytes_get_data(document->raw, NULL), g_bytes_get_size(document->raw), json,
                    strlen(json));
    g_assert_cmpint(manifest->config->type, ==, BERTH_MEDIA_OCI_CONFIG);
    g_assert_cmpint(manifest->config->size, ==, 3);
    g_assert_null(manifest->config->urls);
    g_assert_cmpuint(manifest->layers->len, ==, 2);
    layer = manifest->layers->pdata[1];
    g_assert_true(berth_media_type_is_nondistributable(layer->type));
    g_assert_cmpint(layer->size, ==, BERTH_BLOB_SIZE_MAX);
    g_assert_cmpstr(layer->digest.text, ==, ABC);
    g_assert_cmpuint(g_strv_length(layer->urls), ==, 2);
    g_assert_cmpstr(layer->urls[1], ==, "ftp://u.example/b");
    g_assert_cmpstr(g_hash_table_lookup(layer->annotations, "a"), ==, "b");
    g_assert_cmpstr(manifest->subject->digest.text, ==, ABC);
    g_assert_cmpstr(manifest->artifact_type, ==, "a/b");
    g_assert_cmpstr(g_hash_table_lookup(manifest->annotations, "k"), ==, "v");
}

static void test_types(void)
{
    static const struct {
        const char *json, *content_type;
        BerthMediaType type;
    } cases[] = {
        { "{" V2 "\"config\":" CONFIG ",\"layers\":[]}", NULL, BERTH_MEDIA_OCI_MANIFEST },
        { "{" V2 "\"config\":" CONFIG ",\"layers\":null}", NULL, BERTH_MEDIA_OCI_MANIFEST },
        { "{" V2 "\"config\":" CONFIG ",\"layers\":[]}", "application/json",
          BERTH_MEDIA_OCI_MANIFEST },
        { "{" V2 "\"config\":" CONFIG ",\"layers\":[]}", "text/plain; charset=utf-8",
          BERTH_MEDIA_OCI_MANIFEST },
        { "{" V2 "\"config\":" CONFIG ",\"layers\":[]}", DOCKER_MANIFEST,
          BERTH_MEDIA_DOCKER_MANIFEST },
        { "{" V2 "\"mediaType\":\"" DOCKER_MANIFEST "\",\"config\":" CONFIG ",\"layers\":[]}",
          " " DOCKER_MANIFEST " ;charset=utf-8", BERTH_MEDIA_DOCKER_MANIFEST },
        { "{" V2 "\"manifests\":[]}", NULL, BERTH_MEDIA_OCI_INDEX },
        { "{" V2 "\"manifests\":[]}", OCI_INDEX, BERTH_MEDIA_OCI_INDEX },
        { "{" V2 "\"manifests\":[],\"mediaType\":\"" DOCKER_LIST "\"}", NULL,
          BERTH_MEDIA_DOCKER_LIST },
        { "{" V2 "\"manifests\":[],\"mediaType\":\"" OCI_INDEX "\"}",
          "Application/vnd.OCI.image.index.v1+json", BERTH_MEDIA_OCI_INDEX },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BerthDocument) document = parse_good(cases[i].json, cases[i].content_type);

        g_assert_cmpint(document->type, ==, cases[i].type);
        g_assert_cmpint(berth_media_type_kind(document->type), ==,
                        document->index ? BERTH_MEDIA_KIND_INDEX : BERTH_MEDIA_KIND_MANIFEST);
    }
}

static void test_type_differs(void)
{
    static const struct {
        const char *json, *content_type;
    } cases[] = {
        { "{" V2 "\"mediaType\":\"" OCI_MANIFEST "\",\"config\":" CONFIG ",\"layers\":[]}",
          DOCKER_MANIFEST },
        { "{" V2 "\"mediaType\":\"" OCI_MANIFEST "\",\"config\":" CONFIG ",\"layers\":[]}",
          "application/json" },
        { "{" V2 "\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[]}", OCI_MANIFEST },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_code(cases[i].json, cases[i].content_type, BERTH_ERROR_MANIFEST_INVALID,
                    "but it was served as");
    assert_code("{" V2 "\"manifests\":[]}", OCI_MANIFEST, BERTH_ERROR_MANIFEST_INVALID,
                "has the members of an index");
    assert_code("{" V2 "\"config\":" CONFIG ",\"layers\":[]}", OCI_INDEX,
                BERTH_ERROR_MANIFEST_INVALID, "has the members of a manifest");
    assert_code("{" V2 "\"config\":" CONFIG ",\"layers\":[]}", "text/html",
                BERTH_ERROR_MANIFEST_INVALID, "'text/html' is not the media type");
    assert_refused("{" V2 "\"mediaType\":\"" OCI "config.v1+json\",\"config\":" CONFIG
                   ",\"layers\":[]}",
                   "has the members of a manifest");
}

static void test_ambiguous(void)
{
    assert_refused("{" V2 "\"config\":" CONFIG ",\"layers\":[],\"manifests\":[]}", "both");
    assert_refused("{" V2 "\"layers\":null,\"manifests\":[]}", "both");
    assert_refused("{" V2 "\"manifests\":[],\"fsLayers\":[]}", "both");
    assert_refused("{" V2 "\"manifests\":[],\"manifests\":[]}", "duplicate");
    assert_refused("{" V2 "\"manifests\":[],\"Layers\":[]}", "must be spelt \"layers\"");
    assert_refused("{" V2 "\"manifests\":[],\"MEDIATYPE\":\"x\"}", "must be spelt");
}

static void test_schema1(void)
{
    static const char *const json[] = {
        "{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[],\"history\":[]}",
        "{" V2 "\"fsLayers\":[],\"history\":[],\"signatures\":[]}",
        "{\"schemaVersion\":1,\"mediaType\":\"" DOCKER "manifest.v1+json\"}",
        "{\"mediaType\":\"" DOCKER "manifest.v1+prettyjws\"}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(json); i++)
        assert_refused(json[i], "schema 1 manifests are not supported");
    assert_code(json[0], DOCKER "manifest.v1+prettyjws", BERTH_ERROR_MANIFEST_INVALID,
                "push the image again");
}

static void test_not_a_manifest(void)
{
    assert_refused("", "not JSON");
    assert_refused("<html>", "not JSON");
    assert_refused("[]", "not a JSON object");
    assert_refused("\"manifest\"", "not JSON");
    assert_refused("{}", "\"schemaVersion\" is missing");
    assert_refused("{" V2 "\"config\":{}} {}", "not JSON");
    assert_refused("{" V2 "\"name\":\"\xff\"}", "not JSON");
    assert_refused("{" V2 "\"name\":\"\\u0000\"}", "not JSON");
    assert_refused("{\"schemaVersion\":2}", "neither");
    assert_refused("{\"schemaVersion\":3,\"manifests\":[]}", "only 2");
    assert_refused("{\"schemaVersion\":\"2\",\"manifests\":[]}", "whole number");
    assert_refused("{\"schemaVersion\":2.0,\"manifests\":[]}", "whole number");
    assert_refused("{" V2 "\"mediaType\":7,\"manifests\":[]}", "\"mediaType\" is not a string");
    assert_refused("{" V2 "\"manifests\":{}}", "\"manifests\" is not an array");
    assert_refused("{" V2 "\"manifests\":[],\"annotations\":[]}", "\"annotations\" is not an");
    assert_refused("{" V2 "\"manifests\":[],\"annotations\":{\"k\":1}}", "not a string, 'k'");
    assert_refused("{" V2 "\"manifests\":[],\"subject\":[]}", "\"subject\" is not an object");
    assert_refused("{" V2 "\"manifests\":[],\"subject\":{}}", "\"subject\": \"mediaType\"");
    assert_refused("{" V2 "\"config\":" CONFIG "}", "\"layers\" is missing");
    assert_refused("{" V2 "\"layers\":[]}", "\"config\" is missing");
    assert_refused("{" V2 "\"config\":null,\"layers\":[]}", "\"config\" is missing");
}

/* Descriptors */

static void test_descriptor(void)
{
    assert_layer_refused("null", "not an object");
    assert_layer_refused("[]", "not an object");
    assert_layer_refused("{\"digest\":\"" ABC "\",\"size\":3}", "not a media type");
    assert_layer_refused("{\"mediaType\":\"a\",\"digest\":\"" ABC "\",\"size\":3}",
                         "not a media type");
    assert_layer_refused("{\"mediaType\":\"a/b\",\"size\":3}", "invalid digest ''");
    assert_layer_refused("{\"mediaType\":\"a/b\",\"size\":3,\"digest\":\"sha256:../../etc/x\"}",
                         "invalid digest 'sha256:../../etc/x'");
    assert_layer_refused("{\"mediaType\":\"a/b\",\"digest\":\"" ABC "\"}", "\"size\" is missing");
    assert_layer_refused("{\"mediaType\":\"a/b\",\"digest\":\"" ABC "\",\"size\":-1}",
                         "\"size\" is -1");
    assert_layer_refused("{\"mediaType\":\"a/b\",\"digest\":\"" ABC "\",\"size\":17592186044417}",
                         "\"size\" is 17592186044417");
    assert_layer_refused("{\"mediaType\":\"a/b\",\"digest\":\"" ABC "\",\"size\":1e3}",
                         "whole number");
    assert_refused("{" V2 "\"config\":" CONFIG ",\"layers\":[{\"size\":9223372036854775808}]}",
                   "not JSON");
}

static void test_urls(void)
{
    g_autofree char *long_url = g_strnfill(BERTH_URL_LENGTH_MAX + 1, 'u');
    g_autofree char *long_layer =
        g_strdup_printf(DESCRIPTOR("a/b", ",\"urls\":[\"%s\"]"), long_url);
    g_autoptr(GString) many = g_string_new("\"u\"");
    g_autofree char *many_layer = NULL;

    for (int i = 0; i < BERTH_URLS_MAX; i++)
        g_string_append(many, ",\"u\"");
    many_layer = g_strdup_printf(DESCRIPTOR("a/b", ",\"urls\":[%s]"), many->str);
    assert_layer_refused(DESCRIPTOR("a/b", ",\"urls\":\"u\""), "\"urls\" is not an array");
    assert_layer_refused(DESCRIPTOR("a/b", ",\"urls\":[1]"), "not a string");
    assert_layer_refused(long_layer, "at most 4096 bytes");
    assert_layer_refused(many_layer, "at most 32");
}

static void test_url_check(void)
{
    static const char *const good[] = { "http://h/", "HTTPS://h.example:1/a?b#c", "http://[::1]/x",
                                        "https://h", "https://h/a@b" };
    static const char *const bad[] = { "",
                                       "h.example/x",
                                       "//h/x",
                                       "ftp://h/x",
                                       "file:///etc/shadow",
                                       "http:///x",
                                       "http://:80/x",
                                       "http://u:p@h/x",
                                       "http://u@h",
                                       "http://h/a b",
                                       "http://h\\@x/",
                                       "http://h/\r\nX: y",
                                       "http://h/ä",
                                       "x?http://h/" };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(berth_url_check(good[i], NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(berth_url_check(bad[i], &error));
        g_assert_error(error, BERTH_ERROR, BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE);
    }
}

static void assert_shown(const char *url, const char *shown)
{
    g_autofree char *text = berth_url_shown(url);

    g_assert_cmpstr(text, ==, shown);
}

static void test_url_shown(void)
{
    assert_shown("https://h.example:1/a/b", "https://h.example:1/a/b");
    assert_shown("https://h/a?signature=x", "https://h/a");
    assert_shown("https://h/a#x", "https://h/a");
    assert_shown("http://user:secret@h/a?x@y", "***@h/a");
    assert_shown("http://user:s@cr@t@h/a", "***@h/a");
    assert_shown("", "");
}

static void test_data(void)
{
    g_autoptr(BerthDocument) document = parse_good(
        "{" V2 "\"config\":" DESCRIPTOR("a/b", ",\"data\":\"YWJj\"") ",\"layers\":[]}", NULL);
    static const char *const not_base64[] = {
        "YWJ", "YWJj\\n", "YW-j", "Y===", "YWJj====", "=WJj"
    };

    g_assert_cmpmem(g_bytes_get_data(document->manifest->config->data, NULL),
                    g_bytes_get_size(document->manifest->config->data), "abc", 3);
    for (guint i = 0; i < G_N_ELEMENTS(not_base64); i++) {
        g_autofree char *layer =
            g_strdup_printf(DESCRIPTOR("a/b", ",\"data\":\"%s\""), not_base64[i]);

        assert_layer_refused(layer, "\"data\" is not base64");
    }
    assert_code("{" V2 "\"config\":" DESCRIPTOR("a/b", ",\"data\":\"YWJk\"") ",\"layers\":[]}",
                NULL, BERTH_ERROR_DIGEST_MISMATCH, "\"data\": expected " ABC);
    assert_code("{" V2 "\"config\":" DESCRIPTOR("a/b", ",\"data\":\"YWI=\"") ",\"layers\":[]}",
                NULL, BERTH_ERROR_DIGEST_MISMATCH, "\"data\" has 2 bytes, but \"size\" is 3");
    assert_code("{" V2 "\"config\":" DESCRIPTOR("a/b", ",\"data\":\"\"") ",\"layers\":[]}", NULL,
                BERTH_ERROR_DIGEST_MISMATCH, "\"data\" has 0 bytes");
}

/* Limits */

static char *with_layers(unsigned count)
{
    GString *json = g_string_new("{" V2 "\"config\":" CONFIG ",\"layers\":[" LAYER);

    for (unsigned i = 1; i < count; i++)
        g_string_append(json, "," LAYER);
    g_string_append(json, "]}");
    return g_string_free(json, FALSE);
}

static void test_layers(void)
{
    g_autofree char *most = with_layers(BERTH_MANIFEST_LAYERS_MAX);
    g_autofree char *more = with_layers(BERTH_MANIFEST_LAYERS_MAX + 1);
    g_autoptr(BerthDocument) document = parse_good(most, OCI_MANIFEST);

    g_assert_cmpuint(document->manifest->layers->len, ==, BERTH_MANIFEST_LAYERS_MAX);
    assert_refused(more, "\"layers\" has 4097 entries; at most 4096");
}

static void test_size(void)
{
    static const char start[] = "{" V2 "\"manifests\":[]";
    g_autofree char *space = g_strnfill(BERTH_DOCUMENT_BYTES_MAX - sizeof(start), ' ');
    g_autofree char *most = g_strconcat(start, space, "}", NULL);
    g_autofree char *more = g_strconcat(start, space, " }", NULL);
    g_autoptr(BerthDocument) document = parse_good(most, NULL);

    g_assert_cmpuint(g_bytes_get_size(document->raw), ==, BERTH_DOCUMENT_BYTES_MAX);
    assert_refused(more, "it has 4194305 bytes; at most 4194304");
}

static void test_nesting(void)
{
    g_autofree char *open = g_strnfill(15, '['), *close = g_strnfill(15, ']');
    g_autofree char *most = g_strdup_printf("{" V2 "\"manifests\":[],\"x\":%s%s}", open, close);
    g_autofree char *more = g_strdup_printf("{" V2 "\"manifests\":[],\"x\":[%s%s]}", open, close);
    g_autofree char *deep = g_strnfill(1000000, '[');
    g_autoptr(BerthDocument) document = parse_good(most, NULL);
    g_autoptr(BerthDocument) quoted =
        parse_good("{" V2 "\"manifests\":[],\"x\":\"[[[[[[[[[\\\"[[[[[[[[[[[[[[\"}", NULL);

    g_assert_nonnull(document->index);
    g_assert_nonnull(quoted->index);
    assert_refused(more, "nested too deeply");
    assert_refused(deep, "nested too deeply");
}

static void test_values(void)
{
    GString *objects = g_string_new("{" V2 "\"manifests\":[],\"x\":[{}");
    GString *numbers = g_string_new("{" V2 "\"manifests\":[],\"x\":[0");
    g_autofree char *objects_text = NULL, *numbers_text = NULL;

    while (objects->len < 300000)
        g_string_append(objects, ",{}");
    while (numbers->len < 300000)
        g_string_append(numbers, ",0");
    g_string_append(objects, "]}");
    g_string_append(numbers, "]}");
    objects_text = g_string_free(objects, FALSE);
    numbers_text = g_string_free(numbers, FALSE);
    assert_refused(objects_text, "too many values");
    assert_refused(numbers_text, "too many values");
}

/* Digests */

static void test_expected(void)
{
    g_autoptr(GBytes) raw = g_bytes_new_static("{" V2 "\"manifests\":[]}", 34);
    g_autoptr(GBytes) other = g_bytes_new_static("{" V2 "\"manifests\":[] }", 35);
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthDocument) document = NULL, wrong = NULL;
    BerthDigest digest;

    g_assert_true(
        berth_digest_compute(BERTH_DIGEST_SHA512, g_bytes_get_data(raw, NULL), 34, &digest, NULL));
    document = berth_document_parse(raw, NULL, &digest, &error);
    g_assert_no_error(error);
    g_assert_true(berth_digest_equal(&document->digest, &digest));
    wrong = berth_document_parse(other, NULL, &digest, &error);
    g_assert_null(wrong);
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
}

static void test_check(void)
{
    g_autoptr(BerthDocument) document =
        parse_good("{" V2 "\"config\":" CONFIG ",\"layers\":[]}", OCI_MANIFEST);
    BerthDescriptor entry = { .media_type = (char *)OCI_MANIFEST,
                              .type = BERTH_MEDIA_OCI_MANIFEST,
                              .digest = document->digest,
                              .size = (int64_t)g_bytes_get_size(document->raw) };
    GError *error = NULL;

    g_assert_true(berth_document_check(document, &entry, &error));
    g_assert_no_error(error);
    entry.type = BERTH_MEDIA_DOCKER_MANIFEST;
    g_assert_false(berth_document_check(document, &entry, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_MANIFEST_INVALID);
    g_clear_error(&error);
    g_assert_true(berth_digest_parse(ABC, &entry.digest, NULL));
    g_assert_false(berth_document_check(document, &entry, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
    g_clear_error(&error);
    entry.size++;
    g_assert_false(berth_document_check(document, &entry, &error));
    g_assert_error(error, BERTH_ERROR, BERTH_ERROR_DIGEST_MISMATCH);
    g_clear_error(&error);
}

/* Media types */

static void test_media_types(void)
{
    static const char *const nondistributable[] = {
        OCI "layer.nondistributable.v1.tar",
        OCI "layer.nondistributable.v1.tar+gzip",
        OCI "layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    };
    g_autofree char *upper = g_ascii_strup(nondistributable[0], -1);
    unsigned count = 0;

    for (int type = 0; type < _BERTH_MEDIA_MAX; type++) {
        const char *text = berth_media_type_to_string(type);

        count += berth_media_type_is_nondistributable(type);
        if (type == BERTH_MEDIA_OTHER) {
            g_assert_null(text);
            continue;
        }
        g_assert_true(berth_media_type_is_valid(text));
        g_assert_cmpint(berth_media_type_from_string(text), ==, type);
    }
    g_assert_cmpuint(count, ==, G_N_ELEMENTS(nondistributable));
    for (guint i = 0; i < G_N_ELEMENTS(nondistributable); i++)
        g_assert_true(berth_media_type_is_nondistributable(
            berth_media_type_from_string(nondistributable[i])));
    g_assert_true(berth_media_type_is_nondistributable(berth_media_type_from_string(upper)));
    g_assert_cmpint(berth_media_type_from_string(""), ==, BERTH_MEDIA_OTHER);
    g_assert_cmpint(berth_media_type_from_string(OCI_INDEX "x"), ==, BERTH_MEDIA_OTHER);
}

static void test_media_type_syntax(void)
{
    g_autofree char *name = g_strnfill(127, 'n'), *most = g_strconcat(name, "/", name, NULL);
    g_autofree char *more = g_strconcat(most, "n", NULL);
    g_autofree char *header = berth_media_type_from_header("  a/b\t ; q=\"x;y\"");
    const char *const bad[] = { "", "a", "/", "a/", "/b", "a/b/c", "a/b;c", "a /b", ".a/b", more };

    g_assert_true(berth_media_type_is_valid(most));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(berth_media_type_is_valid(bad[i]));
    g_assert_cmpstr(header, ==, "a/b");
    g_assert_null(berth_media_type_from_header(NULL));
    g_assert_null(berth_media_type_from_header(" ; charset=utf-8"));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/manifest/members", test_manifest);
    g_test_add_func("/manifest/type/known", test_types);
    g_test_add_func("/manifest/type/differs", test_type_differs);
    g_test_add_func("/manifest/type/ambiguous", test_ambiguous);
    g_test_add_func("/manifest/type/schema1", test_schema1);
    g_test_add_func("/manifest/type/none", test_not_a_manifest);
    g_test_add_func("/manifest/descriptor", test_descriptor);
    g_test_add_func("/manifest/urls/bounds", test_urls);
    g_test_add_func("/manifest/urls/check", test_url_check);
    g_test_add_func("/manifest/urls/shown", test_url_shown);
    g_test_add_func("/manifest/data", test_data);
    g_test_add_func("/manifest/limits/layers", test_layers);
    g_test_add_func("/manifest/limits/bytes", test_size);
    g_test_add_func("/manifest/limits/depth", test_nesting);
    g_test_add_func("/manifest/limits/values", test_values);
    g_test_add_func("/manifest/digest/expected", test_expected);
    g_test_add_func("/manifest/digest/entry", test_check);
    g_test_add_func("/manifest/media-types/table", test_media_types);
    g_test_add_func("/manifest/media-types/syntax", test_media_type_syntax);
    return g_test_run();
}
