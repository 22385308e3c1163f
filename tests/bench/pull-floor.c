/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a pull cannot do without and nothing else: libcurl receives blobs on a few connections that
 * are used again, other threads hash them with libcrypto and write them to files of their own,
 * which get their names when they are complete. What the service takes is measured against this. It
 * asks for nothing twice, knows every size beforehand, and must use no shortcut that the service
 * cannot use: each digest is checked, and with --durable each file and the directory are on the
 * disk at the end. It must never be used for anything but measuring.
 *
 * Standard input has one blob per line: URL, 64 hex digits of its SHA-256, size in bytes. A size of
 * 0 is that of a manifest: it is received before all others, and kept nowhere. Prints how many
 * seconds it took from the first request to the last file.
 */

#include <curl/curl.h>
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       (1 << 20) /* what is handed from the receiving thread to a hashing one */
#define BLOCKS      32        /* of these, before the receiving thread waits */
#define WRITE_BACK  (8 << 20) /* so much is written before the disk is told to begin with it */
#define HASHERS     2
#define SYNCERS     8
#define CONNECTIONS 6

typedef struct {
    char *url;
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    curl_off_t size;
    int file;
    EVP_MD_CTX *hash;
    GAsyncQueue *hasher; /* of Block: the thread that this blob belongs to */
    unsigned char *data; /* the block that is being filled */
    size_t filled;
    curl_off_t received;
    off_t written, synced;
} Blob;

typedef struct {
    Blob *blob; /* NULL: the thread ends */
    unsigned char *data;
    size_t length;
    bool last;
} Block;

static struct {
    bool durable;
    int directory;
    GAsyncQueue *hashers[HASHERS], *syncers;
    GMutex mutex;
    GCond changed;
    unsigned int blocks, unfinished;
} floor_state;

/* Counting what is under way */

static void count(unsigned int *counter, int change)
{
    g_mutex_lock(&floor_state.mutex);
    *counter += (unsigned int)change;
    g_cond_broadcast(&floor_state.changed);
    g_mutex_unlock(&floor_state.mutex);
}

static void wait_below(const unsigned int *counter, unsigned int limit)
{
    g_mutex_lock(&floor_state.mutex);
    while (*counter >= limit)
        g_cond_wait(&floor_state.changed, &floor_state.mutex);
    g_mutex_unlock(&floor_state.mutex);
}

/* Hashing and writing */

static void write_block(Blob *blob, const Block *block)
{
    for (size_t done = 0; done < block->length;) {
        ssize_t n = pwrite(blob->file, block->data + done, block->length - done,
                           blob->written + (off_t)done);

        if (n < 0)
            err(EXIT_FAILURE, "write %s", blob->hex);
        done += (size_t)n;
    }
    blob->written += (off_t)block->length;
    if (floor_state.durable && blob->written - blob->synced >= WRITE_BACK) {
        (void)sync_file_range(blob->file, blob->synced, blob->written - blob->synced,
                              SYNC_FILE_RANGE_WRITE);
        blob->synced = blob->written;
    }
}

static void check(Blob *blob)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned int length = 0;

    if (!EVP_DigestFinal_ex(blob->hash, digest, &length))
        errx(EXIT_FAILURE, "libcrypto does not hash");
    for (unsigned int i = 0; i < length; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(hex, blob->hex) != 0)
        errx(EXIT_FAILURE, "%s is %s", blob->url, hex);
    EVP_MD_CTX_free(blob->hash);
}

static gpointer hash_blocks(gpointer data)
{
    GAsyncQueue *queue = data;

    for (;;) {
        Block *block = g_async_queue_pop(queue);
        Blob *blob = block->blob;

        if (!blob) {
            g_free(block);
            return NULL;
        }
        if (!EVP_DigestUpdate(blob->hash, block->data, block->length))
            errx(EXIT_FAILURE, "libcrypto does not hash");
        write_block(blob, block);
        if (block->last) {
            check(blob);
            g_async_queue_push(floor_state.syncers, blob);
        }
        free(block->data);
        g_free(block);
        count(&floor_state.blocks, -1);
    }
}

/* Files */

static Blob no_blob; /* tells a thread to end */

static gpointer finish_files(gpointer data)
{
    GAsyncQueue *queue = data;

    for (Blob *blob; (blob = g_async_queue_pop(queue)) != &no_blob;) {
        char part[sizeof blob->hex + 8];

        (void)snprintf(part, sizeof part, "%s.part", blob->hex);
        if (floor_state.durable && fsync(blob->file) < 0)
            err(EXIT_FAILURE, "fsync %s", blob->hex);
        close(blob->file);
        if (renameat(floor_state.directory, part, floor_state.directory, blob->hex) < 0)
            err(EXIT_FAILURE, "rename %s", part);
        count(&floor_state.unfinished, -1);
    }
    return NULL;
}

