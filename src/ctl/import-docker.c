/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `config import-docker`: settings files from Docker's daemon.json. They lie where the service
 * looks for its settings, under names of their own; a later import replaces them, and nothing that
 * somebody else wrote is touched. The running service does not notice before it is told to.
 */

#include "base/error.h"
#include "base/fd.h"
#include "ctl/docker-settings.h"
#include "ctl/output.h"
#include "ctl/report.h"
#include "ctl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGURATION "/etc/berth"
#define FILE_NAME     "50-docker.conf"
#define MARK          "# Made by berthctl config import-docker, which replaces it.\n"
#define FILE_MAX      1048576

static const BerthJsonLimits limits = {
    .bytes = FILE_MAX,
    .depth = 32,
    .containers = 20000,
    .values = 100000,
};

/* As the service has it, see berth.conf(5). */
static char *settings_path(const char *directory)
{
    const char *configuration = g_getenv("CONFIGURATION_DIRECTORY");
    g_autofree char *first = NULL;

    if (!configuration || !*configuration)
        configuration = CONFIGURATION;
    first = g_strndup(configuration, strcspn(configuration, ":"));
    return g_build_filename(first, directory, FILE_NAME, NULL);
}

/* At most FILE_MAX + 1 bytes of a file. Returns: false and errno when it cannot be read. */
static bool read_file(const char *path, char **text, size_t *length)
{
    BERTH_AUTO_FILE *stream = fopen(path, "re");

    if (!stream)
        return false;
    *text = g_malloc0(FILE_MAX + 2);
    *length = fread(*text, 1, FILE_MAX + 1, stream);
    return !ferror(stream);
}

static json_t *read_document(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    size_t length;
    g_autoptr(GError) failure = NULL;
    json_t *document;

    if (!read_file(path, &text, &length)) {
        berth_set_error_errno(error, BERTH_ERROR_INVALID_OPTION, errno, _("cannot read %s"), path);
        return NULL;
    }
    document = berth_json_load(text, length, &limits, &failure);
    if (!document)
        berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("%s is no daemon.json: %s"), path,
                        failure->message);
    return document;
}

/* Whether @path may be replaced: it is not there, or an earlier import wrote it. */
static bool check_own(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    size_t length;

    if (!read_file(path, &text, &length))
        return errno == ENOENT || errno == ENOTDIR ||
               berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot read %s"), path);
    return g_str_has_prefix(text, MARK) ||
           berth_set_error(error, BERTH_ERROR_FAILED,
                           _("%s was not made by an import and is kept; move it away first"), path);
}

/* Makes @path hold @body, as a whole or not at all; no body: removes it. */
static bool put(const char *path, const char *body, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_autofree char *text = g_strconcat(MARK, body, NULL);
    g_autoptr(GError) failure = NULL;

    if (!body)
        return g_unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR ||
               berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot remove %s"), path);
    if (g_mkdir_with_parents(directory, 0755) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot make %s"),
                                     directory);
    return g_file_set_contents_full(path, text, -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                    0644, &failure) ||
           berth_set_error(error, BERTH_ERROR_FAILED, _("cannot write %s: %s"), path,
                           failure->message);
}

static bool put_all(const CtlDockerSettings *settings, const char *conf, const char *registries,
                    GError **error)
{
    return check_own(conf, error) && check_own(registries, error) &&
           put(conf, settings->berth_conf, error) && put(registries, settings->registries, error);
}

static void print_result(const Ctl *ctl, const CtlDockerSettings *settings, const char *conf,
                         const char *registries)
{
    g_autoptr(json_t) files = json_array();
    const json_t *file;
    size_t i;

    if (settings->berth_conf)
        json_array_append_new(files, json_string(conf));
    if (settings->registries)
        json_array_append_new(files, json_string(registries));
    if (ctl->json != CTL_JSON_OFF) {
        g_autoptr(json_t) object = json_pack("{s:O}", "Files", files);

        ctl_print_json(ctl, object);
        return;
    }
    json_array_foreach(files, i, file)
    {
        puts(json_string_value(file));
    }
    if (json_array_size(files) > 0)
        ctl_note(ctl, "'berthctl reload' puts them into force");
    else
        ctl_note(ctl, "the file has nothing that Berth has a setting for");
}

int ctl_import_docker(Ctl *ctl, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) document = read_document(path, &error);
    g_autoptr(CtlDockerSettings) settings =
        document ? ctl_docker_settings_convert(document, &error) : NULL;
    g_autofree char *conf = settings_path("berth.conf.d");
    g_autofree char *registries = settings_path("registries.d");

    for (guint i = 0; settings && i < settings->warnings->len; i++)
        ctl_warn("%s", (const char *)settings->warnings->pdata[i]);
    if (!settings || !put_all(settings, conf, registries, &error))
        return ctl_fail_error(ctl, error);
    print_result(ctl, settings, conf, registries);
    return EXIT_SUCCESS;
}
