/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line. Each option is one line of a table, which is also what the help prints, and
 * belongs to a group; a verb that does not take an option refuses it instead of ignoring it. Values
 * are only looked at where their form matters here (sizes, KEY=VALUE).
 */

#include "ctl/options.h"

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"
#include "ctl/output.h"
#include "ctl/report.h"
#include "ctl/text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPERAND = 1, /* what getopt_long() returns for an argument that is no option */
    OPTION_IPC = 256,
    OPTION_SHM_SIZE,
    OPTION_SHM_INODES,
    OPTION_HUGE,
    OPTION_NUMA,
    OPTION_SYSCTL,
    OPTION_USER,
    OPTION_GROUP,
    OPTION_LABEL,
    OPTION_PUBLISH,
    OPTION_NAME,
    OPTION_KEEP,
    OPTION_STOPPED,
    OPTION_LEAVE_OUT,
    OPTION_PLATFORM,
    OPTION_ALL_PLATFORMS,
    OPTION_REFERRERS,
    OPTION_FOREIGN,
    OPTION_FORMAT,
    OPTION_INCLUDE_FOREIGN,
    OPTION_REFERENCE,
    OPTION_CREDS,
    OPTION_MAX_BANDWIDTH,
    OPTION_USERNAME,
    OPTION_JSON,
    OPTION_NO_PAGER,
    OPTION_NO_LEGEND,
    OPTION_NO_ASK_PASSWORD,
    OPTION_ADDRESS,
    OPTION_VERSION,
};

