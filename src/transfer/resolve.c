/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The job `resolve`: what host names resolve to, for the settings that hold for networks. Names are
 * looked up by the C library, as curl does, several at a time. A name that cannot be resolved is no
 * error: it is absent from the answer. All together have a time limit; what is not known by then is
 * not known.
 */

#include "transfer/kinds.h"

#include "base/error.h"

#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define THREADS_MAX   8
#define LIMIT_USEC    (10 * G_USEC_PER_SEC)
#define ADDRESSES_MAX 64 /* of one host */

typedef struct {
    char **hosts;
} Arguments;

static const BerthOption keys[] = {
    { "Hosts", "as", offsetof(Arguments, hosts), .required = true },
    { NULL },
};

/* Shared by the threads. It stays: one can hang in a look-up when the job has ended long ago. */
typedef struct {
    GMutex lock;
    GCond changed;
    char **hosts;
    unsigned n_hosts, next, answered;
    GPtrArray *found; /* of next: NULL, or (element-type utf8) */
} Work;

static void take_address(const struct addrinfo *info, GPtrArray *addresses)
{
    char text[NI_MAXHOST];

    if (addresses->len < ADDRESSES_MAX && getnameinfo(info->ai_addr, info->ai_addrlen, text,
                                                      sizeof(text), NULL, 0, NI_NUMERICHOST) == 0)
        g_ptr_array_add(addresses, g_strdup(text));
}

/* Returns: (transfer full) (nullable) */
static GPtrArray *look_up(const char *host)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    GPtrArray *addresses;

    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return NULL;
    addresses = g_ptr_array_new_with_free_func(g_free);
    for (const struct addrinfo *info = list; info; info = info->ai_next)
        take_address(info, addresses);
    freeaddrinfo(list);
    return addresses;
}

static gpointer run(gpointer data)
{
    Work *work = data;

    g_mutex_lock(&work->lock);
    while (work->next < work->n_hosts) {
        unsigned i = work->next++;
        GPtrArray *addresses;

        g_mutex_unlock(&work->lock);
        addresses = look_up(work->hosts[i]);
        g_mutex_lock(&work->lock);
        work->found->pdata[i] = addresses;
        work->answered++;
        g_cond_signal(&work->changed);
    }
    g_mutex_unlock(&work->lock);
    return NULL;
}

static int append(sd_bus_message *result, const Work *work)
{
    int r = sd_bus_message_open_container(result, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append(result, "s", "Addresses");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'v', "a{sas}");
    if (r >= 0)
        r = sd_bus_message_open_container(result, 'a', "{sas}");
    for (unsigned i = 0; r >= 0 && i < work->n_hosts; i++) {
        const GPtrArray *addresses = work->found->pdata[i];

        if (!addresses)
            continue;
        r = sd_bus_message_open_container(result, 'e', "sas");
        if (r >= 0)
            r = sd_bus_message_append(result, "s", work->hosts[i]);
        if (r >= 0)
            r = sd_bus_message_open_container(result, 'a', "s");
        for (guint n = 0; r >= 0 && n < addresses->len; n++)
            r = sd_bus_message_append(result, "s", (const char *)addresses->pdata[n]);
        if (r >= 0)
            r = sd_bus_message_close_container(result);
        if (r >= 0)
            r = sd_bus_message_close_container(result);
    }
    for (unsigned containers = 0; r >= 0 && containers < 3; containers++)
        r = sd_bus_message_close_container(result);
    return r;
}

static bool resolve(BerthJob *job, GError **error)
{
    const Arguments *arguments = job->arguments;
    Work *shared = g_new0(Work, 1);
    gint64 end = g_get_monotonic_time() + LIMIT_USEC;
    bool in_time = true;
    int r;

    g_mutex_init(&shared->lock);
    g_cond_init(&shared->changed);
    shared->hosts = g_strdupv(arguments->hosts);
    shared->n_hosts = g_strv_length(shared->hosts);
    shared->found = g_ptr_array_sized_new(shared->n_hosts + 1);
    g_ptr_array_set_size(shared->found, (gint)shared->n_hosts);
    for (unsigned i = 0; i < MIN(shared->n_hosts, THREADS_MAX); i++)
        g_thread_unref(g_thread_new("resolve", run, shared));
    g_mutex_lock(&shared->lock);
    while (in_time && shared->answered < shared->n_hosts)
        in_time = g_cond_wait_until(&shared->changed, &shared->lock, end);
    shared->next = shared->n_hosts;
    r = append(job->result, shared);
    g_mutex_unlock(&shared->lock);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot tell the addresses");
}

const BerthKind berth_kind_resolve = {
    .name = "resolve",
    .class = BERTH_CLASS_NETWORK,
    .keys = keys,
    .size = sizeof(Arguments),
    .work = resolve,
};
