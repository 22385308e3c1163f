/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of users and groups into IDs. A sandbox stores IDs: a name can change its meaning. Looking
 * a name up can ask LDAP and take its time, so a child does it; decimal IDs need no look-up.
 */

#include "daemon/ids.h"

#include "base/error.h"
#include "base/names.h"
#include "daemon/child.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/types.h>

#define TIMEOUT_USEC (20 * UINT64_C(1000000)) /* for the user databases */
#define NAME_MAX_LEN 256

typedef struct {
    char **users, **groups; /* not owned */
    BerthIds *ids;          /* not owned */
    BerthIdsFunc done;
    void *userdata;
} Job;

void berth_ids_init(BerthIds *ids)
{
    ids->users = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    ids->groups = g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

void berth_ids_clear(BerthIds *ids)
{
    g_clear_pointer(&ids->users, g_array_unref);
    g_clear_pointer(&ids->groups, g_array_unref);
}

bool berth_ids_contain(const GArray *array, uint32_t id)
{
    for (guint i = 0; array && i < array->len; i++)
        if (g_array_index(array, uint32_t, i) == id)
            return true;
    return false;
}

static bool parse_id(const char *text, uint32_t *id)
{
    guint64 value;

    /* (uid_t)-1 means "no change" to the kernel */
    if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX - 1, &value, NULL))
        return false;
    *id = (uint32_t)value;
    return true;
}

bool berth_ids_check(char **names, const char *what, GError **error)
{
    if (!names)
        return true;
    if (g_strv_length(names) > BERTH_IDS_MAX)
        return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                               "%s has %u entries; at most %d are stored", what,
                               g_strv_length(names), BERTH_IDS_MAX);
    for (; *names; names++) {
        uint32_t id;
        bool digits = g_ascii_isdigit(**names) && strspn(*names, "0123456789") == strlen(*names);

        if (!**names || strlen(*names) > NAME_MAX_LEN || strchr(*names, ':') ||
            (digits && !parse_id(*names, &id))) {
            g_autofree char *quoted = berth_quote(*names);

            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   "%s has the entry '%s', which is neither a name nor an ID", what,
                                   quoted);
        }
    }
    return true;
}

/* Fills @ids from @names as far as they are decimal. Returns whether all were. */
static bool take_decimal(char **names, GArray *ids)
{
    uint32_t id;

    for (; names && *names; names++) {
        if (!parse_id(*names, &id))
            return false;
        if (!berth_ids_contain(ids, id))
            g_array_append_val(ids, id);
    }
    return true;
}

static bool look_up(const char *name, bool is_group, uint32_t *id, GError **error)
{
    g_autofree char *quoted = berth_quote(name);

    errno = 0;
    if (is_group) {
        const struct group *group = getgrnam(name); /* single-threaded child */

        if (group) {
            *id = group->gr_gid;
            return true;
        }
    } else {
        const struct passwd *user = getpwnam(name);

        if (user) {
            *id = user->pw_uid;
            return true;
        }
    }
    return berth_set_error(error, BERTH_ERROR_INVALID_OPTION, "there is no %s '%s'%s%s",
                           is_group ? "group" : "user", quoted, errno ? ": " : "",
                           errno ? g_strerror(errno) : "; give an existing name or a decimal ID");
}

/* In the child: the IDs of @names one after the other. */
static bool look_up_all(char **names, bool is_group, GByteArray *result, GError **error)
{
    for (; names && *names; names++) {
        uint32_t id;

        if (!parse_id(*names, &id) && !look_up(*names, is_group, &id, error))
            return false;
        g_byte_array_append(result, (const guint8 *)&id, sizeof(id));
    }
    return true;
}

static bool child(void *userdata, GByteArray *result, GError **error)
{
    const Job *job = userdata;

    return look_up_all(job->users, false, result, error) &&
           look_up_all(job->groups, true, result, error);
}

static void on_done(const GByteArray *result, const GError *error, void *userdata)
{
    g_autofree Job *job = userdata;
    guint users = job->users ? g_strv_length(job->users) : 0;

    for (guint i = 0; result && i < result->len / sizeof(uint32_t); i++) {
        GArray *target = i < users ? job->ids->users : job->ids->groups;
        uint32_t id;

        memcpy(&id, result->data + i * sizeof(id), sizeof(id));
        if (!berth_ids_contain(target, id))
            g_array_append_val(target, id);
    }
    job->done(error, job->userdata);
}

bool berth_ids_resolve(sd_event *event, uid_t uid, char **users, char **groups, BerthIds *ids,
                       bool *pending, BerthIdsFunc done, void *userdata, GError **error)
{
    Job *job;

    *pending = false;
    if (take_decimal(users, ids->users) && take_decimal(groups, ids->groups))
        return true;
    g_array_set_size(ids->users, 0);
    g_array_set_size(ids->groups, 0);
    job = g_new(Job, 1);
    *job = (Job){ users, groups, ids, done, userdata };
    *pending = berth_child_start(
        event, &(BerthChildWork){ .func = child, .data = job, .usec = TIMEOUT_USEC, .uid = uid },
        on_done, job, error);
    if (!*pending)
        g_free(job);
    return *pending;
}