static const struct {
    const char *name;
    int value; /* a letter: there is a short form */
    const char *argument;
    unsigned groups;
    const char *help;
} options[] = {
    { "ipc", OPTION_IPC, "MODE", CTL_OPTIONS_SPEC,
      N_("private, shareable, none, host or container:SANDBOX") },
    { "shm-size", OPTION_SHM_SIZE, "BYTES", CTL_OPTIONS_SPEC,
      N_("size of /dev/shm, as 64M; 0: the default") },
    { "shm-inodes", OPTION_SHM_INODES, "N", CTL_OPTIONS_SPEC | CTL_OPTIONS_INODES,
      N_("how many files fit there; 0: the default") },
    { "huge", OPTION_HUGE, "WHEN", CTL_OPTIONS_SPEC,
      N_("huge pages: never, always, within_size or advise") },
    { "numa", OPTION_NUMA, "POLICY", CTL_OPTIONS_SPEC,
      N_("where memory lies, as mpol= of tmpfs(5)") },
    { "sysctl", OPTION_SYSCTL, "KEY=VALUE", CTL_OPTIONS_SPEC,
      N_("a sysctl of the namespace, as kernel.shmmni=64") },
    { "user", OPTION_USER, "USER", CTL_OPTIONS_SPEC, N_("a user who may join besides the owner") },
    { "group", OPTION_GROUP, "GROUP", CTL_OPTIONS_SPEC, N_("a group whose members may join") },
    { "label", OPTION_LABEL, "KEY=VALUE", CTL_OPTIONS_SPEC, N_("an annotation") },
    { "publish", OPTION_PUBLISH, NULL, CTL_OPTIONS_SPEC, N_("make it reachable by path") },
    { "name", OPTION_NAME, "NAME", CTL_OPTIONS_RUN, N_("name of the sandbox") },
    { "keep", OPTION_KEEP, NULL, CTL_OPTIONS_RUN, N_("keep the sandbox when the command ends") },
    { "stopped", OPTION_STOPPED, NULL, CTL_OPTIONS_SNAPSHOT,
      N_("its programs are frozen, so that queues can be read") },
    { "leave-out", OPTION_LEAVE_OUT, "NAME", CTL_OPTIONS_SNAPSHOT | CTL_OPTIONS_RESTORE,
      N_("go on without this member of the archive") },
    { "platform", OPTION_PLATFORM, "OS/ARCH", CTL_OPTIONS_PLATFORMS,
      N_("which of several, as linux/arm64; default: this machine's") },
    { "all-platforms", OPTION_ALL_PLATFORMS, NULL, CTL_OPTIONS_PLATFORMS, N_("all there are") },
    { "referrers", OPTION_REFERRERS, NULL, CTL_OPTIONS_REFERRERS,
      N_("also what refers to it, as signatures do") },
    { "foreign", OPTION_FOREIGN, "WHERE", CTL_OPTIONS_FOREIGN,
      N_("foreign layers: registry-first, registry-only, url-only, skip") },
    { "creds", OPTION_CREDS, "FILE", CTL_OPTIONS_REGISTRY,
      N_("an auth.json with the credentials to use") },
    { "max-bandwidth", OPTION_MAX_BANDWIDTH, "BYTES", CTL_OPTIONS_REGISTRY,
      N_("bytes a second at most, as 10M") },
    { "output", 'o', "FILE", CTL_OPTIONS_EXPORT, N_("where to write; -: standard output") },
    { "format", OPTION_FORMAT, "FORMAT", CTL_OPTIONS_EXPORT, N_("oci (default) or docker") },
    { "include-foreign", OPTION_INCLUDE_FOREIGN, NULL, CTL_OPTIONS_EXPORT,
      N_("foreign layers too") },
    { "reference", OPTION_REFERENCE, "REFERENCE", CTL_OPTIONS_IMPORT,
      N_("name of the image in an archive without names") },
    { "username", OPTION_USERNAME, "USER", CTL_OPTIONS_LOGIN,
      N_("whose credentials; the password comes on standard input then") },
    { "json", OPTION_JSON, "FORM", CTL_OPTIONS_COMMON, N_("print JSON: pretty, short or off") },
    { "", 'j', NULL, CTL_OPTIONS_COMMON, N_("--json=pretty on a terminal, else --json=short") },
    { "no-pager", OPTION_NO_PAGER, NULL, CTL_OPTIONS_COMMON, N_("do not start a pager") },
    { "no-legend", OPTION_NO_LEGEND, NULL, CTL_OPTIONS_COMMON,
      N_("tables without header and summary") },
    { "no-ask-password", OPTION_NO_ASK_PASSWORD, NULL, CTL_OPTIONS_COMMON,
      N_("fail where a password would be asked for") },
    { "quiet", 'q', NULL, CTL_OPTIONS_COMMON, N_("no remarks, only results and failures") },
    { "address", OPTION_ADDRESS, "BUS", CTL_OPTIONS_COMMON, N_("address of the bus to use") },
    { "help", 'h', NULL, CTL_OPTIONS_COMMON, N_("print this and exit") },
    { "version", OPTION_VERSION, NULL, CTL_OPTIONS_COMMON, N_("print the version and exit") },
};

static const struct {
    unsigned group;
    const char *title;
} groups[] = {
    { CTL_OPTIONS_SPEC, N_("Options of create and run (--shm-inodes also of resize):") },
    { CTL_OPTIONS_RUN, N_("Options of run:") },
    { CTL_OPTIONS_SNAPSHOT | CTL_OPTIONS_RESTORE,
      N_("Options of snapshot (--leave-out= also of restore):") },
    { CTL_OPTIONS_PLATFORMS | CTL_OPTIONS_REFERRERS | CTL_OPTIONS_FOREIGN | CTL_OPTIONS_REGISTRY,
      N_("Options of pull, push and copy (--foreign= not of push, --referrers also of export):") },
    { CTL_OPTIONS_EXPORT, N_("Options of export:") },
    { CTL_OPTIONS_IMPORT, N_("Options of import:") },
    { CTL_OPTIONS_LOGIN, N_("Options of login:") },
    { CTL_OPTIONS_COMMON, N_("Options:") },
};

#define N_OPTIONS G_N_ELEMENTS(options)

typedef struct {
    Ctl *ctl;
    const CtlVerb *verbs;
    const CtlVerb *verb;
    unsigned given[N_OPTIONS]; /* whether each option was */
} Parser;

