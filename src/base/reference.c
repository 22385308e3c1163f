/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References: what users write for an image, made into its full name. What comes out is safe as
 * part of a URL and of a file name's content, and there is one way to write each host, since the
 * settings of a registry are found by it. Nothing is looked up here; an address is only brought
 * into its usual form.
 */

#include "base/reference.h"

#include "base/error.h"
#include "base/names.h"

#include <arpa/inet.h>
#include <string.h>

#define LOWER            "abcdefghijklmnopqrstuvwxyz"
#define DIGITS           "0123456789"
#define LETTERS_DIGITS   "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER DIGITS

#define DEFAULT_REGISTRY "docker.io"
#define LEGACY_REGISTRY  "index.docker.io"
#define OFFICIAL         "library/"
#define DEFAULT_TAG      "latest"

#define LABEL_MAX        63 /* bytes between two dots of a host name, RFC 1035 2.3.4 */
#define TEXT_MAX                                                                                   \
    (BERTH_REFERENCE_REGISTRY_MAX + 1 + BERTH_REFERENCE_REPOSITORY_MAX + 1 +                       \
     BERTH_REFERENCE_TAG_MAX + 1 + BERTH_DIGEST_LENGTH_MAX)

static bool set_invalid(GError **error, const char *text, const char *why)
{
    g_autofree char *quoted = berth_quote(text);

    return berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE, "invalid reference '%s': %s",
                           quoted, why);
}

/* Host */

/* Returns what is wrong with the port, or NULL. */
static const char *check_port(const char *port)
{
    guint64 number;

    if (port[0] == '0' || !g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL))
        return "the port of a registry is a number from 1 to 65535";
    return NULL;
}

/* Whether resolvers take @label, the last one of a host, for a part of an IPv4 address. */
static bool is_number(const char *label)
{
    if (label[0] == '0' && label[1] == 'x')
        return !label[2 + strspn(label + 2, DIGITS "abcdef")];
    return !label[strspn(label, DIGITS)];
}

/* @host in lower case. Returns what is wrong with it, or NULL. */
static const char *check_name(const char *host)
{
    g_auto(GStrv) labels = g_strsplit(host, ".", -1);
    guint count = g_strv_length(labels);
    unsigned char address[sizeof(struct in_addr)];

    for (char **label = labels; *label; label++) {
        size_t length = strlen(*label);

        if (length == 0 || length > LABEL_MAX || strspn(*label, LOWER DIGITS "-") != length ||
            (*label)[0] == '-' || (*label)[length - 1] == '-')
            return "a registry is a host name, [IPv6 address] or IPv4 address: labels of 1 to 63 "
                   "letters, digits and inner hyphens, with dots between them";
    }
    if (count == 0)
        return "the registry before the '/' is empty";
    if (is_number(labels[count - 1]) && inet_pton(AF_INET, host, address) != 1)
        return "write an IPv4 address as four decimal numbers";
    return NULL;
}

/* Brings `[IPv6]` into the form of RFC 5952. Returns what is wrong with it, or NULL. */
static const char *normalise_ipv6(const char *bracketed, char **host)
{
    g_autofree char *inner = g_strndup(bracketed + 1, strlen(bracketed) - 2);
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    if (inet_pton(AF_INET6, inner, address) != 1 ||
        !inet_ntop(AF_INET6, address, text, sizeof(text)))
        return "between '[' and ']' stands an IPv6 address without zone";
    *host = g_strdup_printf("[%s]", text);
    return NULL;
}

/* Returns what is wrong with the registry @text, or NULL and the one way to write it. */
static const char *normalise_registry(const char *text, char **registry)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    g_autofree char *host = NULL;
    const char *why, *port;
    char *end = lower[0] == '[' ? strchr(lower, ']') : strchr(lower, ':');

    if (strlen(lower) > BERTH_REFERENCE_REGISTRY_MAX)
        return "a registry has at most 255 characters";
    if (lower[0] == '[') {
        if (!end || (end[1] && end[1] != ':'))
            return "after an [IPv6 address] comes '/', or ':' and the port";
        port = end[1] ? end + 2 : NULL;
        end[1] = '\0';
        why = normalise_ipv6(lower, &host);
    } else {
        port = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        host = g_strdup(lower);
        why = check_name(host);
    }
    if (!why && port)
        why = check_port(port);
    if (!why)
        *registry = g_strconcat(host, port ? ":" : "", port, NULL);
    return why;
}

/* Repository and tag */

/* Characters of the separator at @text: one of '.', '_', "__", or any number of '-'. */
static size_t separator_length(const char *text)
{
    if (text[0] == '-')
        return strspn(text, "-");
    if (text[0] == '_')
        return text[1] == '_' ? 2 : 1;
    return text[0] == '.' ? 1 : 0;
}

static bool repository_is_valid(const char *path)
{
    for (;;) {
        size_t word = strspn(path, LOWER DIGITS);
        size_t separator;

        if (word == 0)
            return false;
        path += word;
        if (!*path)
            return true;
        separator = *path == '/' ? 1 : separator_length(path);
        if (separator == 0)
            return false;
        path += separator;
    }
}

