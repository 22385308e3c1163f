/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of registries and the patterns that match them. Everything is brought to one spelling when
 * it is read, so that comparing is comparing strings: a rule that blocks a registry must not be
 * evaded by writing its name in another way. It must never resolve a name, and never guess what a
 * malformed one could mean.
 */

#include "base/registry-name.h"

#include "base/error.h"
#include "base/names.h"
#include "base/userinfo.h"

#include <string.h>

#define DIGITS         "0123456789"
#define LOWER_DIGITS   "abcdefghijklmnopqrstuvwxyz" DIGITS
#define LETTERS_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER_DIGITS

#define HOST_LENGTH    253 /* bytes of a DNS name, RFC 1035 without the final dot */
#define LABEL_LENGTH   63
#define PATH_LENGTH    255 /* bytes of a repository */
#define PORT_DIGITS    5
#define PORT_MAX       65535

#define DOCKER_HUB     "docker.io"

static bool invalid(GError **error, const char *text, const char *hint)
{
    g_autofree char *redacted = berth_userinfo_redact(text);
    g_autofree char *quoted = berth_quote(redacted);

    return berth_set_error(error, BERTH_ERROR_INVALID_REFERENCE,
                           "registry name '%s' is invalid: %s", quoted, hint);
}

/* What gives away that somebody wrote something else than a name. */
static bool check_characters(const char *text, GError **error)
{
    static const struct {
        const char *characters, *hint;
    } wrong[] = {
        { "\"'`", "write it without quotes" },
        { "@", "write it without a user name, and without a digest" },
        { "?", "write it without a query" },
        { "#", "write it without a fragment" },
        { " \t", "a name has no spaces" },
    };

    if (strstr(text, "://")) {
        g_autofree char *redacted = berth_userinfo_redact(text);
        g_autofree char *quoted = berth_quote(redacted);

        /* tools match on this text */
        return berth_set_error(
            error, BERTH_ERROR_INVALID_REFERENCE,
            "allow-nondistributable-artifacts registry %s should not contain '://'", quoted);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        if (strpbrk(text, wrong[i].characters))
            return invalid(error, text, wrong[i].hint);
    if (!g_str_is_ascii(text))
        return invalid(error, text, "write an internationalized name in its xn-- form");
    return *text ? true : invalid(error, text, "write host[:port]");
}

/* Whether a resolver would take a name with this last label for an address, as `127.1` or `0x7f`.
 */
static bool is_number(const char *label)
{
    if (g_ascii_strncasecmp(label, "0x", 2) == 0)
        return strspn(label + 2, DIGITS "abcdefABCDEF") == strlen(label + 2);
    return strspn(label, DIGITS) == strlen(label);
}

/* @text is the whole name, for the message; @host may be a part of it. */
static bool check_host(const char *text, const char *host, GError **error)
{
    g_auto(GStrv) labels = g_strsplit(host, ".", -1);
    char *last = NULL;

    if (!*host)
        return invalid(error, text, "the host is missing");
    if (strlen(host) > HOST_LENGTH)
        return invalid(error, text, "the host is longer than 253 bytes");
    for (char **label = labels; *label; label++) {
        size_t length = strlen(*label);

        if (length == 0)
            return invalid(error, text, "a label of the host is empty; write no dot too many");
        if (length > LABEL_LENGTH)
            return invalid(error, text, "a label of the host is longer than 63 bytes");
        if ((*label)[0] == '-' || (*label)[length - 1] == '-')
            return invalid(error, text, "a label of the host must not begin or end with a hyphen");
        if (strspn(*label, LETTERS_DIGITS "-") != length)
            return invalid(error, text,
                           "the host has other characters than letters, digits, '-' and '.'");
        last = *label;
    }
    if (is_number(last))
        return invalid(error, text,
                       "the host ends like an address but is none; write four numbers "
                       "from 0 to 255 without leading zeros");
    return true;
}

static bool parse_port(const char *text, const char *digits, int *port, GError **error)
{
    size_t length = strlen(digits);

    if (length == 0 || length > PORT_DIGITS || strspn(digits, DIGITS) != length ||
        (*port = (int)g_ascii_strtoull(digits, NULL, 10)) > PORT_MAX)
        return invalid(error, text, "the port is a number from 0 to 65535");
    return true;
}

static bool set_address(BerthRegistryName *name, const char *text)
{
    name->is_address = berth_address_parse(text, &name->address);
    if (name->is_address)
        name->host = berth_address_format(&name->address);
    return name->is_address;
}

/* `[::1]` or `[::1]:5000` */
static bool parse_bracketed(BerthRegistryName *name, const char *text, const char *authority,
                            GError **error)
{
    const char *end = strchr(authority, ']');
    g_autofree char *inner = end ? g_strndup(authority + 1, (gsize)(end - authority - 1)) : NULL;

    if (!inner || !strchr(inner, ':') || !set_address(name, inner))
        return invalid(error, text, "between brackets stands an IPv6 address without a zone");
    if (!end[1])
        return true;
    if (end[1] != ':')
        return invalid(error, text, "after the ']' follows nothing, or ':' and a port");
    return parse_port(text, end + 2, &name->port, error);
}

static bool parse_authority(BerthRegistryName *name, const char *text, const char *authority,
                            GError **error)
{
    const char *colon = strchr(authority, ':');
    g_autofree char *host = NULL;

    if (authority[0] == '[')
        return parse_bracketed(name, text, authority, error);
    if (colon && strchr(colon + 1, ':')) {
        if (set_address(name, authority))
            return true;
        return invalid(error, text,
                       "it is no IPv6 address; with a port write the address in brackets");
    }
    host = colon ? g_strndup(authority, (gsize)(colon - authority)) : g_strdup(authority);
    if (colon && !parse_port(text, colon + 1, &name->port, error))
        return false;
    if (set_address(name, host))
        return true;
    if (!check_host(text, host, error))
        return false;
    name->host = g_ascii_strdown(host, -1);
    return true;
}

/* [a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)* */
static bool is_component(const char *text)
{
    for (;;) {
        size_t word = strspn(text, LOWER_DIGITS), hyphens;

        if (word == 0)
            return false;
        text += word;
        if (!*text)
            return true;
        hyphens = strspn(text, "-");
        if (hyphens > 0)
            text += hyphens;
        else if (g_str_has_prefix(text, "__"))
            text += 2;
        else if (*text == '.' || *text == '_')
            text++;
        else
            return false;
    }
}

static bool check_path(const char *text, const char *path, GError **error)
{
    g_auto(GStrv) components = g_strsplit(path, "/", -1);

    if (strlen(path) > PATH_LENGTH)
        return invalid(error, text, "the repository is longer than 255 bytes");
    if (!*path)
        return invalid(error, text, "write it without a '/' at the end");
    for (char **component = components; *component; component++)
        if (!is_component(*component))
            return invalid(error, text,
                           "after the '/' stands a repository: components of lower-case letters "
                           "and digits with single '.', '_', '__' or '-' between them, and no tag");
    return true;
}

static BerthRegistryName *parse_plain(const char *text, GError **error)
{
    g_autoptr(BerthRegistryName) name = g_new0(BerthRegistryName, 1);
    const char *slash = strchr(text, '/');
    g_autofree char *authority = slash ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);

    name->port = -1;
    name->path = g_strdup(slash ? slash + 1 : "");
    if (!check_characters(text, error) || !parse_authority(name, text, authority, error) ||
        (slash && !check_path(text, name->path, error)))
        return NULL;
    return g_steal_pointer(&name);
}

