/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The credentials that go along with a call: an auth.json made for it, in a sealed memfd. Made from
 * the calling user's files and helpers, so that the service needs neither. It must never print any
 * of it, nor hand over more than the call needs.
 */

#include "ctl/credentials.h"

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "ctl/auth-file.h"
#include "ctl/auth-helper.h"
#include "ctl/report.h"
#include "ctl/text.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX 65536 /* what the service takes */

/* Asks a helper. That it fails is only said, as for files below. */
static json_t *ask_helper(const char *path, const CtlAuthEntry *found)
{
    g_autoptr(GError) error = NULL;
    json_t *entry = NULL;

    if (!ctl_auth_helper_get(found->helper, found->server, &entry, &error))
        ctl_warn("going on without the credentials of the helper that %s names: %s", path,
                 error->message);
    return entry;
}

/* Adds to @auths what @document says for @reference. Returns: whether it says something. */
static bool add_entry(json_t *auths, const char *path, const json_t *document,
                      const BerthReference *reference)
{
    g_autofree char *key = g_strdup_printf("%s/%s", reference->registry, reference->repository);
    CtlAuthEntry found;
    json_t *entry;

    if (!ctl_auth_file_find(document, reference, &found))
        return false;
    entry = found.entry ? json_deep_copy(found.entry) : ask_helper(path, &found);
    return entry && json_object_set_new(auths, key, entry) == 0;
}

/* What the file that was named for this call says: all its entries, and what its helpers know. */
static bool add_named(json_t *auths, const char *path, GPtrArray *references, GError **error)
{
    g_autoptr(json_t) document = NULL;
    const char *key;
    json_t *entry;

    if (!ctl_auth_file_read(path, true, &document, error))
        return false;
    /* an empty entry says that a helper knows more */
    json_object_foreach(json_object_get(document, "auths"), key, entry)
    {
        if (json_object_size(entry) > 0)
            json_object_set(auths, key, entry);
    }
    for (guint i = 0; i < references->len; i++)
        (void)add_entry(auths, path, document, references->pdata[i]);
    return true;
}

/*
 * What the user's own files say. One that cannot be used is only said: the image may need no
 * credentials, and the registry tells if it does.
 */
static bool add_own(json_t *auths, GPtrArray *references, GError **error)
{
    bool required;
    g_autoptr(GPtrArray) places = ctl_auth_file_places(&required);
    g_autofree bool *done = g_new0(bool, references->len + 1);

    for (guint i = 0; i < places->len; i++) {
        g_autoptr(json_t) document = NULL;
        g_autoptr(GError) local = NULL;

        if (!ctl_auth_file_read(places->pdata[i], required, &document, required ? error : &local)) {
            if (required)
                return false;
            ctl_warn("%s; going on without", local->message);
        }
        for (guint n = 0; document && n < references->len; n++)
            done[n] = done[n] || add_entry(auths, places->pdata[i], document, references->pdata[n]);
    }
    return true;
}

/* Returns: (transfer full) (element-type BerthReference): those of @images that name a registry. */
static GPtrArray *parse_images(const char *const *images)
{
    GPtrArray *references = g_ptr_array_new_with_free_func((GDestroyNotify)berth_reference_free);

    for (; *images; images++) {
        BerthDigest digest;
        BerthReference *reference = berth_digest_parse(*images, &digest, NULL)
                                        ? NULL
                                        : berth_reference_parse(*images, NULL);

        if (reference)
            g_ptr_array_add(references, reference);
    }
    return references;
}

static bool seal(const json_t *auths, int *fd, GError **error)
{
    g_autoptr(json_t) document = json_pack("{s:O}", "auths", auths);
    size_t length = json_dumpb(document, NULL, 0, JSON_COMPACT);
    g_autofree char *text = NULL;

    if (length > BYTES_MAX)
        return berth_set_error(
            error, BERTH_ERROR_INVALID_OPTION,
            _("the credentials have %zu bytes, the service takes %d; name a file "
              "with fewer of them"),
            length, BYTES_MAX);
    text = g_malloc(length);
    (void)json_dumpb(document, text, length, JSON_COMPACT);
    *fd = berth_memfd_sealed("auth.json", text, length, error);
    explicit_bzero(text, length);
    return *fd >= 0;
}

bool ctl_credentials_open(Ctl *ctl, const char *const *images, int *fd)
{
    g_autoptr(GPtrArray) references = parse_images(images);
    g_autoptr(json_t) auths = json_object();
    g_autoptr(GError) error = NULL;
    bool ok;

    *fd = -1;
    ok = ctl->transfer.creds ? add_named(auths, ctl->transfer.creds, references, &error)
                             : add_own(auths, references, &error);
    if (ok && json_object_size(auths) > 0)
        ok = seal(auths, fd, &error);
    if (!ok)
        ctl_fail_error(ctl, error);
    return ok;
}
