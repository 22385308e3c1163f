/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The headers of a tar archive in pax format (POSIX.1-2008, pax utility), with holes (GNU.sparse
 * 1.0) and extended attributes (SCHILY.xattr) as GNU tar writes them. Whatever does not fit into
 * the header of a member, or is no text, goes into a header of records before it. For a snapshot of
 * many small files this is most of the work, which is why it is not left to libarchive: that takes
 * longer for the header of a file than the kernel for all of the file.
 */

#include "ipc/snapshot-pax.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MODE_OF_ROOT 0600

typedef struct {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
    char link[100], magic[8], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
} Header;

G_STATIC_ASSERT(sizeof(Header) == BERTH_PAX_BLOCK);

/* Appends zeros up to a whole block. */
static void pad(GByteArray *out)
{
    guint used = out->len % BERTH_PAX_BLOCK;
    static const guint8 zeros[BERTH_PAX_BLOCK];

    if (used > 0)
        g_byte_array_append(out, zeros, BERTH_PAX_BLOCK - used);
}

static unsigned digits_of(size_t number)
{
    unsigned digits = 1;

    for (; number >= 10; number /= 10)
        digits++;
    return digits;
}

void berth_pax_record(GByteArray *records, const char *key, const void *value, size_t length)
{
    /* a space, `=` and a line feed; its own length, in digits, is part of it */
    size_t rest = strlen(key) + length + 3, all = rest + digits_of(rest);
    char head[32];
    int n;

    all = rest + digits_of(all);
    n = g_snprintf(head, sizeof(head), "%zu ", all);
    g_byte_array_append(records, (const guint8 *)head, (guint)n);
    g_byte_array_append(records, (const guint8 *)key, (guint)strlen(key));
    g_byte_array_append(records, (const guint8 *)"=", 1);
    g_byte_array_append(records, value, (guint)length);
    g_byte_array_append(records, (const guint8 *)"\n", 1);
}

static void add_text(GByteArray *records, const char *key, const char *text)
{
    berth_pax_record(records, key, text, strlen(text));
}

static void add_number(GByteArray *records, const char *key, uint64_t number)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" PRIu64, number);
    add_text(records, key, text);
}

/* Programs do not agree on fractions of a time before the epoch: it is written in whole seconds. */
static void add_time(GByteArray *records, const char *key, const struct timespec *time)
{
    char text[48];

    g_snprintf(text, sizeof(text), time->tv_sec < 0 ? "%lld" : "%lld.%09ld",
               (long long)time->tv_sec, time->tv_nsec);
    add_text(records, key, text);
}

void berth_pax_attribute(GByteArray *records, const char *name, const void *value, size_t length)
{
    g_autoptr(GString) key = g_string_new("SCHILY.xattr.");

    for (; *name; name++)
        if (*name == '%' || *name == '=')
            g_string_append_printf(key, "%%%02X", (unsigned)*name);
        else
            g_string_append_c(key, *name);
    berth_pax_record(records, key->str, value, length);
}

char *berth_pax_attribute_name(const char *key)
{
    GString *name = g_string_new(NULL);

    for (; *key; key++) {
        bool percent = g_str_has_prefix(key, "%25"), equals = g_str_has_prefix(key, "%3D");

        g_string_append_c(name, equals ? '=' : *key);
        if (percent || equals)
            key += 2;
    }
    return g_string_free(name, FALSE);
}

/* Writes a number in octal digits. Returns: false: it has too many. */
static bool set_octal(char *field, size_t size, uint64_t number)
{
    for (size_t i = size - 1; i > 0; i--, number >>= 3)
        field[i - 1] = (char)('0' + (number & 7));
    field[size - 1] = '\0';
    if (number == 0)
        return true;
    memset(field, '7', size - 1);
    return false;
}

/* Programs that know nothing of records see the end of what is too long. */
static bool set_name(char *field, size_t size, const char *name)
{
    size_t length = strlen(name);

    memcpy(field, length > size ? name + (length - size) : name, MIN(length, size));
    return length <= size;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if (*text & 0x80)
            return false;
    return true;
}

static void finish_header(Header *header, GByteArray *out)
{
    const guint8 *bytes = (const guint8 *)header;
    unsigned sum = 0;

    memcpy(header->magic,
           "ustar\0"
           "00",
           sizeof(header->magic));
    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < sizeof(*header); i++)
        sum += bytes[i];
    (void)set_octal(header->checksum, sizeof(header->checksum) - 1, sum);
    g_byte_array_append(out, bytes, sizeof(*header));
}

