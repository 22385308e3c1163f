/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Media types of images. One table says what each is for; it is the only place that knows their
 * spelling. Types that are not in it are no error: artifacts of every sort lie in registries.
 */

#include "oci/mediatype.h"

#include <string.h>

#define OCI    "application/vnd.oci."
#define DOCKER "application/vnd.docker."

/* RFC 6838 4.2, restricted-name-chars */
#define NAME_CHARS                                                                                 \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"                               \
    "!#$&-^_.+"
#define NAME_MAX_LENGTH 127

static const struct {
    const char *text;
    BerthMediaKind kind;
} types[_BERTH_MEDIA_MAX] = {
    [BERTH_MEDIA_OCI_MANIFEST] = { OCI "image.manifest.v1+json", BERTH_MEDIA_KIND_MANIFEST },
    [BERTH_MEDIA_DOCKER_MANIFEST] = { DOCKER "distribution.manifest.v2+json",
                                      BERTH_MEDIA_KIND_MANIFEST },
    [BERTH_MEDIA_OCI_INDEX] = { OCI "image.index.v1+json", BERTH_MEDIA_KIND_INDEX },
    [BERTH_MEDIA_DOCKER_LIST] = { DOCKER "distribution.manifest.list.v2+json",
                                  BERTH_MEDIA_KIND_INDEX },
    [BERTH_MEDIA_DOCKER_SCHEMA1] = { DOCKER "distribution.manifest.v1+json",
                                     BERTH_MEDIA_KIND_SCHEMA1 },
    [BERTH_MEDIA_DOCKER_SCHEMA1_SIGNED] = { DOCKER "distribution.manifest.v1+prettyjws",
                                            BERTH_MEDIA_KIND_SCHEMA1 },
    [BERTH_MEDIA_OCI_CONFIG] = { OCI "image.config.v1+json", BERTH_MEDIA_KIND_CONFIG },
    [BERTH_MEDIA_DOCKER_CONFIG] = { DOCKER "container.image.v1+json", BERTH_MEDIA_KIND_CONFIG },
    [BERTH_MEDIA_OCI_EMPTY] = { OCI "empty.v1+json", BERTH_MEDIA_KIND_OTHER },
    [BERTH_MEDIA_OCI_LAYER] = { OCI "image.layer.v1.tar", BERTH_MEDIA_KIND_LAYER },
    [BERTH_MEDIA_OCI_LAYER_GZIP] = { OCI "image.layer.v1.tar+gzip", BERTH_MEDIA_KIND_LAYER },
    [BERTH_MEDIA_OCI_LAYER_ZSTD] = { OCI "image.layer.v1.tar+zstd", BERTH_MEDIA_KIND_LAYER },
    [BERTH_MEDIA_DOCKER_LAYER] = { DOCKER "image.rootfs.diff.tar", BERTH_MEDIA_KIND_LAYER },
    [BERTH_MEDIA_DOCKER_LAYER_GZIP] = { DOCKER "image.rootfs.diff.tar.gzip",
                                        BERTH_MEDIA_KIND_LAYER },
    [BERTH_MEDIA_DOCKER_LAYER_ZSTD] = { DOCKER "image.rootfs.diff.tar.zstd",
                                        BERTH_MEDIA_KIND_LAYER },
    [BERTH_MEDIA_OCI_NONDISTRIBUTABLE] = { OCI "image.layer.nondistributable.v1.tar",
                                           BERTH_MEDIA_KIND_NONDISTRIBUTABLE },
    [BERTH_MEDIA_OCI_NONDISTRIBUTABLE_GZIP] = { OCI "image.layer.nondistributable.v1.tar+gzip",
                                                BERTH_MEDIA_KIND_NONDISTRIBUTABLE },
    [BERTH_MEDIA_OCI_NONDISTRIBUTABLE_ZSTD] = { OCI "image.layer.nondistributable.v1.tar+zstd",
                                                BERTH_MEDIA_KIND_NONDISTRIBUTABLE },
    [BERTH_MEDIA_DOCKER_FOREIGN] = { DOCKER "image.rootfs.foreign.diff.tar",
                                     BERTH_MEDIA_KIND_NONDISTRIBUTABLE },
    [BERTH_MEDIA_DOCKER_FOREIGN_GZIP] = { DOCKER "image.rootfs.foreign.diff.tar.gzip",
                                          BERTH_MEDIA_KIND_NONDISTRIBUTABLE },
};

BerthMediaType berth_media_type_from_string(const char *text)
{
    for (int type = BERTH_MEDIA_OTHER + 1; type < _BERTH_MEDIA_MAX; type++)
        if (g_ascii_strcasecmp(types[type].text, text) == 0)
            return type;
    return BERTH_MEDIA_OTHER;
}

const char *berth_media_type_to_string(BerthMediaType type)
{
    return types[type].text;
}

BerthMediaKind berth_media_type_kind(BerthMediaType type)
{
    return types[type].kind;
}

bool berth_media_type_is_nondistributable(BerthMediaType type)
{
    return types[type].kind == BERTH_MEDIA_KIND_NONDISTRIBUTABLE;
}

bool berth_media_type_is_valid(const char *text)
{
    for (int side = 0; side < 2; side++) {
        size_t length = strspn(text, NAME_CHARS);

        if (length == 0 || length > NAME_MAX_LENGTH || !g_ascii_isalnum(text[0]) ||
            text[length] != (side == 0 ? '/' : '\0'))
            return false;
        text += length + 1;
    }
    return true;
}

char *berth_media_type_from_header(const char *header)
{
    g_autofree char *text = g_strndup(header ? header : "", header ? strcspn(header, ";") : 0);

    g_strstrip(text);
    return *text ? g_steal_pointer(&text) : NULL;
}