BerthRegistryName *berth_registry_name_parse(const char *text, GError **error)
{
    BerthRegistryName *name = parse_plain(text, error);

    if (name && name->port < 0 && g_str_equal(name->host, "index." DOCKER_HUB)) {
        g_free(name->host);
        name->host = g_strdup(DOCKER_HUB);
    }
    return name;
}

BerthRegistryName *berth_registry_name_new(const BerthRegistryName *at, const char *path)
{
    BerthRegistryName *name = g_new(BerthRegistryName, 1);

    *name = *at;
    name->host = g_strdup(at->host);
    name->path = g_strdup(path);
    return name;
}

void berth_registry_name_free(BerthRegistryName *name)
{
    if (!name)
        return;
    g_free(name->host);
    g_free(name->path);
    g_free(name);
}

char *berth_registry_name_authority(const BerthRegistryName *name)
{
    bool brackets = strchr(name->host, ':') != NULL;
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, brackets ? "[%s]" : "%s", name->host);
    if (name->port >= 0)
        g_string_append_printf(text, ":%d", name->port);
    return g_string_free(text, FALSE);
}

char *berth_registry_name_format(const BerthRegistryName *name)
{
    g_autofree char *authority = berth_registry_name_authority(name);

    return g_strconcat(authority, *name->path ? "/" : "", name->path, NULL);
}

bool berth_registry_name_is_docker_hub(const BerthRegistryName *name)
{
    return name->port < 0 && g_str_equal(name->host, DOCKER_HUB);
}

bool berth_registry_name_is_loopback(const BerthRegistryName *name)
{
    return name->is_address ? berth_address_is_loopback(&name->address)
                            : g_str_equal(name->host, "localhost");
}

