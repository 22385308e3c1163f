/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a push cannot do without and nothing else: libcurl begins an upload for each blob and sends
 * it in one piece, on a few connections that are used again, and puts the manifest when the last
 * has arrived. What the service takes is measured against this. With --ask it asks first whether
 * the registry has a blob, as whoever does not know must. It looks at nothing but the status of
 * answers, and must never be used for anything but measuring, at a registry that names places in
 * full.
 *
 * Standard input has one file per line: 64 hex digits of its SHA-256, size in bytes, path. The last
 * one is the manifest. Prints how many seconds it took from the first request to the last answer.
 */

#include <curl/curl.h>
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MANIFEST_TYPE "Content-Type: application/vnd.oci.image.manifest.v1+json"
#define BUFFER        (512L << 10)
#define CONNECTIONS   6
#define DIGITS        64 /* of a SHA-256 */

typedef enum { STEP_ASK, STEP_BEGIN, STEP_SEND, STEP_DONE } Step;

typedef struct {
    char hex[DIGITS + 1];
    char *path;
    curl_off_t size, sent;
    int file;
    Step step;
} Blob;

static struct {
    bool ask;
    const char *repository; /* its URL */
    struct curl_slist *blob_headers, *manifest_headers;
} options;

static size_t ignore(char *data, size_t unit, size_t length, void *user)
{
    return unit * length;
}

static size_t send_part(char *data, size_t unit, size_t length, void *user)
{
    Blob *blob = user;
    ssize_t n = pread(blob->file, data, unit * length, blob->sent);

    if (n < 0)
        err(EXIT_FAILURE, "read %s", blob->path);
    blob->sent += n;
    return (size_t)n;
}

static void prepare_put(CURL *easy, Blob *blob, const char *url, struct curl_slist *headers)
{
    blob->file = open(blob->path, O_RDONLY | O_CLOEXEC);
    if (blob->file < 0)
        err(EXIT_FAILURE, "%s", blob->path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, blob->size);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_part);
    curl_easy_setopt(easy, CURLOPT_READDATA, blob);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}

/* Sets @easy up for the step that @blob is at. @place: where the upload goes, for STEP_SEND. */
static void prepare(CURL *easy, Blob *blob, const char *place)
{
    g_autofree char *url = NULL;

    curl_easy_reset(easy); /* keeps the connection */
    if (blob->step == STEP_ASK) {
        url = g_strdup_printf("%s/blobs/sha256:%s", options.repository, blob->hex);
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (blob->step == STEP_BEGIN) {
        url = g_strdup_printf("%s/blobs/uploads/", options.repository);
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
    } else {
        url = g_strdup_printf("%s%cdigest=sha256:%s", place, strchr(place, '?') ? '&' : '?',
                              blob->hex);
        prepare_put(easy, blob, url, options.blob_headers);
    }
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PRIVATE, blob);
}