/* @left in a column of @width characters, then @right. */
static void print_line(const char *left, int width, const char *right)
{
    int padding = width - (int)g_utf8_strlen(left, -1);

    printf("%s%*s %s\n", left, MAX(padding, 0), "", right);
}

static void print_option(unsigned i)
{
    char column[64];

    if (options[i].value < 256)
        g_snprintf(column, sizeof column, "  -%c%s%s", options[i].value,
                   *options[i].name ? " --" : "", options[i].name);
    else
        g_snprintf(column, sizeof column, "     --%s%s%s", options[i].name,
                   options[i].argument ? "=" : "", options[i].argument ?: "");
    print_line(column, 26, gettext(options[i].help));
}

void ctl_options_help(const Ctl *ctl, const CtlVerb *verbs)
{
    ctl_pager_open(ctl);
    printf(
        "berthctl [OPTIONS…] VERB …\n\n%s\n\n%s\n",
        _("Make and use sandboxes of Berth, IPC namespaces with /dev/shm and /dev/mqueue, and get\n"
          "images from registries."),
        _("Verbs:"));
    for (const CtlVerb *verb = verbs; verb->name; verb++) {
        g_autofree char *column = g_strdup_printf("  %s %s", verb->name, verb->operands);

        print_line(column, 30, gettext(verb->help));
    }
    for (unsigned g = 0; g < G_N_ELEMENTS(groups); g++) {
        printf("\n%s\n", gettext(groups[g].title));
        for (unsigned i = 0; i < N_OPTIONS; i++)
            if (options[i].groups & groups[g].group)
                print_option(i);
    }
    printf("\n%s\n", _("See berthctl(1)."));
}

static int set_json(Ctl *ctl, const char *form)
{
    if (strcmp(form, "pretty") == 0)
        ctl->json = CTL_JSON_PRETTY;
    else if (strcmp(form, "short") == 0)
        ctl->json = CTL_JSON_SHORT;
    else if (strcmp(form, "off") == 0)
        ctl->json = CTL_JSON_OFF;
    else
        return ctl_usage(ctl, "unknown form '%s' of --json=; use pretty, short or off", form);
    return EXIT_SUCCESS;
}

static int set_size(const Ctl *ctl, const char *option, const char *text, bool *given,
                    uint64_t *size)
{
    g_autoptr(GError) error = NULL;

    *given = berth_size_parse(text, size, &error);
    return *given ? EXIT_SUCCESS : ctl_usage(ctl, "--%s: %s", option, error->message);
}

static int set_pair(const Ctl *ctl, const char *option, const char *text, GHashTable **pairs)
{
    if (ctl_spec_add_pair(pairs, text))
        return EXIT_SUCCESS;
    return ctl_usage(ctl, "--%s=%s: write it as --%s=KEY=VALUE", option, text, option);
}

/* Takes what describes a sandbox. */
static int take_spec_option(Ctl *ctl, int value, const char *text)
{
    CtlSpec *spec = &ctl->spec;

    switch (value) {
    case OPTION_IPC:
        spec->mode = text;
        break;
    case OPTION_SHM_SIZE:
        return set_size(ctl, "shm-size", text, &spec->has_shm_size, &spec->shm_size);
    case OPTION_SHM_INODES:
        return set_size(ctl, "shm-inodes", text, &spec->has_shm_inodes, &spec->shm_inodes);
    case OPTION_HUGE:
        spec->huge = text;
        break;
    case OPTION_NUMA:
        spec->numa = text;
        break;
    case OPTION_SYSCTL:
        return set_pair(ctl, "sysctl", text, &spec->sysctls);
    case OPTION_LABEL:
        return set_pair(ctl, "label", text, &spec->labels);
    case OPTION_USER:
        ctl_spec_add_word(&spec->users, text);
        break;
    case OPTION_GROUP:
        ctl_spec_add_word(&spec->groups, text);
        break;
    case OPTION_PUBLISH:
        spec->publish = true;
        break;
    }
    return EXIT_SUCCESS;
}

