/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an export or an import of an archive cannot do without and nothing else: one thread reads
 * and writes, others hash what was read with libcrypto. What the service takes is measured against
 * this. It knows what it is given, keeps no account of it, and must use no shortcut that the
 * service cannot use: each digest is checked, files get their names when they are complete, and
 * with
 * --durable everything is on the disk at the end. It must never be used for anything but measuring.
 *
 * For `export` standard input has one file per line: 64 hex digits of its SHA-256, size in bytes,
 * path. `import` takes what lies in blobs/sha256/ of the archive, and nothing else. Prints how many
 * seconds it took.
 */

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

#define UNIT       512       /* tar's */
#define BLOCK      (1 << 18) /* what is read, hashed and written at once */
#define BLOCKS     32        /* of these, before the reading thread waits */
#define WRITE_BACK (8 << 20) /* so much is written before the disk is told to begin with it */
#define HASHERS    2
#define SYNCERS    8

typedef struct {
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    off_t size;
    int file; /* to be synced and named, or -1 */
    EVP_MD_CTX *hash;
    GAsyncQueue *hasher; /* of Block: the thread that this blob belongs to */
} Blob;

typedef struct {
    Blob *blob; /* NULL: the thread ends */
    size_t length;
    bool last;
    unsigned char data[BLOCK];
} Block;

static struct {
    bool durable;
    int directory;
    GAsyncQueue *hashers[HASHERS], *syncers, *spare;
    gint turn;
} floor_state;

/* Files */

static void read_all(int fd, void *data, size_t length, const char *what)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = read(fd, (char *)data + done, length - done);

        if (n <= 0)
            err(EXIT_FAILURE, "read %s", what);
        done += (size_t)n;
    }
}

static void write_all(int fd, const void *data, size_t length, const char *what)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = write(fd, (const char *)data + done, length - done);

        if (n < 0)
            err(EXIT_FAILURE, "write %s", what);
        done += (size_t)n;
    }
}

static void name_part(char *part, size_t size, const Blob *blob)
{
    (void)snprintf(part, size, "%s.part", blob->hex);
}

/* Hashing, in threads */

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
        errx(EXIT_FAILURE, "%s is %s", blob->hex, hex);
    EVP_MD_CTX_free(blob->hash);
}

static gpointer hash_blocks(gpointer data)
{
    GAsyncQueue *queue = data;

    for (;;) {
        Block *block = g_async_queue_pop(queue);
        Blob *blob = block->blob;
        bool last = block->last;

        if (!blob) {
            g_async_queue_push(floor_state.spare, block);
            return NULL;
        }
        if (!EVP_DigestUpdate(blob->hash, block->data, block->length))
            errx(EXIT_FAILURE, "libcrypto does not hash");
        g_async_queue_push_front(floor_state.spare, block); /* it is in the cache */
        if (last) {
            check(blob);
            g_async_queue_push(floor_state.syncers, blob);
        }
    }
}

static Blob no_blob; /* tells a thread to end */

static gpointer finish_files(gpointer data)
{
    GAsyncQueue *queue = data;

    for (Blob *blob; (blob = g_async_queue_pop(queue)) != &no_blob; g_free(blob)) {
        char part[sizeof blob->hex + 8];

        if (blob->file < 0)
            continue;
        name_part(part, sizeof part, blob);
        if (floor_state.durable && fsync(blob->file) < 0)
            err(EXIT_FAILURE, "fsync %s", blob->hex);
        close(blob->file);
        if (renameat(floor_state.directory, part, floor_state.directory, blob->hex) < 0)
            err(EXIT_FAILURE, "rename %s", part);
    }
    return NULL;
}

/* Copying */

static Blob *begin(const char *hex, off_t size)
{
    Blob *blob = g_new0(Blob, 1);

    g_strlcpy(blob->hex, hex, sizeof blob->hex);
    blob->size = size;
    blob->file = -1;
    blob->hash = EVP_MD_CTX_new();
    blob->hasher = floor_state.hashers[floor_state.turn++ % HASHERS];
    if (!blob->hash || !EVP_DigestInit_ex(blob->hash, EVP_sha256(), NULL))
        errx(EXIT_FAILURE, "libcrypto does not hash");
    return blob;
}

/* Reads all of a blob, has it hashed, and writes it; it belongs to the hashing thread then. */
static void copy(Blob *blob, int from, int to)
{
    off_t started = 0;

    for (off_t done = 0, size = blob->size; done < size;) {
        Block *block = g_async_queue_pop(floor_state.spare);
        size_t length = (size_t)MIN(size - done, BLOCK);

        read_all(from, block->data, length, "a blob");
        write_all(to, block->data, length, "a blob");
        done += (off_t)length;
        if (floor_state.durable && done - started >= WRITE_BACK) {
            off_t end = lseek(to, 0, SEEK_CUR);

            (void)sync_file_range(to, end - (done - started), done - started,
                                  SYNC_FILE_RANGE_WRITE);
            started = done;
        }
        block->blob = blob;
        block->length = length;
        block->last = done == size;
        g_async_queue_push(blob->hasher, block);
    }
}

/* Export */