/* An address, a slash and digits: nobody means the repository `24` by `10.0.0.0/24`. */
static bool looks_like_network(const char *text)
{
    const char *slash = strchr(text, '/');
    g_autofree char *host = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;
    size_t length = host ? strlen(host) : 0;
    BerthAddress address;

    if (!slash || !slash[1] || strspn(slash + 1, DIGITS) != strlen(slash + 1))
        return false;
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return berth_address_parse(host + 1, &address);
    }
    return berth_address_parse(host, &address);
}

static bool parse_network(BerthRegistryPattern *pattern, const char *text, GError **error)
{
    pattern->kind = BERTH_PATTERN_NETWORK;
    if (!berth_network_parse(text, &pattern->network))
        return invalid(error, text,
                       "a network is an address without brackets, '/' and a number from 0 to 32, "
                       "for IPv6 to 128");
    pattern->text = berth_network_format(&pattern->network);
    return true;
}

static bool parse_domain(BerthRegistryPattern *pattern, const char *text, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *domain = NULL;

    pattern->kind = BERTH_PATTERN_DOMAIN;
    pattern->name = parse_plain(text + 2, &failure); /* index.docker.io stays itself here */
    if (!pattern->name && strstr(failure->message, "://"))
        return check_characters(text, error); /* whose fixed text names what was written */
    if (!pattern->name || pattern->name->is_address || *pattern->name->path)
        return invalid(error, text, "after '*.' stands a domain and nothing else");
    domain = berth_registry_name_authority(pattern->name);
    pattern->text = g_strconcat("*.", domain, NULL);
    return true;
}

static bool parse_name(BerthRegistryPattern *pattern, const char *text, GError **error)
{
    pattern->kind = BERTH_PATTERN_NAME;
    pattern->name = berth_registry_name_parse(text, error);
    if (pattern->name)
        pattern->text = berth_registry_name_format(pattern->name);
    return pattern->name != NULL;
}

BerthRegistryPattern *berth_registry_pattern_parse(const char *text, GError **error)
{
    g_autoptr(BerthRegistryPattern) pattern = g_new0(BerthRegistryPattern, 1);
    bool ok;

    if (looks_like_network(text))
        ok = parse_network(pattern, text, error);
    else if (g_str_has_prefix(text, "*."))
        ok = parse_domain(pattern, text, error);
    else
        ok = parse_name(pattern, text, error);
    return ok ? g_steal_pointer(&pattern) : NULL;
}

void berth_registry_pattern_free(BerthRegistryPattern *pattern)
{
    if (!pattern)
        return;
    g_free(pattern->text);
    berth_registry_name_free(pattern->name);
    g_free(pattern);
}

static bool is_path_prefix(const char *prefix, const char *path)
{
    size_t length = strlen(prefix);

    return length == 0 ||
           (g_str_has_prefix(path, prefix) && (!path[length] || path[length] == '/'));
}

static bool is_below(const char *host, const char *domain)
{
    size_t length = strlen(host), tail = strlen(domain);

    return length > tail + 1 && host[length - tail - 1] == '.' &&
           g_str_equal(host + length - tail, domain);
}

bool berth_registry_pattern_matches_name(const BerthRegistryPattern *pattern,
                                         const BerthRegistryName *name)
{
    switch (pattern->kind) {
    case BERTH_PATTERN_NAME:
        return pattern->name->port == name->port && g_str_equal(pattern->name->host, name->host) &&
               is_path_prefix(pattern->name->path, name->path);
    case BERTH_PATTERN_DOMAIN:
        return !name->is_address &&
               (pattern->name->port < 0 || pattern->name->port == name->port) &&
               is_below(name->host, pattern->name->host);
    case BERTH_PATTERN_NETWORK:
    default:
        return false;
    }
}

/* The larger, the more it says; of patterns of one kind that match the same thing. */
static size_t weight(const BerthRegistryPattern *pattern)
{
    switch (pattern->kind) {
    case BERTH_PATTERN_NAME:
        return strlen(pattern->name->path);
    case BERTH_PATTERN_DOMAIN:
        return 2 * strlen(pattern->name->host) + (pattern->name->port >= 0 ? 1 : 0);
    case BERTH_PATTERN_NETWORK:
    default:
        return pattern->network.prefix;
    }
}

int berth_registry_pattern_compare(const BerthRegistryPattern *a, const BerthRegistryPattern *b)
{
    size_t weight_a = weight(a), weight_b = weight(b);

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (weight_a != weight_b)
        return weight_a > weight_b ? -1 : 1;
    return strcmp(a->text, b->text);
}