/* Takes how to transfer an image. */
static int take_transfer_option(Ctl *ctl, int value, const char *text)
{
    CtlTransferSpec *transfer = &ctl->transfer;

    switch (value) {
    case OPTION_PLATFORM:
        transfer->platform = text;
        break;
    case OPTION_ALL_PLATFORMS:
        transfer->all_platforms = true;
        break;
    case OPTION_REFERRERS:
        transfer->referrers = true;
        break;
    case OPTION_FOREIGN:
        transfer->foreign = text;
        break;
    case 'o':
        transfer->output = text;
        break;
    case OPTION_FORMAT:
        transfer->format = text;
        break;
    case OPTION_INCLUDE_FOREIGN:
        transfer->include_foreign = true;
        break;
    case OPTION_REFERENCE:
        transfer->reference = text;
        break;
    case OPTION_CREDS:
        transfer->creds = text;
        break;
    case OPTION_MAX_BANDWIDTH:
        return set_size(ctl, "max-bandwidth", text, &transfer->has_max_bandwidth,
                        &transfer->max_bandwidth);
    default:
        return take_spec_option(ctl, value, text);
    }
    return EXIT_SUCCESS;
}

static int take_option(Ctl *ctl, int value, const char *text)
{
    switch (value) {
    case OPTION_NAME:
        ctl->name = text;
        break;
    case OPTION_KEEP:
        ctl->keep = true;
        break;
    case OPTION_USERNAME:
        ctl->username = text;
        break;
    case OPTION_STOPPED:
        ctl->stopped = true;
        break;
    case OPTION_LEAVE_OUT:
        ctl_spec_add_word(&ctl->leave_out, text);
        break;
    case OPTION_JSON:
        return set_json(ctl, text);
    case 'j':
        ctl->json = isatty(STDOUT_FILENO) ? CTL_JSON_PRETTY : CTL_JSON_SHORT;
        break;
    case OPTION_NO_PAGER:
        ctl->no_pager = true;
        break;
    case OPTION_NO_LEGEND:
        ctl->no_legend = true;
        break;
    case OPTION_NO_ASK_PASSWORD:
        ctl->no_ask_password = true;
        break;
    case 'q':
        ctl->quiet = true;
        break;
    case OPTION_ADDRESS:
        ctl->address = text;
        break;
    default:
        return take_transfer_option(ctl, value, text);
    }
    return EXIT_SUCCESS;
}

/* The bus would close the connection of whoever sends other text. */
static int check_text(const Ctl *ctl, const char *text)
{
    g_autofree char *quoted = NULL;

    if (g_utf8_validate(text, -1, NULL))
        return EXIT_SUCCESS;
    quoted = berth_quote(text);
    return ctl_usage(ctl, "'%s' is not UTF-8", quoted);
}

static int refuse_option(const Ctl *ctl, int result, char **argv)
{
    const char *last = argv[optind - 1];

    for (unsigned i = 0; i < N_OPTIONS && optopt; i++)
        if (options[i].value == optopt && result == ':')
            return ctl_usage(ctl, "--%s needs a value: --%s=%s", options[i].name, options[i].name,
                             options[i].argument);
        else if (options[i].value == optopt)
            return ctl_usage(ctl, "--%s takes no value", options[i].name);
    if (optopt)
        return ctl_usage(ctl, "unknown option '-%c'; 'berthctl help' lists them", optopt);
    return ctl_usage(ctl, "unknown or ambiguous option '%s'; 'berthctl help' lists them", last);
}

static int take_verb(Parser *parser, const char *word)
{
    for (const CtlVerb *verb = parser->verbs; verb->name; verb++)
        if (strcmp(verb->name, word) == 0) {
            parser->verb = verb;
            return EXIT_SUCCESS;
        }
    return ctl_usage(parser->ctl, "unknown verb '%s'; 'berthctl help' lists them", word);
}