static void write_header(int archive, const char *hex, off_t size)
{
    static const char magic[8] = { 'u', 's', 't', 'a', 'r', 0, '0', '0' };
    char header[UNIT] = { 0 };
    unsigned int sum = 0;

    (void)snprintf(header, 100, "blobs/sha256/%s", hex);
    (void)snprintf(header + 100, 8, "0000644");
    (void)snprintf(header + 108, 8, "0000000");
    (void)snprintf(header + 116, 8, "0000000");
    (void)snprintf(header + 124, 12, "%011llo", (unsigned long long)size);
    (void)snprintf(header + 136, 12, "00000000000");
    memset(header + 148, ' ', 8);
    header[156] = '0';
    memcpy(header + 257, magic, sizeof magic);
    for (size_t i = 0; i < UNIT; i++)
        sum += (unsigned char)header[i];
    (void)snprintf(header + 148, 8, "%06o", sum);
    write_all(archive, header, UNIT, "a header");
}

static void export(int archive)
{
    static const char zeros[2 * UNIT];
    char line[4096], hex[65], path[4096];
    long long size;

    while (fgets(line, sizeof line, stdin)) {
        int file;

        if (sscanf(line, "%64[0-9a-f] %lld %4000s", hex, &size, path) != 3)
            errx(2, "not 64 hex digits, a size and a path: %s", line);
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            err(EXIT_FAILURE, "%s", path);
        write_header(archive, hex, (off_t)size);
        copy(begin(hex, (off_t)size), file, archive);
        write_all(archive, zeros, (size_t)(-size % UNIT + UNIT) % UNIT, "padding");
        close(file);
    }
    write_all(archive, zeros, sizeof zeros, "the end");
    if (floor_state.durable && fsync(archive) < 0)
        err(EXIT_FAILURE, "fsync the archive");
}

/* Import */

static void take_file(int archive, const char *hex, off_t size)
{
    Blob *blob = begin(hex, size);
    char part[sizeof blob->hex + 8];

    name_part(part, sizeof part, blob);
    blob->file = openat(floor_state.directory, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (blob->file < 0)
        err(EXIT_FAILURE, "create %s", part);
    copy(blob, archive, blob->file);
}

static void import(int archive)
{
    char header[UNIT], *name = header;

    for (;;) {
        off_t size;

        read_all(archive, header, UNIT, "a header");
        if (!*name)
            break;
        size = (off_t)strtoull(header + 124, NULL, 8);
        if (g_str_has_prefix(name, "blobs/sha256/") && size > 0) {
            name[strlen("blobs/sha256/") + 64] = '\0';
            take_file(archive, name + strlen("blobs/sha256/"), size);
        } else if (lseek(archive, size, SEEK_CUR) < 0) {
            err(EXIT_FAILURE, "seek");
        }
        if (lseek(archive, (UNIT - size % UNIT) % UNIT, SEEK_CUR) < 0)
            err(EXIT_FAILURE, "seek");
    }
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void run(void (*work)(int archive), int archive)
{
    GThread *threads[HASHERS + SYNCERS];

    floor_state.spare = g_async_queue_new();
    floor_state.syncers = g_async_queue_new();
    for (guint i = 0; i < BLOCKS; i++)
        g_async_queue_push(floor_state.spare, g_new(Block, 1));
    for (guint i = 0; i < HASHERS; i++) {
        floor_state.hashers[i] = g_async_queue_new();
        threads[i] = g_thread_new("hash", hash_blocks, floor_state.hashers[i]);
    }
    for (guint i = HASHERS; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("sync", finish_files, floor_state.syncers);

    work(archive);

    for (guint i = 0; i < HASHERS; i++) {
        Block *last = g_async_queue_pop(floor_state.spare);

        last->blob = NULL;
        g_async_queue_push(floor_state.hashers[i], last);
    }
    for (guint i = 0; i < HASHERS; i++)
        g_thread_join(threads[i]);
    for (guint i = 0; i < SYNCERS; i++)
        g_async_queue_push(floor_state.syncers, &no_blob);
    for (guint i = HASHERS; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    if (floor_state.durable && floor_state.directory >= 0 && fsync(floor_state.directory) < 0)
        err(EXIT_FAILURE, "fsync the directory");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "durable", no_argument, NULL, 'd' },
        { NULL, 0, NULL, 0 },
    };
    bool exports;
    int archive;
    double start;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c != 'd')
            return 2;
        floor_state.durable = true;
    }
    exports = optind == argc - 2 && strcmp(argv[optind], "export") == 0;
    if (!exports && (optind != argc - 3 || strcmp(argv[optind], "import") != 0))
        errx(2, "usage: archive-floor [--durable] export ARCHIVE <FILES\n"
                "       archive-floor [--durable] import ARCHIVE DIRECTORY");
    start = now();
    archive = exports ? open(argv[optind + 1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
                      : open(argv[optind + 1], O_RDONLY | O_CLOEXEC);
    if (archive < 0)
        err(EXIT_FAILURE, "%s", argv[optind + 1]);
    floor_state.directory =
        exports ? -1 : open(argv[optind + 2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!exports && floor_state.directory < 0)
        err(EXIT_FAILURE, "%s", argv[optind + 2]);
    run(exports ? export : import, archive);
    printf("seconds %.6f\n", now() - start);
    return EXIT_SUCCESS;
}
