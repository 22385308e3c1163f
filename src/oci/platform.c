/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Platforms of images: reading them, what this machine is, and which runs where. Nothing is probed
 * but uname(2): which instructions a CPU has is for the caller to ask for by a variant.
 */

#include "oci/platform.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#define WORD_MAX     64  /* bytes of os, architecture and variant; the longest known have 10 */
#define VERSION_MAX  128 /* bytes of os.version */
#define RANK_GENERIC 100 /* behind every variant that is known to fit */

/* Names of the kernel and of packagers, and what images call them. */
static const struct {
    const char *machine, *architecture, *variant;
} machines[] = {
    { "x86_64", "amd64", NULL },  { "x86-64", "amd64", NULL }, { "i386", "386", NULL },
    { "i486", "386", NULL },      { "i586", "386", NULL },     { "i686", "386", NULL },
    { "aarch64", "arm64", NULL }, { "armv5tel", "arm", "v5" }, { "armv5tejl", "arm", "v5" },
    { "armel", "arm", "v6" },     { "armv6l", "arm", "v6" },   { "armhf", "arm", "v7" },
    { "armv7l", "arm", "v7" },    { "armv8l", "arm", "v8" },   { "loongarch64", "loong64", NULL },
};

/* Architectures whose variants are numbered; a higher one runs the lower. */
static const struct {
    const char *architecture;
    int lowest;     /* that images are made for */
    int unnamed;    /* what no variant means, 0: not said */
    int by_default; /* what to want where no variant was given */
} numbered[] = {
    { "amd64", 1, 1, 1 },
    { "arm", 5, 0, 7 },
    { "arm64", 8, 8, 8 },
};

/* Returns the number of a variant `v7`, 0 when it is none. */
static int level(const char *variant)
{
    if (variant && variant[0] == 'v' && g_ascii_isdigit(variant[1]) && !variant[2])
        return variant[1] - '0';
    return 0;
}

static int find_numbered(const char *architecture)
{
    for (guint i = 0; i < G_N_ELEMENTS(numbered); i++)
        if (g_str_equal(numbered[i].architecture, architecture))
            return (int)i;
    return -1;
}

/* Makes a platform of words of any spelling. @variant may be NULL or empty. */
static BerthPlatform *make(const char *os, const char *architecture, const char *variant)
{
    BerthPlatform *platform = g_new0(BerthPlatform, 1);
    int family;

    platform->os = g_ascii_strdown(os, -1);
    platform->architecture = g_ascii_strdown(architecture, -1);
    platform->variant = variant && *variant ? g_ascii_strdown(variant, -1) : NULL;

    for (guint i = 0; i < G_N_ELEMENTS(machines); i++)
        if (g_str_equal(machines[i].machine, platform->architecture)) {
            g_free(platform->architecture);
            platform->architecture = g_strdup(machines[i].architecture);
            if (!platform->variant)
                platform->variant = g_strdup(machines[i].variant);
            break;
        }

    family = find_numbered(platform->architecture);
    if (family < 0 || !platform->variant)
        return platform;
    if (g_ascii_isdigit(platform->variant[0]) && !platform->variant[1]) { /* 7 for v7 */
        g_autofree char *number = g_steal_pointer(&platform->variant);

        platform->variant = g_strconcat("v", number, NULL);
    }
    if (numbered[family].unnamed && level(platform->variant) == numbered[family].unnamed)
        g_clear_pointer(&platform->variant, g_free);
    return platform;
}

BerthPlatform *berth_platform_parse(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, "/", 4);
    guint count = g_strv_length(words);
    bool good = count == 2 || count == 3;

    for (guint i = 0; good && i < count; i++) {
        size_t length = strlen(words[i]);

        good =
            length >= 1 && length <= WORD_MAX && g_ascii_isalnum(words[i][0]) &&
            strspn(words[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
                length;
    }
    if (!good) {
        g_autofree char *quoted = berth_quote(text);
        (void)berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                              "invalid platform '%s': use os/arch or os/arch/variant, as in "
                              "linux/amd64 or linux/arm/v7",
                              quoted);
        return NULL;
    }
    return make(words[0], words[1], words[2]);
}

BerthPlatform *berth_platform_from_machine(const char *sysname, const char *machine)
{
    /* the kernel has one word for both byte orders */
    if (G_BYTE_ORDER == G_LITTLE_ENDIAN && g_str_has_prefix(machine, "mips")) {
        g_autofree char *little = g_strconcat(machine, "le", NULL);

        return make(sysname, little, NULL);
    }
    return make(sysname, machine, NULL);
}

BerthPlatform *berth_platform_host(GError **error)
{
    struct utsname name;

    if (uname(&name) < 0) {
        (void)berth_set_error_errno(error, BERTH_ERROR_FAILED, errno,
                                    "cannot find out the platform of this machine");
        return NULL;
    }
    return berth_platform_from_machine(name.sysname, name.machine);
}

bool berth_platform_from_json(const json_t *object, BerthPlatform **platform, GError **error)
{
    const char *os, *architecture, *variant, *version;

    *platform = NULL;
    if (!berth_json_get_string(object, "os", WORD_MAX, &os, error) ||
        !berth_json_get_string(object, "architecture", WORD_MAX, &architecture, error) ||
        !berth_json_get_string(object, "variant", WORD_MAX, &variant, error) ||
        !berth_json_get_string(object, "os.version", VERSION_MAX, &version, error))
        return false;
    if (os && *os && architecture && *architecture) {
        *platform = make(os, architecture, variant);
        (*platform)->os_version = g_strdup(version);
    }
    return true;
}

void berth_platform_free(BerthPlatform *platform)
{
    if (!platform)
        return;
    g_free(platform->os);
    g_free(platform->architecture);
    g_free(platform->variant);
    g_free(platform->os_version);
    g_free(platform);
}

char *berth_platform_to_string(const BerthPlatform *platform)
{
    return g_strconcat(platform->os, "/", platform->architecture, platform->variant ? "/" : "",
                       platform->variant, NULL);
}

int berth_platform_rank(const BerthPlatform *wanted, const BerthPlatform *offered)
{
    int family, want, have;

    if (!g_str_equal(wanted->os, offered->os) ||
        !g_str_equal(wanted->architecture, offered->architecture))
        return -1;
    if (g_strcmp0(wanted->variant, offered->variant) == 0)
        return 0;

    family = find_numbered(wanted->architecture);
    if (family >= 0) {
        want = wanted->variant ? level(wanted->variant) : numbered[family].by_default;
        have = offered->variant ? level(offered->variant) : numbered[family].unnamed;
        if (have >= numbered[family].lowest && have <= want)
            return 1 + want - have;
    }
    return offered->variant ? -1 : RANK_GENERIC;
}
