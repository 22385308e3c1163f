/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading libarchive: all of its functions that are used here, or none.
 */

#define BERTH_LIBARCHIVE_NO_NAMES
#include "base/libarchive.h"

#include "base/error.h"

#include <dlfcn.h>

#define LIBRARY "libarchive.so.13" /* the ABI since libarchive 3.0 */

BerthLibarchive berth_libarchive;

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
#define BERTH_ROW(_name) { #_name, offsetof(BerthLibarchive, _name) },
    BERTH_LIBARCHIVE_FUNCTIONS(BERTH_ROW)
#undef BERTH_ROW
};

bool berth_libarchive_load(GError **error)
{
    static void *library;

    if (library)
        return true;
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < G_N_ELEMENTS(functions); i++) {
        void **place = (void **)(void *)((char *)&berth_libarchive + functions[i].offset);

        *place = dlsym(library, functions[i].name);
        if (!*place) {
            (void)dlclose(library);
            library = NULL;
        }
    }
    return library || berth_set_error(error, BERTH_ERROR_NOT_SUPPORTED,
                                      "archives need libarchive 3.6 or newer, which cannot be "
                                      "loaded; install it (%s)",
                                      LIBRARY);
}