/* Whether the next argument that is no option is the command, which takes the rest of the line. */
static bool expects_command(const Parser *parser)
{
    return parser->verb && parser->verb->command && parser->ctl->n_operands == parser->verb->min;
}

static int take_operand(Parser *parser, char *word)
{
    int status = check_text(parser->ctl, word);

    if (status != EXIT_SUCCESS)
        return status;
    if (!parser->verb)
        return take_verb(parser, word);
    if (parser->ctl->n_operands >= parser->verb->max)
        return ctl_usage(parser->ctl, "'%s' is one argument too many; usage: berthctl %s%s%s", word,
                         parser->verb->name, *parser->verb->operands ? " " : "",
                         parser->verb->operands);
    parser->ctl->operands[parser->ctl->n_operands++] = word;
    return EXIT_SUCCESS;
}

static int take_result(Parser *parser, int result, char **argv)
{
    int status;

    if (result == '?' || result == ':')
        return refuse_option(parser->ctl, result, argv);
    if (result == OPERAND)
        return take_operand(parser, optarg);
    for (unsigned i = 0; i < N_OPTIONS; i++)
        if (options[i].value == result)
            parser->given[i] = 1;
    if (optarg && (status = check_text(parser->ctl, optarg)) != EXIT_SUCCESS)
        return status;
    return take_option(parser->ctl, result, optarg);
}

/* What can be said only when the whole line was read. */
static int check_line(const Parser *parser)
{
    const Ctl *ctl = parser->ctl;
    const CtlVerb *verb = parser->verb;

    if (!verb)
        return ctl_usage(ctl, "no verb given; 'berthctl help' lists them");
    for (unsigned i = 0; i < N_OPTIONS; i++)
        if (parser->given[i] && !(options[i].groups & (verb->options | CTL_OPTIONS_COMMON)))
            return ctl_usage(ctl, "--%s is no option of %s", options[i].name, verb->name);
    if (ctl->n_operands < verb->min || (verb->command && !ctl->command))
        return ctl_usage(ctl, "too few arguments; usage: berthctl %s %s", verb->name,
                         verb->operands);
    return EXIT_SUCCESS;
}

static void fill_long_options(struct option *longs)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N_OPTIONS; i++)
        if (*options[i].name)
            longs[n++] = (struct option){
                .name = options[i].name,
                .has_arg = options[i].argument ? required_argument : no_argument,
                .val = options[i].value,
            };
    longs[n] = (struct option){ 0 };
}

int ctl_options_parse(Ctl *ctl, int argc, char **argv, const CtlVerb *verbs, const CtlVerb **verb)
{
    Parser parser = { .ctl = ctl, .verbs = verbs };
    struct option longs[N_OPTIONS + 1];
    int result, status = EXIT_SUCCESS;

    *verb = NULL;
    fill_long_options(longs);
    ctl->operands = g_new0(char *, argc + 1);
    opterr = 0;
    /* '-': operands come in order, as OPERAND; ':': a missing value is told from an unknown option
     */
    while (status == EXIT_SUCCESS && !ctl->command &&
           (result = getopt_long(argc, argv, "-:jqho:", longs, NULL)) >= 0) {
        if (result == 'h') {
            ctl_options_help(ctl, verbs);
            return EXIT_SUCCESS;
        }
        if (result == OPTION_VERSION) {
            printf("berthctl %s\n", BERTH_VERSION);
            return EXIT_SUCCESS;
        }
        if (result == OPERAND && expects_command(&parser))
            ctl->command = argv + optind - 1;
        else
            status = take_result(&parser, result, argv);
    }
    for (; status == EXIT_SUCCESS && !ctl->command && optind < argc; optind++)
        if (expects_command(&parser))
            ctl->command = argv + optind;
        else
            status = take_operand(&parser, argv[optind]);

    if (status == EXIT_SUCCESS)
        status = check_line(&parser);
    if (status == EXIT_SUCCESS)
        *verb = parser.verb;
    return status;
}
