/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credential helpers, the programs docker-credential-NAME: they keep secrets where the user's
 * desktop or password manager does. The protocol is that of github.com/docker/docker-credential-
 * helpers: the verb is the argument, a server's name or an object the input, an object or a message
 * the output. Secrets go through pipes only. It must never run anything but a program of that name
 * from PATH: the file that names it may have come from elsewhere.
 */

#include "ctl/auth-helper.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"
#include "ctl/text.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define PREFIX     "docker-credential-"
#define OUTPUT_MAX 65536 /* bytes */
#define NOT_FOUND  "credentials not found"
#define TOKEN_USER "<token>" /* the secret is an identity token then */

static const BerthJsonLimits limits = {
    .bytes = OUTPUT_MAX,
    .depth = 8,
    .containers = 64,
    .values = 256,
};

static bool check_name(const char *helper, GError **error)
{
    g_autofree char *quoted = NULL;

    if (*helper && strspn(helper, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_.-") == strlen(helper))
        return true;
    quoted = berth_quote(helper);
    return berth_set_error(
        error, BERTH_ERROR_FAILED,
        _("'%s' names no credential helper: use letters, digits, '_', '.' and '-'"), quoted);
}

static void exec_helper(const char *program, const char *verb, int input, int output)
{
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execlp(program, program, verb, (char *)NULL);
    _exit(127);
}

/* Reads to the end; what is longer than OUTPUT_MAX is not kept. */
static void take_output(int fd, GString *output)
{
    char buffer[4096];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && output->len + (size_t)n <= OUTPUT_MAX)
            g_string_append_len(output, buffer, n);
    }
    explicit_bzero(buffer, sizeof buffer);
}

static int wait_for(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool ctl_auth_helper_run(const char *helper, const char *verb, const char *input,
                         size_t input_length, GString **output, int *status, GError **error)
{
    g_autofree char *program = g_strconcat(PREFIX, helper, NULL);
    BERTH_AUTO_FD from = -1;
    BERTH_AUTO_FD to = -1;
    BERTH_AUTO_FD theirs = -1;
    int ends[2];
    pid_t child;

    if (!check_name(helper, error))
        return false;
    /* a pipe holds the input, so that there is nobody to wait for while writing */
    if (input_length > PIPE_BUF)
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               _("%zu bytes for %s; it gets at most %d at once"), input_length,
                               program, PIPE_BUF);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot run %s"), program);
    from = ends[0];
    to = ends[1];
    if (write(to, input, input_length) != (ssize_t)input_length)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot run %s"), program);
    to = berth_close(to);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot run %s"), program);
    to = ends[0];
    theirs = ends[1];

    child = fork();
    if (child < 0)
        return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot run %s"), program);
    if (child == 0)
        exec_helper(program, verb, from, theirs);
    theirs = berth_close(theirs);
    /* room for all, since growing would leave copies behind */
    *output = g_string_sized_new(OUTPUT_MAX);
    take_output(to, *output);
    *status = wait_for(child);
    return true;
}

/* Returns: (transfer full) (nullable): an entry of "auths" with user and secret of an answer. */
static json_t *read_answer(const GString *output)
{
    g_autoptr(json_t) answer = berth_json_load(output->str, output->len, &limits, NULL);
    const char *user = json_string_value(json_object_get(answer, "Username"));
    const char *secret = json_string_value(json_object_get(answer, "Secret"));

    if (!user || !secret)
        return NULL;
    if (strcmp(user, TOKEN_USER) == 0)
        return json_pack("{s:s}", "identitytoken", secret);
    return json_pack("{s:s, s:s}", "username", user, "password", secret);
}

bool ctl_auth_helper_get(const char *helper, const char *server, json_t **entry, GError **error)
{
    GString *output = NULL;
    bool unknown;
    int status;

    *entry = NULL;
    if (!ctl_auth_helper_run(helper, "get", server, strlen(server), &output, &status, error))
        return false;
    unknown = status != 0 && g_strstr_len(output->str, (gssize)output->len, NOT_FOUND);
    if (status == 0)
        *entry = read_answer(output);
    explicit_bzero(output->str, output->len);
    g_string_free(output, TRUE);

    if (*entry || unknown)
        return true;
    if (status == 127)
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               _("there is no program docker-credential-%s in PATH"), helper);
    if (status != 0)
        return berth_set_error(error, BERTH_ERROR_FAILED,
                               _("docker-credential-%s get ended with status %d"), helper, status);
    return berth_set_error(
        error, BERTH_ERROR_FAILED,
        _("docker-credential-%s get answered without \"Username\" and \"Secret\""), helper);
}