static long status_of(CURL *easy, CURLcode result, const char *path)
{
    long status = 0;

    if (result != CURLE_OK)
        errx(EXIT_FAILURE, "%s: %s", path, curl_easy_strerror(result));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Takes the answer to one step, and prepares the next. Returns: whether there is one. */
static bool advance(CURL *easy, Blob *blob, CURLcode result)
{
    static const long wanted[] = { [STEP_ASK] = 404, [STEP_BEGIN] = 202, [STEP_SEND] = 201 };
    long status = status_of(easy, result, blob->path);
    g_autofree char *place = NULL;
    struct curl_header *header;

    if (status != wanted[blob->step])
        errx(EXIT_FAILURE, "%s: status %ld, not %ld", blob->path, status, wanted[blob->step]);
    if (blob->step == STEP_BEGIN) {
        if (curl_easy_header(easy, "Location", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
            errx(EXIT_FAILURE, "%s: no place to send it to", blob->path);
        place = g_strdup(header->value);
    }
    if (++blob->step == STEP_DONE) {
        if (blob->sent != blob->size)
            errx(EXIT_FAILURE, "%s is shorter than %lld", blob->path, (long long)blob->size);
        close(blob->file);
        return false;
    }
    prepare(easy, blob, place);
    return true;
}

static void add(CURLM *multi, CURL *easy, Blob *blob)
{
    blob->step = options.ask ? STEP_ASK : STEP_BEGIN;
    prepare(easy, blob, NULL);
    curl_multi_add_handle(multi, easy);
}

static void send_all(CURLM *multi, GPtrArray *blobs, guint connections)
{
    guint next = 0, running = 0;

    for (; next < blobs->len && running < connections; next++, running++)
        add(multi, curl_easy_init(), blobs->pdata[next]);
    while (running > 0) {
        int active, left;

        if (curl_multi_perform(multi, &active) != CURLM_OK)
            errx(EXIT_FAILURE, "curl_multi_perform");
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            CURL *easy = message->easy_handle;
            CURLcode result = message->data.result;
            Blob *blob;

            curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&blob);
            curl_multi_remove_handle(multi, easy);
            if (advance(easy, blob, result))
                curl_multi_add_handle(multi, easy);
            else if (next < blobs->len)
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

static void put_manifest(CURLM *multi, Blob *manifest, const char *tag)
{
    g_autofree char *url = g_strdup_printf("%s/manifests/%s", options.repository, tag);
    CURL *easy = curl_easy_init();
    CURLMsg *message;
    int active, left;

    prepare_put(easy, manifest, url, options.manifest_headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_multi_add_handle(multi, easy);
    while (curl_multi_perform(multi, &active) == CURLM_OK && active > 0)
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    message = curl_multi_info_read(multi, &left);
    if (!message || status_of(easy, message->data.result, manifest->path) != 201)
        errx(EXIT_FAILURE, "%s is not taken", manifest->path);
    close(manifest->file);
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
}

static void blob_free(gpointer data)
{
    Blob *blob = data;

    g_free(blob->path);
    g_free(blob);
}

static GPtrArray *read_blobs(void)
{
    GPtrArray *blobs = g_ptr_array_new_with_free_func(blob_free);
    char line[4096], path[4096];

    while (fgets(line, sizeof line, stdin)) {
        Blob *blob = g_new0(Blob, 1);
        long long size;

        if (sscanf(line, "%64[0-9a-f] %lld %4000s", blob->hex, &size, path) != 3)
            errx(2, "not 64 hex digits, a size and a path: %s", line);
        blob->path = g_strdup(path);
        blob->size = size;
        g_ptr_array_add(blobs, blob);
    }
    return blobs;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void run(GPtrArray *blobs, const char *tag, guint connections)
{
    CURLM *multi = curl_multi_init();
    Blob *manifest = g_ptr_array_steal_index(blobs, blobs->len - 1);
    double begin = now();

    /* without this libcurl asks before it sends much, and waits */
    options.blob_headers = curl_slist_append(NULL, "Expect:");
    options.blob_headers =
        curl_slist_append(options.blob_headers, "Content-Type: application/octet-stream");
    options.manifest_headers = curl_slist_append(NULL, MANIFEST_TYPE);
    send_all(multi, blobs, connections);
    put_manifest(multi, manifest, tag);
    printf("seconds %.6f\n", now() - begin);
    curl_slist_free_all(options.blob_headers);
    curl_slist_free_all(options.manifest_headers);
    blob_free(manifest);
    curl_multi_cleanup(multi);
}

int main(int argc, char **argv)
{
    static const struct option words[] = {
        { "ask", no_argument, NULL, 'a' },
        { "connections", required_argument, NULL, 'c' },
        { NULL, 0, NULL, 0 },
    };
    guint connections = CONNECTIONS;
    g_autoptr(GPtrArray) blobs = NULL;

    for (int c; (c = getopt_long(argc, argv, "", words, NULL)) != -1;) {
        if (c == 'a')
            options.ask = true;
        else if (c == 'c')
            connections = (guint)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (optind != argc - 2 || connections == 0)
        errx(2, "usage: push-floor [--ask] [--connections=N] REPOSITORY-URL TAG <FILES");
    options.repository = argv[optind];
    blobs = read_blobs();
    if (blobs->len == 0)
        errx(2, "no manifest");
    curl_global_init(CURL_GLOBAL_ALL);
    run(blobs, argv[optind + 1], connections);
    return EXIT_SUCCESS;
}
