/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What callers say about a transfer, checked for its form. What a platform means, and what is in an
 * auth.json, is known to workers only.
 */

#include "daemon/transfer-options.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "base/names.h"
#include "settings/registry-keys.h"

#include <string.h>

#define CREDENTIALS_MAX (64u << 10) /* bytes of an auth.json */
#define PLATFORM_WORD   64          /* bytes of os, architecture and variant */
#define LETTERS_DIGITS  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

void berth_transfer_options_init(BerthTransferOptions *options)
{
    *options = (BerthTransferOptions){ .credentials = -1,
                                       .source_credentials = -1,
                                       .wanted_foreign_layers = -1 };
}

void berth_transfer_options_clear(BerthTransferOptions *options)
{
    g_free(options->platform);
    g_free(options->foreign_layers);
    berth_close(options->credentials);
    berth_close(options->source_credentials);
    berth_transfer_options_init(options);
}

void berth_transfer_options_move(BerthTransferOptions *options, BerthTransferOptions *job)
{
    *job = *options;
    berth_transfer_options_init(options);
}

const char *berth_transfer_options_platform(const BerthTransferOptions *options)
{
    return options->platform ? options->platform : "";
}

static bool check_platform(const BerthTransferOptions *options, GError **error)
{
    g_auto(GStrv) words = g_strsplit(berth_transfer_options_platform(options), "/", 4);
    unsigned n = g_strv_length(words);
    bool good = n == 0 || n == 2 || n == 3;

    for (unsigned i = 0; good && i < n; i++) {
        size_t length = strlen(words[i]);

        good = length >= 1 && length <= PLATFORM_WORD && g_ascii_isalnum(words[i][0]) &&
               strspn(words[i], LETTERS_DIGITS "_.-") == length;
    }
    if (!good) {
        g_autofree char *quoted = berth_quote(options->platform);

        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "invalid Platform '%s': use os/arch or os/arch/variant, as in "
                               "linux/amd64",
                               quoted);
    }
    return n == 0 || !options->all_platforms ||
           berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "Platform '%s' does not go with AllPlatforms; give one of them",
                           options->platform);
}

static const char *const *foreign_words(void)
{
    return berth_registry_key(BERTH_REGISTRY_FOREIGN_LAYERS)->words;
}

static bool check_foreign_layers(BerthTransferOptions *options, GError **error)
{
    const char *const *words = foreign_words();
    g_autofree char *known = g_strjoinv(", ", (char **)words);
    g_autofree char *quoted = NULL;

    if (!options->foreign_layers)
        return true;
    for (int i = 0; words[i]; i++)
        if (g_str_equal(words[i], options->foreign_layers)) {
            options->wanted_foreign_layers = i;
            return true;
        }
    quoted = berth_quote(options->foreign_layers);
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "invalid ForeignLayers '%s': use one of %s", quoted, known);
}

static bool check_credentials(int fd, const char *key, GError **error)
{
    return fd < 0 || berth_memfd_check(fd, CREDENTIALS_MAX, key, error);
}

bool berth_transfer_options_read(BerthTransferOptions *options, sd_bus_message *message,
                                 const BerthOption *known, GError **error)
{
    return berth_options_read(message, known, options, NULL, error) &&
           check_platform(options, error) && check_foreign_layers(options, error) &&
           check_credentials(options->credentials, "Credentials", error) &&
           check_credentials(options->source_credentials, "SourceCredentials", error);
}

bool berth_transfer_options_foreign_layers(const BerthTransferOptions *options,
                                           const BerthRegistrySettings *settings, const char **word,
                                           GError **error)
{
    BerthForeignLayers allowed = settings->foreign_layers;
    int wanted = options->wanted_foreign_layers;
    g_autofree char *authority = NULL;

    *word = foreign_words()[wanted < 0 ? (int)allowed : wanted];
    if (wanted < 0 || berth_foreign_layers_narrows(allowed, (BerthForeignLayers)wanted))
        return true;
    authority = berth_registry_name_authority(settings->name);
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                           "ForeignLayers '%s' would use sources that the settings rule out, which "
                           "say '%s' for %s; a caller can only narrow that",
                           options->foreign_layers, foreign_words()[allowed], authority);
}