/* Returns what is wrong, or NULL. */
static const char *check_repository(const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);

    if (strlen(path) > BERTH_REFERENCE_REPOSITORY_MAX)
        return "the name of an image has at most 255 characters";
    if (repository_is_valid(path))
        return NULL;
    if (repository_is_valid(lower))
        return "the name of an image is written in lower case";
    return "the name of an image is made of lower-case letters and digits, with '/', '.', '_', "
           "'__' "
           "or '-' between them";
}

/* Returns what is wrong, or NULL. */
static const char *check_tag(const char *tag)
{
    size_t length = strlen(tag);

    if (length >= 1 && length <= BERTH_REFERENCE_TAG_MAX && !strchr(".-", tag[0]) &&
        strspn(tag, LETTERS_DIGITS "_.-") == length)
        return NULL;
    return "a tag is 1 to 128 letters, digits, '_', '.' or '-', not starting with '.' or '-'";
}

/* The whole */

/* Whether the part of a name before its first slash is a host, not part of a path. */
static bool is_registry(const char *first)
{
    return strpbrk(first, ".:") || g_ascii_strcasecmp(first, "localhost") == 0;
}

/* Returns what is wrong with @name, all before tag and digest, or NULL. */
static const char *set_name(BerthReference *reference, const char *name)
{
    const char *slash = strchr(name, '/');
    g_autofree char *first = g_strndup(name, slash ? (gsize)(slash - name) : 0);
    const char *path = name, *why = NULL;

    if (!*name)
        return "the name of an image is missing";
    if (slash == name)
        return "the registry before the '/' is empty";
    if (slash && is_registry(first)) {
        why = normalise_registry(first, &reference->registry);
        path = slash + 1;
    } else {
        reference->registry = g_strdup(DEFAULT_REGISTRY);
    }
    if (why)
        return why;
    if (g_str_equal(reference->registry, LEGACY_REGISTRY)) {
        g_free(reference->registry);
        reference->registry = g_strdup(DEFAULT_REGISTRY);
    }
    reference->repository = g_strconcat(
        g_str_equal(reference->registry, DEFAULT_REGISTRY) && !strchr(path, '/') ? OFFICIAL : "",
        path, NULL);
    return check_repository(reference->repository);
}

/* Returns what is wrong with @text before anything is taken apart, or NULL. */
static const char *check_whole(const char *text)
{
    BerthDigest digest;

    if (strnlen(text, TEXT_MAX + 1) > TEXT_MAX)
        return "it is too long";
    if (strstr(text, "://"))
        return "leave out what stands before and in '://'";
    /* tools take it for an image ID, so it would be a trap as a name in docker.io */
    if (strspn(text, DIGITS "abcdef") == 64 && !text[64])
        return "64 hex digits are not a name; for an image by its digest write NAME@sha256:DIGITS";
    if (berth_digest_parse(text, &digest, NULL))
        return "that is a digest; for an image in a registry write NAME@DIGEST";
    return NULL;
}

BerthReference *berth_reference_parse(const char *text, GError **error)
{
    g_autoptr(BerthReference) reference = g_new0(BerthReference, 1);
    g_autoptr(GError) bad_digest = NULL;
    g_autofree char *name = NULL;
    const char *why = check_whole(text);
    char *at, *slash, *colon;

    if (why) {
        (void)set_invalid(error, text, why);
        return NULL;
    }

    name = g_strdup(text);
    at = strchr(name, '@');
    if (at) {
        *at = '\0';
        reference->has_digest = berth_digest_parse(at + 1, &reference->digest, &bad_digest);
        if (!reference->has_digest)
            why = bad_digest->message;
    }
    slash = strrchr(name, '/');
    colon = strchr(slash ? slash : name, ':'); /* an earlier one belongs to a port */
    if (colon) {
        *colon = '\0';
        reference->tag = g_strdup(colon + 1);
    } else if (!at) {
        reference->tag = g_strdup(DEFAULT_TAG);
    }
    if (!why)
        why = set_name(reference, name);
    if (!why && reference->tag)
        why = check_tag(reference->tag);
    if (why) {
        (void)set_invalid(error, text, why);
        return NULL;
    }
    return g_steal_pointer(&reference);
}

void berth_reference_free(BerthReference *reference)
{
    if (!reference)
        return;
    g_free(reference->registry);
    g_free(reference->repository);
    g_free(reference->tag);
    g_free(reference);
}

char *berth_reference_to_string(const BerthReference *reference)
{
    return g_strconcat(reference->registry, "/", reference->repository, reference->tag ? ":" : "",
                       reference->tag ? reference->tag : "", reference->has_digest ? "@" : "",
                       reference->has_digest ? reference->digest.text : "", NULL);
}

const char *berth_reference_target(const BerthReference *reference)
{
    return reference->has_digest ? reference->digest.text : reference->tag;
}
