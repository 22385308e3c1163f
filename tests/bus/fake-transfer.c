/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker that does what a test says, honest or not. It speaks the service's protocol and knows
 * neither registries nor the layout: its store is a directory with plain files.
 *
 *   images       a line each: reference digest media-type size platform pulled-usec owner[,owner]…
 *   blobs/…      as in a real one; only OpenBlob's copies are read from there
 *   control/NAME a FIFO with what a transfer shall do, line by line; NAME is the reference, of the
 *                destination if there are two, with every '/', ':' and '@' made '_'. Without one
 *                the transfer is done at once
 *   query-KIND   a line as in such a FIFO, which a query does instead
 *   extra        when it is there, each image has a key too many
 *   log          what each worker was asked, a line each, what it was answered, and bandwidths
 *
 * Commands: progress DONE TOTAL [INDEX DIGEST STATE DONE TOTAL SOURCE]…; done DIGEST; error NAME
 * TEXT; result TEXT (a result without sense); flood COUNT; strange (a signal that nobody expects);
 * garbage; ask QUESTION; kill SIGNAL; exit STATUS; hang.
 */

#include "base/error.h"
#include "base/fd.h"
#include "base/names.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define SOCKET 3

typedef struct {
    sd_bus *bus;
    sd_event *event;
    sd_bus_message *call;
    GHashTable *texts; /* of the job, by key: every basic value as text */
    int store, into;
    GString *input; /* of the FIFO: what is no line yet */
} Fake;

static const char *text_of(Fake *fake, const char *key)
{
    const char *text = g_hash_table_lookup(fake->texts, key);

    return text ? text : "";
}

static void check(int r)
{
    if (r < 0) {
        (void)fprintf(stderr, "fake-transfer: %s\n", g_strerror(-r));
        _exit(3);
    }
}

/* Takes a value of the job as text; what is a container as what is in it. */
static void read_value(Fake *fake, GString *text)
{
    const char *contents;
    char type;
    int r;

    while ((r = sd_bus_message_peek_type(fake->call, &type, &contents)) > 0) {
        union {
            const char *s;
            uint64_t t;
            uint32_t u;
            int i;
        } value;

        if (strchr("avre", type)) {
            check(sd_bus_message_enter_container(fake->call, type, contents));
            read_value(fake, text);
            check(sd_bus_message_exit_container(fake->call));
            continue;
        }
        check(sd_bus_message_read_basic(fake->call, type, &value));
        if (text->len)
            g_string_append_c(text, ' ');
        if (type == 's')
            g_string_append(text, value.s);
        else if (type == 't')
            g_string_append_printf(text, "%" PRIu64, value.t);
        else if (type == 'h') {
            char data[4096];
            ssize_t n = pread(value.i, data, sizeof(data) - 1, 0);

            g_string_append_len(text, data, MAX(n, 0));
            fake->into = value.i;
        } else
            g_string_append_printf(text, "%u", value.u);
    }
    check(r);
}

static void read_job(Fake *fake)
{
    check(sd_bus_message_enter_container(fake->call, 'a', "{sv}"));
    while (sd_bus_message_enter_container(fake->call, 'e', "sv") > 0) {
        GString *text = g_string_new(NULL);
        const char *key;

        check(sd_bus_message_read_basic(fake->call, 's', &key));
        if (g_str_equal(key, "Store")) {
            check(sd_bus_message_read(fake->call, "v", "h", &fake->store));
        } else {
            check(sd_bus_message_enter_container(fake->call, 'v', NULL));
            read_value(fake, text);
            check(sd_bus_message_exit_container(fake->call));
        }
        g_hash_table_insert(fake->texts, g_strdup(key), g_string_free(text, FALSE));
        check(sd_bus_message_exit_container(fake->call));
    }
    check(sd_bus_message_exit_container(fake->call));
}