static void open_file(Blob *blob)
{
    char part[sizeof blob->hex + 8];

    (void)snprintf(part, sizeof part, "%s.part", blob->hex);
    blob->file =
        openat(floor_state.directory, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (blob->file < 0)
        err(EXIT_FAILURE, "create %s", part);
    blob->hash = EVP_MD_CTX_new();
    if (!blob->hash || !EVP_DigestInit_ex(blob->hash, EVP_sha256(), NULL))
        errx(EXIT_FAILURE, "libcrypto does not hash");
}

/* Receiving */

static void hand_over(Blob *blob)
{
    const Block block = { blob, blob->data, blob->filled, blob->received == blob->size };

    wait_below(&floor_state.blocks, BLOCKS);
    blob->data = NULL;
    blob->filled = 0;
    count(&floor_state.blocks, 1);
    g_async_queue_push(blob->hasher, g_memdup2(&block, sizeof block));
}

static size_t receive(char *data, size_t unit, size_t length, void *user)
{
    Blob *blob = user;

    if (blob->size == 0) /* a manifest */
        return length;
    if (blob->received + (curl_off_t)length > blob->size)
        errx(EXIT_FAILURE, "%s is longer than %lld", blob->url, (long long)blob->size);
    for (size_t done = 0; done < length;) {
        size_t room = (size_t)MIN(blob->size - blob->received + (curl_off_t)blob->filled, BLOCK);
        size_t part = MIN(length - done, room - blob->filled);

        if (!blob->data)
            blob->data = malloc(room);
        if (!blob->data)
            err(EXIT_FAILURE, "malloc");
        memcpy(blob->data + blob->filled, data + done, part);
        blob->filled += part;
        blob->received += (curl_off_t)part;
        done += part;
        if (blob->filled == room)
            hand_over(blob);
    }
    return length * unit;
}

static void add(CURLM *multi, CURL *easy, Blob *blob)
{
    static struct curl_slist *accept;
    static unsigned int turn;

    if (!accept)
        accept = curl_slist_append(NULL, "Accept: application/vnd.oci.image.manifest.v1+json");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, blob->size == 0 ? accept : NULL);
    if (blob->size > 0) {
        open_file(blob);
        blob->hasher = floor_state.hashers[turn++ % HASHERS];
        count(&floor_state.unfinished, 1);
    }
    curl_easy_setopt(easy, CURLOPT_URL, blob->url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, blob);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PRIVATE, blob);
    curl_multi_add_handle(multi, easy);
}

static void finished(const CURLMsg *message, const Blob *blob)
{
    if (message->data.result != CURLE_OK)
        errx(EXIT_FAILURE, "%s: %s", blob->url, curl_easy_strerror(message->data.result));
    if (blob->received != blob->size)
        errx(EXIT_FAILURE, "%s is shorter than %lld", blob->url, (long long)blob->size);
}

/* Receives @blobs from @first to before @end, on as many connections. */
static void receive_all(CURLM *multi, GPtrArray *blobs, guint first, guint end, guint connections)
{
    guint next = first, running = 0;

    for (; next < end && running < connections; next++, running++)
        add(multi, curl_easy_init(), blobs->pdata[next]);
    while (running > 0) {
        int active, left;

        if (curl_multi_perform(multi, &active) != CURLM_OK)
            errx(EXIT_FAILURE, "curl_multi_perform");
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            CURL *easy = message->easy_handle;
            Blob *blob;

            curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&blob);
            finished(message, blob);
            curl_multi_remove_handle(multi, easy);
            if (next < end)
                add(multi, easy, blobs->pdata[next++]);
            else {
                curl_easy_cleanup(easy);
                running--;
            }
        }
        if (running > 0)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

static GPtrArray *read_blobs(guint *manifests)
{
    GPtrArray *blobs = g_ptr_array_new();
    char line[4096], url[4096];

    while (fgets(line, sizeof line, stdin)) {
        Blob *blob = g_new0(Blob, 1);
        long long size;

        if (sscanf(line, "%4000s %64[0-9a-f] %lld", url, blob->hex, &size) != 3)
            errx(2, "not a URL, 64 hex digits and a size: %s", line);
        blob->url = g_strdup(url);
        blob->size = size;
        g_ptr_array_insert(blobs, size == 0 ? 0 : -1, blob);
        *manifests += size == 0;
    }
    return blobs;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void run(GPtrArray *blobs, guint manifests, guint connections)
{
    GThread *threads[HASHERS + SYNCERS];
    CURLM *multi = curl_multi_init();

    floor_state.syncers = g_async_queue_new();
    for (guint i = 0; i < HASHERS; i++) {
        floor_state.hashers[i] = g_async_queue_new();
        threads[i] = g_thread_new("hash", hash_blocks, floor_state.hashers[i]);
    }
    for (guint i = HASHERS; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("sync", finish_files, floor_state.syncers);

    receive_all(multi, blobs, 0, manifests, 1);
    receive_all(multi, blobs, manifests, blobs->len, connections);
    wait_below(&floor_state.unfinished, 1);
    if (floor_state.durable && fsync(floor_state.directory) < 0)
        err(EXIT_FAILURE, "fsync the directory");

    for (guint i = 0; i < HASHERS; i++)
        g_async_queue_push(floor_state.hashers[i], g_new0(Block, 1));
    for (guint i = 0; i < SYNCERS; i++)
        g_async_queue_push(floor_state.syncers, &no_blob);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    curl_multi_cleanup(multi);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "durable", no_argument, NULL, 'd' },
        { "connections", required_argument, NULL, 'c' },
        { NULL, 0, NULL, 0 },
    };
    guint connections = CONNECTIONS, manifests = 0;
    g_autoptr(GPtrArray) blobs = NULL;
    double begin;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'd')
            floor_state.durable = true;
        else if (c == 'c')
            connections = (guint)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (optind != argc - 1 || connections == 0)
        errx(2, "usage: pull-floor [--durable] [--connections=N] DIRECTORY <BLOBS");
    floor_state.directory = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (floor_state.directory < 0)
        err(EXIT_FAILURE, "%s", argv[optind]);

    blobs = read_blobs(&manifests);
    curl_global_init(CURL_GLOBAL_ALL);
    begin = now();
    run(blobs, manifests, connections);
    printf("seconds %.6f\n", now() - begin);
    return EXIT_SUCCESS;
}
