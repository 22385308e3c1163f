/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libraries do once, done before the worker is confined: OpenSSL reads its configuration and
 * loads providers, libcurl sets itself up, Jansson takes the seed of its hash tables from the
 * kernel. What all that took of the libraries' files can be given back: most of it is needed once,
 * and a worker that lives for hours should not weigh as much as its start.
 */

#include "transfer/network.h"

#include "base/error.h"

#include <curl/curl.h>
#include <jansson.h>
#include <link.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Unmaps the pages of what nobody can have written to: they are in the page cache, and those that
 * are used again come back from there. The program itself has an empty name, and so has nothing
 * else that is a file (dl_iterate_phdr(3), madvise(2)).
 */
static int give_back(struct dl_phdr_info *object, size_t size, void *userdata)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    if (*object->dlpi_name != '/' && *object->dlpi_name != '\0')
        return 0;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t begin = (object->dlpi_addr + part->p_vaddr) & ~(page - 1);
        uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_memsz) & ~(page - 1);

        if (part->p_type == PT_LOAD && !(part->p_flags & PF_W) && end > begin)
            (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

bool berth_network_prepare(GError **error)
{
    json_object_seed(0);
    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1)
        return berth_set_error(error, BERTH_ERROR_FAILED, "cannot initialize OpenSSL");
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ||
           berth_set_error(error, BERTH_ERROR_FAILED, "cannot initialize libcurl");
}

void berth_network_give_back(void)
{
    static bool done;

    if (!done)
        (void)dl_iterate_phdr(give_back, NULL);
    done = true;
}