/* Writes the job down, its keys in order, in one write. */
static void log_job(Fake *fake, const char *kind)
{
    GList *keys = g_list_sort(g_hash_table_get_keys(fake->texts), (GCompareFunc)strcmp);
    GString *line = g_string_new(kind);
    int fd = openat(fake->store, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    for (const GList *key = keys; key; key = key->next)
        g_string_append_printf(line, "\t%s=%s", (const char *)key->data, text_of(fake, key->data));
    g_string_append_c(line, '\n');
    g_assert(write(fd, line->str, line->len) == (ssize_t)line->len);
    berth_close(fd);
    g_list_free(keys);
    g_string_free(line, TRUE);
}

static char *read_file(Fake *fake, const char *name)
{
    int fd = openat(fake->store, name, O_RDONLY | O_CLOEXEC);
    g_autoptr(GString) text = g_string_new(NULL);
    char data[65536];
    ssize_t n;

    if (fd < 0)
        return NULL;
    while ((n = read(fd, data, sizeof(data))) > 0)
        g_string_append_len(text, data, n);
    berth_close(fd);
    return g_strdup(text->str);
}

static void finish(Fake *fake, sd_bus_message *reply)
{
    check(sd_bus_send(fake->bus, reply, NULL));
    check(sd_bus_flush(fake->bus));
    _exit(0);
}

static void fail(Fake *fake, const char *name, const char *text)
{
    check(sd_bus_reply_method_errorf(fake->call, name, "%s", text));
    check(sd_bus_flush(fake->bus));
    _exit(0);
}

static sd_bus_message *new_reply(Fake *fake)
{
    sd_bus_message *reply;

    check(sd_bus_message_new_method_return(fake->call, &reply));
    check(sd_bus_message_open_container(reply, 'a', "{sv}"));
    return reply;
}

static void report(Fake *fake, char **words, unsigned n)
{
    sd_bus_message *signal;

    g_assert(n >= 3 && (n - 3) % 6 == 0);
    check(sd_bus_message_new_signal(fake->bus, &signal, BERTH_WORKER_PATH, BERTH_IF_WORKER,
                                    "Progress"));
    check(sd_bus_message_append(signal, "tt", (uint64_t)strtoull(words[1], NULL, 10),
                                (uint64_t)strtoull(words[2], NULL, 10)));
    check(sd_bus_message_open_container(signal, 'a', "(usstts)"));
    for (unsigned i = 3; i < n; i += 6)
        check(sd_bus_message_append(
            signal, "(usstts)", (uint32_t)strtoul(words[i], NULL, 10), words[i + 1], words[i + 2],
            (uint64_t)strtoull(words[i + 3], NULL, 10), (uint64_t)strtoull(words[i + 4], NULL, 10),
            g_str_equal(words[i + 5], "-") ? "" : words[i + 5]));
    check(sd_bus_message_close_container(signal));
    check(sd_bus_send(fake->bus, signal, NULL));
    sd_bus_message_unref(signal);
}

static void flood(Fake *fake, unsigned count)
{
    char *words[] = { NULL, (char *)"1", (char *)"2" };

    for (unsigned i = 0; i < count; i++)
        report(fake, words, 3);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    Fake *fake = userdata;
    int yes;

    check(sd_bus_message_read(reply, "b", &yes));
    g_hash_table_remove_all(fake->texts);
    g_hash_table_insert(fake->texts, g_strdup("Yes"), g_strdup_printf("%d", yes));
    log_job(fake, "answer");
    return 0;
}

/* One line of control/NAME. */
static void obey(Fake *fake, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    unsigned n = g_strv_length(words);
    const char *word = n > 0 ? words[0] : "";
    const char *argument = n > 1 ? words[1] : "";
    sd_bus_message *reply;

    if (g_str_equal(word, "progress")) {
        report(fake, words, n);
    } else if (g_str_equal(word, "done") || g_str_equal(word, "result")) {
        reply = new_reply(fake);
        check(sd_bus_message_append(reply, "{sv}", *word == 'd' ? "Digest" : "Nonsense", "s",
                                    argument));
        check(sd_bus_message_close_container(reply));
        finish(fake, reply);
    } else if (g_str_equal(word, "error")) {
        fail(fake, argument, line + strlen("error  ") + strlen(argument));
    } else if (g_str_equal(word, "flood")) {
        flood(fake, (unsigned)strtoul(argument, NULL, 10));
    } else if (g_str_equal(word, "strange")) {
        check(sd_bus_emit_signal(fake->bus, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Strange", NULL));
    } else if (g_str_equal(word, "garbage")) {
        check((int)write(SOCKET, "this is no message of any bus", 29));
    } else if (g_str_equal(word, "ask")) {
        check(sd_bus_call_method_async(fake->bus, NULL, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER,
                                       "Ask", on_answer, fake, "sa{ss}", argument, 1, "reference",
                                       "somebody/elses:1"));
    } else if (g_str_equal(word, "kill")) {
        (void)raise((int)strtol(argument, NULL, 10));
    } else if (g_str_equal(word, "exit")) {
        _exit((int)strtol(argument, NULL, 10));
    }
    check(sd_bus_flush(fake->bus));
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Fake *fake = userdata;
    char data[4096];
    ssize_t n = read(fd, data, sizeof(data));
    const char *end;

    if (n > 0)
        g_string_append_len(fake->input, data, n);
    while ((end = strchr(fake->input->str, '\n'))) {
        g_autofree char *line = g_strndup(fake->input->str, (gsize)(end - fake->input->str));

        g_string_erase(fake->input, 0, end - fake->input->str + 1);
        obey(fake, line);
    }
    return 0;
}

static void transfer(Fake *fake)
{
    g_autofree char *name =
        g_strconcat("control/", text_of(fake, "Reference"), text_of(fake, "Destination"), NULL);
    int fd;

    g_strdelimit(name + strlen("control/"), "/:@", '_');
    fd = openat(fake->store, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        check(sd_event_add_io(fake->event, NULL, fd, EPOLLIN, on_input, fake));
    else
        obey(fake, "done sha256:"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void append_image(const Fake *fake, sd_bus_message *reply, char **words)
{
    if (faccessat(fake->store, "extra", F_OK, 0) == 0)
        check(sd_bus_message_append(reply, "{sv}", "Extra", "s", "more"));
    check(sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Reference", "s",
                                g_str_equal(words[0], "-") ? "" : words[0], "Digest", "s", words[1],
                                "MediaType", "s", words[2], "Size", "t",
                                (uint64_t)strtoull(words[3], NULL, 10), "Platform", "s", words[4],
                                "PulledUSec", "t", (uint64_t)strtoull(words[5], NULL, 10), "Owner",
                                "u", (uint32_t)strtoul(words[6], NULL, 10)));
}

static void append_readers(sd_bus_message *reply, const char *owners)
{
    g_auto(GStrv) words = g_strsplit(owners, ",", -1);

    check(sd_bus_message_open_container(reply, 'e', "sv"));
    check(sd_bus_message_append(reply, "s", "Readers"));
    check(sd_bus_message_open_container(reply, 'v', "au"));
    check(sd_bus_message_open_container(reply, 'a', "u"));
    for (char **word = words; *word; word++)
        check(sd_bus_message_append(reply, "u", (uint32_t)strtoul(*word, NULL, 10)));
    for (int depth = 0; depth < 3; depth++)
        check(sd_bus_message_close_container(reply));
}

/* The line of images that is meant by @image, a reference or a digest. */
static char **find_image(Fake *fake, const char *image)
{
    g_autofree char *text = read_file(fake, "images");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);

        if (g_strv_length(words) == 7 &&
            (g_str_equal(words[0], image) || g_str_equal(words[1], image)))
            return g_steal_pointer(&words);
    }
    fail(fake, berth_error_dbus_name(BERTH_ERROR_NO_SUCH_IMAGE), "there is no such image");
    return NULL;
}

static void list(Fake *fake)
{
    g_autofree char *text = read_file(fake, "images");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    sd_bus_message *reply = new_reply(fake);

    check(sd_bus_message_open_container(reply, 'e', "sv"));
    check(sd_bus_message_append(reply, "s", "Images"));
    check(sd_bus_message_open_container(reply, 'v', "aa{sv}"));
    check(sd_bus_message_open_container(reply, 'a', "a{sv}"));
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);

        if (g_strv_length(words) != 7 || !g_str_has_prefix(words[0], text_of(fake, "Reference")))
            continue;
        check(sd_bus_message_open_container(reply, 'a', "{sv}"));
        append_image(fake, reply, words);
        check(sd_bus_message_close_container(reply));
    }
    for (int depth = 0; depth < 4; depth++)
        check(sd_bus_message_close_container(reply));
    finish(fake, reply);
}

static void inspect(Fake *fake)
{
    g_auto(GStrv) words = find_image(fake, text_of(fake, "Image"));
    sd_bus_message *reply = new_reply(fake);

    append_image(fake, reply, words);
    check(sd_bus_message_append(reply, "{sv}{sv}{sv}", "Manifest", "s", "{\"a\": 1}", "Config", "s",
                                "{}", "Layers", "aa{sv}", 1, 5, "Digest", "s", words[1],
                                "MediaType", "s", "layer", "Size", "t", UINT64_C(7), "Present", "b",
                                1, "Urls", "as", 1, "https://example.com/l"));
    append_readers(reply, words[6]);
    check(sd_bus_message_close_container(reply));
    finish(fake, reply);
}

static void blob(Fake *fake)
{
    const char *digest = text_of(fake, "Digest");
    g_auto(GStrv) words = find_image(fake, digest);
    sd_bus_message *reply = new_reply(fake);

    if (fake->into >= 0) {
        g_autofree char *path = g_strdup_printf("blobs/sha256/%s", digest + strlen("sha256:"));
        g_autofree char *text = read_file(fake, path);

        check(text ? (int)pwrite(fake->into, text, strlen(text), 0) : -ENOENT);
    }
    check(
        sd_bus_message_append(reply, "{sv}", "Size", "t", (uint64_t)strtoull(words[3], NULL, 10)));
    append_readers(reply, words[6]);
    check(sd_bus_message_close_container(reply));
    finish(fake, reply);
}

static void change(Fake *fake, const char *kind)
{
    sd_bus_message *reply = new_reply(fake);

    if (g_str_equal(kind, "prune"))
        check(sd_bus_message_append(reply, "{sv}{sv}", "Bytes", "t", UINT64_C(4096), "Blobs", "u",
                                    (uint32_t)3));
    check(sd_bus_message_close_container(reply));
    finish(fake, reply);
}

static int on_run(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
    Fake *fake = userdata;
    g_autofree char *query = NULL, *line = NULL;
    const char *kind;

    fake->call = sd_bus_message_ref(call);
    check(sd_bus_message_read(call, "s", &kind));
    read_job(fake);
    log_job(fake, kind);
    query = g_strconcat("query-", kind, NULL);
    line = read_file(fake, query);
    if (line)
        obey(fake, g_strchomp(line));
    else if (g_str_equal(kind, "list"))
        list(fake);
    else if (g_str_equal(kind, "inspect"))
        inspect(fake);
    else if (g_str_equal(kind, "blob"))
        blob(fake);
    else if (g_str_equal(kind, "tag") || g_str_equal(kind, "remove") || g_str_equal(kind, "prune"))
        change(fake, kind);
    else
        transfer(fake);
    return 1;
}

static int on_set_bandwidth(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
    Fake *fake = userdata;
    g_autofree char *reference = g_strdup(text_of(fake, "Reference"));
    uint64_t rate;

    check(sd_bus_message_read(call, "t", &rate));
    g_hash_table_remove_all(fake->texts);
    g_hash_table_insert(fake->texts, g_strdup("Reference"), g_steal_pointer(&reference));
    g_hash_table_insert(fake->texts, g_strdup("Rate"), g_strdup_printf("%" PRIu64, rate));
    log_job(fake, "bandwidth");
    return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Run", "sa{sv}", "a{sv}", on_run, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("SetBandwidth", "t", "", on_set_bandwidth, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int main(void)
{
    Fake fake = { .store = -1, .into = -1, .input = g_string_new(NULL) };

    fake.texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    check(sd_event_default(&fake.event));
    check(sd_bus_new(&fake.bus));
    check(sd_bus_set_fd(fake.bus, SOCKET, SOCKET));
    check(sd_bus_set_anonymous(fake.bus, true));
    check(sd_bus_set_trusted(fake.bus, true));
    check(sd_bus_negotiate_fds(fake.bus, true));
    check(sd_bus_set_exit_on_disconnect(fake.bus, true));
    check(sd_bus_add_object_vtable(fake.bus, NULL, BERTH_WORKER_PATH, BERTH_IF_WORKER, vtable,
                                   &fake));
    check(sd_bus_start(fake.bus));
    check(sd_bus_emit_signal(fake.bus, BERTH_WORKER_PATH, BERTH_IF_WORKER, "Ready", NULL));
    check(sd_bus_attach_event(fake.bus, fake.event, SD_EVENT_PRIORITY_NORMAL));
    check(sd_event_loop(fake.event));
    return 0;
}
