/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `login` and `logout`: credentials for a registry in the calling user's auth.json, or with the
 * credential helper that this file names. The service has no part in it; it gets what a call needs
 * when it needs it. A password is read from a terminal or a pipe, never from the command line,
 * where everybody could see it, and is never printed.
 */

#include "base/error.h"
#include "base/json.h"
#include "base/registry-name.h"
#include "ctl/auth-file.h"
#include "ctl/auth-helper.h"
#include "ctl/report.h"
#include "ctl/text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define HUB            "docker.io"
#define HUB_SERVER     "https://index.docker.io/v1/" /* what Docker's programs call it */

#define LINE_MAX_BYTES 2048 /* a helper gets both and their keys in one go of 4096 */

/* Of the terminal while it does not echo. */
static struct termios saved;

static void on_signal(int number)
{
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    (void)raise(number); /* with its usual effect, see SA_RESETHAND */
}

/* Lets the terminal echo no more until echo_on(), or until this process is ended. */
static void echo_off(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    struct termios silent;

    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
    silent = saved;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
}

static void echo_on(void)
{
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    fputc('\n', stderr);
}

/* One line of standard input without its newline. Byte by byte: what follows is somebody else's. */
static bool read_line(char line[LINE_MAX_BYTES + 1], const char *what, GError **error)
{
    size_t length = 0;
    ssize_t n;

    while ((n = read(STDIN_FILENO, line + length, 1)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return berth_set_error_errno(error, BERTH_ERROR_FAILED, errno, _("cannot read the %s"),
                                         what);
        if (line[length] == '\n')
            break;
        if (++length > LINE_MAX_BYTES)
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   _("the %s has more than %d bytes"), what, LINE_MAX_BYTES);
    }
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    if (length == 0)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION, _("no %s was given"), what);
    if (strlen(line) < length || !g_utf8_validate(line, -1, NULL))
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION, _("the %s is no UTF-8 text"),
                               what);
    return true;
}

/* Asks on the terminal, if standard input is one. */
static bool ask(const char *prompt, bool secret, char line[LINE_MAX_BYTES + 1], GError **error)
{
    bool terminal = isatty(STDIN_FILENO), ok;

    if (terminal && secret)
        echo_off(); /* before the prompt: what is typed earlier is thrown away */
    if (terminal) {
        fprintf(stderr, "%s: ", prompt);
        fflush(stderr);
    }
    ok = read_line(line, secret ? _("password") : _("user name"), error);
    if (terminal && secret)
        echo_on();
    return ok;
}

/*
 * The helper that @document names for @name, or NULL. *@server: what it calls the registry, which
 * is how it is asked later.
 */
static const char *find_helper(const json_t *document, const char *name, const char **server)
{
    const char *key, *helper = NULL;
    json_t *value;

    *server = g_str_equal(name, HUB) ? HUB_SERVER : name;

    json_object_foreach(json_object_get(document, "credHelpers"), key, value)
    {
        if (!ctl_auth_file_key_names(key, name))
            continue;
        helper = json_string_value(value);
        *server = key;
    }
    helper = helper ?: json_string_value(json_object_get(document, "credsStore"));
    return helper && *helper ? helper : NULL;
}

/* Runs a helper that keeps or forgets something. */
static bool run_helper(const char *helper, const char *verb, const char *input, GError **error)
{
    GString *output = NULL;
    int status;

    if (!ctl_auth_helper_run(helper, verb, input, strlen(input), &output, &status, error))
        return false;
    explicit_bzero(output->str, output->len);
    g_string_free(output, TRUE);
    return status == 0 ||
           berth_set_error(error, BERTH_ERROR_FAILED,
                           _("docker-credential-%s %s ended with status %d"), helper, verb, status);
}

static bool store_with_helper(const char *helper, const char *server, const char *user,
                              const char *password, GError **error)
{
    g_autoptr(json_t) object =
        json_pack("{s:s, s:s, s:s}", "ServerURL", server, "Username", user, "Secret", password);
    char *text = json_dumps(object, JSON_COMPACT);
    bool ok = run_helper(helper, "store", text, error);

    explicit_bzero(text, strlen(text));
    free(text);
    return ok;
}

/* An entry of "auths". */
static json_t *make_entry(const char *user, const char *password)
{
    char *pair = g_strconcat(user, ":", password, NULL);
    char *auth = g_base64_encode((const guchar *)pair, strlen(pair));
    json_t *entry = json_pack("{s:s}", "auth", auth);

    explicit_bzero(pair, strlen(pair));
    explicit_bzero(auth, strlen(auth));
    g_free(pair);
    g_free(auth);
    return entry;
}

/* Takes every entry for exactly @name away. Returns: whether there was one. */
static bool remove_entries(json_t *document, const char *name)
{
    json_t *auths = json_object_get(document, "auths");
    bool found = false;
    const char *key;
    json_t *entry;
    void *next;

    json_object_foreach_safe(auths, next, key, entry)
    {
        if (!ctl_auth_file_key_names(key, name))
            continue;
        json_object_del(auths, key);
        found = true;
    }
    return found;
}