static char type_of(const BerthMember *member)
{
    if (member->link)
        return '1';
    switch (member->mode & S_IFMT) {
    case S_IFLNK:
        return '2';
    case S_IFDIR:
        return '5';
    case S_IFIFO:
        return '6';
    default:
        return '0';
    }
}

/* The map of holes as text, which comes before the data. */
static void append_map(const BerthMember *member, GByteArray *out)
{
    const BerthExtent *extents = member->extents;
    size_t n = member->n_extents;
    bool ends = n > 0 && extents[n - 1].offset + extents[n - 1].length == member->size;
    g_autoptr(GString) map = g_string_new(NULL);

    /* a hole at the end is said to have data of no length after it */
    g_string_append_printf(map, "%zu\n", n + (ends ? 0 : 1));
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(map, "%" PRIu64 "\n%" PRIu64 "\n", extents[i].offset,
                               extents[i].length);
    if (!ends)
        g_string_append_printf(map, "%" PRIu64 "\n0\n", member->size);
    g_byte_array_append(out, (const guint8 *)map->str, (guint)map->len);
    pad(out);
}

/* What does not fit into @header, and what no header has. */
static void add_records(const BerthMember *member, uint64_t size, Header *header,
                        GByteArray *records)
{
    const char *target = member->link ? member->link : member->target, *path = member->path;
    bool text = g_utf8_validate(path, -1, NULL) && (!target || g_utf8_validate(target, -1, NULL));

    if (!text)
        add_text(records, "hdrcharset", "BINARY");
    if (member->extents) {
        add_text(records, "GNU.sparse.major", "1");
        add_text(records, "GNU.sparse.minor", "0");
        add_text(records, "GNU.sparse.name", path);
        add_number(records, "GNU.sparse.realsize", member->size);
    }
    if (!set_name(header->name, sizeof(header->name), path) || !is_ascii(path))
        add_text(records, "path", path);
    if (target && (!set_name(header->link, sizeof(header->link), target) || !is_ascii(target)))
        add_text(records, "linkpath", target);
    if (!set_octal(header->size, sizeof(header->size), size))
        add_number(records, "size", size);
    if (!set_octal(header->uid, sizeof(header->uid), member->uid))
        add_number(records, "uid", member->uid);
    if (!set_octal(header->gid, sizeof(header->gid), member->gid))
        add_number(records, "gid", member->gid);
    if (member->mtime) {
        uint64_t seconds = member->mtime->tv_sec < 0 ? 0 : (uint64_t)member->mtime->tv_sec;

        (void)set_octal(header->mtime, sizeof(header->mtime), seconds);
        add_time(records, "mtime", member->mtime);
    } else {
        (void)set_octal(header->mtime, sizeof(header->mtime), 0);
    }
    if (member->atime)
        add_time(records, "atime", member->atime);
    if (member->records)
        g_byte_array_append(records, member->records->data, member->records->len);
}

/* The header of records, and these. */
static void append_records(const char *path, const GByteArray *records, GByteArray *out)
{
    Header header = { .type = 'x', .name = "PaxHeaders/" };
    size_t length = strlen(header.name);

    (void)set_name(header.name + length, sizeof(header.name) - length, path);
    (void)set_octal(header.mode, sizeof(header.mode), MODE_OF_ROOT);
    (void)set_octal(header.uid, sizeof(header.uid), 0);
    (void)set_octal(header.gid, sizeof(header.gid), 0);
    (void)set_octal(header.size, sizeof(header.size), records->len);
    (void)set_octal(header.mtime, sizeof(header.mtime), 0);
    finish_header(&header, out);
    g_byte_array_append(out, records->data, records->len);
    pad(out);
}

uint64_t berth_pax_header(const BerthMember *member, GByteArray *out)
{
    static GByteArray *map, *records; /* used again for each */
    Header header = { .type = type_of(member) };
    uint64_t contents = member->size;

    if (!map) {
        map = g_byte_array_new();
        records = g_byte_array_new();
    }
    g_byte_array_set_size(map, 0);
    g_byte_array_set_size(records, 0);
    if (member->extents) {
        append_map(member, map);
        contents = 0;
        for (size_t i = 0; i < member->n_extents; i++)
            contents += member->extents[i].length;
    }
    add_records(member, contents + map->len, &header, records);
    (void)set_octal(header.mode, sizeof(header.mode),
                    member->mode ? member->mode & 07777 : MODE_OF_ROOT);
    if (records->len > 0)
        append_records(member->path, records, out);
    finish_header(&header, out);
    if (map->len > 0)
        g_byte_array_append(out, map->data, map->len);
    return contents;
}