static bool log_in(const char *path, bool required, const char *name, const char *user,
                   const char *password, GError **error)
{
    g_autoptr(json_t) document = NULL;
    const char *helper, *server;
    json_t *entry;

    if (!ctl_auth_file_read(path, required && access(path, F_OK) == 0, &document, error))
        return false;
    if (!document)
        document = json_object();
    helper = find_helper(document, name, &server);
    if (helper && !store_with_helper(helper, server, user, password, error))
        return false;
    remove_entries(document, name);
    if (!json_is_object(json_object_get(document, "auths")))
        json_object_set_new(document, "auths", json_object());
    entry = helper ? json_object() : make_entry(user, password);
    json_object_set_new(json_object_get(document, "auths"), helper ? server : name, entry);
    return ctl_auth_file_write(path, document, error);
}

/* Returns: (transfer full): the operand in its one spelling, NULL when it was reported. */
static char *parse_registry(const Ctl *ctl)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(ctl->operands[0], &error);

    if (name)
        return berth_registry_name_format(name);
    ctl_fail_error(ctl, error);
    return NULL;
}

/* Both lines must be wiped by the caller. */
static bool ask_both(const Ctl *ctl, char user[LINE_MAX_BYTES + 1],
                     char password[LINE_MAX_BYTES + 1], GError **error)
{
    bool terminal = isatty(STDIN_FILENO);

    if (terminal && ctl->no_ask_password)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               _("a password is needed; give it on standard input"));
    if (!ctl->username && !terminal)
        return berth_set_error(
            error, BERTH_ERROR_INVALID_OPTION,
            _("standard input is no terminal to ask on; give --username=, and the "
              "password on standard input"));
    if (ctl->username && g_strlcpy(user, ctl->username, LINE_MAX_BYTES + 1) > LINE_MAX_BYTES)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               _("the user name has more than %d bytes"), LINE_MAX_BYTES);
    if (!ctl->username && !ask(_("User name"), false, user, error))
        return false;
    if (!*user || strchr(user, ':'))
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               _("'%s' is no user name: it must not be empty nor have a ':'"),
                               user);
    return ask(_("Password"), true, password, error);
}

int ctl_verb_login(Ctl *ctl)
{
    bool required;
    g_autoptr(GPtrArray) places = ctl_auth_file_places(&required);
    g_autofree char *name = parse_registry(ctl);
    g_autoptr(GError) error = NULL;
    char user[LINE_MAX_BYTES + 1] = "", password[LINE_MAX_BYTES + 1] = "";
    const char *path = places->pdata[0];
    bool ok;

    if (!name)
        return EXIT_FAILURE;
    ok = ask_both(ctl, user, password, &error) &&
         log_in(path, required, name, user, password, &error);
    explicit_bzero(password, sizeof password);
    if (!ok)
        return ctl_fail_error(ctl, error);
    ctl_note(ctl, "kept in %s; whether %s accepts it shows when it is used", path, name);
    return EXIT_SUCCESS;
}

/* Returns: whether there was something to forget; on error false too. */
static bool log_out(const char *path, bool required, const char *name, GError **error)
{
    g_autoptr(json_t) document = NULL;
    const char *helper, *server;
    bool found;

    if (!ctl_auth_file_read(path, required, &document, error) || !document)
        return false;
    helper = find_helper(document, name, &server);
    found = remove_entries(document, name);
    if (found && helper && !run_helper(helper, "erase", server, error))
        return false;
    return found && ctl_auth_file_write(path, document, error);
}

static bool has_entry(const char *path, const char *name)
{
    g_autoptr(json_t) document = NULL;

    return ctl_auth_file_read(path, false, &document, NULL) && document &&
           remove_entries(document, name);
}

int ctl_verb_logout(Ctl *ctl)
{
    bool required, found = false;
    g_autoptr(GPtrArray) places = ctl_auth_file_places(&required);
    guint own = required ? places->len : places->len - 1; /* the last one is Docker's */
    g_autofree char *name = parse_registry(ctl);
    g_autoptr(GError) error = NULL;

    if (!name)
        return EXIT_FAILURE;
    for (guint i = 0; !error && i < own; i++)
        found = log_out(places->pdata[i], required, name, &error) || found;
    if (error)
        return ctl_fail_error(ctl, error);
    for (guint i = own; i < places->len; i++)
        if (has_entry(places->pdata[i], name))
            ctl_warn("%s has credentials for %s too; 'docker logout' forgets them",
                     (const char *)places->pdata[i], name);
    if (!found)
        return ctl_fail(ctl, berth_error_dbus_name(BERTH_ERROR_FAILED),
                        "there are no credentials for %s in %s", name,
                        (const char *)places->pdata[0]);
    return EXIT_SUCCESS;
}
