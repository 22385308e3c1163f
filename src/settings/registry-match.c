/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in force for one registry: for every key the group that decides it. Addresses come from
 * the caller, and who resolved them may have been told lies by the registry's own name server; so
 * where they give permission, they all must, and the connection is pinned to them. It must never
 * resolve a name, and when in doubt it must be on the side of the rule that refuses.
 */

#include "base/userinfo.h"
#include "settings/registries-internal.h"
#include "settings/registry-keys.h"

#include <string.h>

#define BUILT_IN "built-in"

/* One question: its name, and what it leads to. */
typedef struct {
    BerthRegistries *registries;
    const BerthRegistryName *name;
    const BerthRegistryName *serving;
    BerthAddresses addresses; /* of @serving */
} Query;

/* A value and the group that says it; @group is NULL for a built-in one. */
typedef struct {
    const char *text;
    const char *origin;
    const BerthRegistryGroup *group;
    bool pin; /* it holds for the addresses of the query only */
} Choice;

void berth_registry_settings_free(BerthRegistrySettings *settings)
{
    if (!settings)
        return;
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        const BerthRegistryKey *key = berth_registry_key(id);
        void *field = (char *)settings + key->offset;

        if (key->type == BERTH_REGISTRY_TEXT)
            g_free(*(char **)field);
        else if (key->type == BERTH_REGISTRY_LIST)
            g_strfreev(*(char ***)field);
        g_free(settings->values[id]);
        g_free(settings->origins[id]);
    }
    berth_registry_name_free(settings->name);
    berth_registry_name_free(settings->serving);
    g_clear_pointer(&settings->mirror_names, g_ptr_array_unref);
    g_clear_pointer(&settings->pinned, g_array_unref);
    g_free(settings);
}

static Choice choose(const BerthRegistryGroup *group, BerthRegistryKeyId id)
{
    return (Choice){ .text = group->values[id].text,
                     .origin = group->values[id].origin,
                     .group = group };
}

static bool is_network(const BerthRegistryGroup *group)
{
    return group->pattern->kind == BERTH_PATTERN_NETWORK;
}

/* By the name alone. Returns: text NULL when no group that matches sets the key. */
static Choice choose_by_name(const Query *query, BerthRegistryKeyId id)
{
    const GPtrArray *groups = query->registries->groups;

    for (unsigned i = 0; i < groups->len; i++) {
        const BerthRegistryGroup *group = groups->pdata[i];

        if (group->values[id].text &&
            berth_registry_pattern_matches_name(group->pattern, query->name))
            return choose(group, id);
    }
    return (Choice){ 0 };
}

/* Of the networks that set the key and hold @address, the longest; NULL when there is none. */
static const BerthRegistryGroup *network_of(const Query *query, BerthRegistryKeyId id,
                                            const BerthAddress *address)
{
    const GPtrArray *groups = query->registries->groups;

    for (unsigned i = 0; i < groups->len; i++) {
        const BerthRegistryGroup *group = groups->pdata[i];

        if (is_network(group) && group->values[id].text &&
            berth_network_contains(&group->pattern->network, address))
            return group;
    }
    return NULL;
}

static bool holds_all(const BerthRegistryGroup *group, const BerthAddresses *addresses)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (!berth_network_contains(&group->pattern->network, &addresses->list[i]))
            return false;
    return true;
}

static bool is_yes(const BerthRegistryGroup *group, BerthRegistryKeyId id)
{
    bool value = false, ok = berth_registry_bool_parse(group->values[id].text, &value);

    g_assert(ok); /* was checked when it was read */
    return value;
}

/* A yes-or-no key: one address is enough to refuse, to permit it takes all of them. */
static Choice choose_strictly(const Query *query, BerthRegistryKeyId id)
{
    bool refusing = id == BERTH_REGISTRY_BLOCKED;
    const BerthRegistryGroup *permitting = NULL;
    bool all = true;

    for (size_t i = 0; i < query->addresses.count; i++) {
        const BerthRegistryGroup *group = network_of(query, id, &query->addresses.list[i]);

        if (group && is_yes(group, id) == refusing)
            return choose(group, id);
        all = all && group;
        if (!permitting)
            permitting = group;
    }
    if (permitting && all) {
        Choice choice = choose(permitting, id);

        choice.pin = true;
        return choice;
    }
    return (Choice){ 0 };
}

/* Any other key: one network around all addresses, else several that agree. */
static Choice choose_jointly(const Query *query, BerthRegistryKeyId id)
{
    const GPtrArray *groups = query->registries->groups;
    const BerthRegistryGroup *first = NULL;
    Choice choice;

    for (unsigned i = 0; i < groups->len; i++) {
        const BerthRegistryGroup *group = groups->pdata[i];

        if (is_network(group) && group->values[id].text && holds_all(group, &query->addresses)) {
            choice = choose(group, id);
            choice.pin = true;
            return choice;
        }
    }
    for (size_t i = 0; i < query->addresses.count; i++) {
        const BerthRegistryGroup *group = network_of(query, id, &query->addresses.list[i]);

        if (!group || (first && !g_str_equal(group->values[id].text, first->values[id].text)))
            return (Choice){ 0 };
        if (!first)
            first = group;
    }
    g_assert(first); /* the caller has seen to it that there are addresses */
    choice = choose(first, id);
    choice.pin = true;
    return choice;
}

/* A network that is blocked; NULL when there is none. */
static const BerthRegistryGroup *blocked_network(const Query *query)
{
    const GPtrArray *groups = query->registries->groups;

    for (unsigned i = 0; i < groups->len; i++) {
        const BerthRegistryGroup *group = groups->pdata[i];

        if (is_network(group) && group->values[BERTH_REGISTRY_BLOCKED].text &&
            is_yes(group, BERTH_REGISTRY_BLOCKED))
            return group;
    }
    return NULL;
}

/* Nobody knows where the name leads: a network that blocks could be there. */
static Choice choose_unresolved(const Query *query, BerthRegistryKeyId id)
{
    const BerthRegistryGroup *group = id == BERTH_REGISTRY_BLOCKED ? blocked_network(query) : NULL;

    return group ? choose(group, id) : (Choice){ 0 };
}

static Choice choose_by_address(const Query *query, BerthRegistryKeyId id)
{
    Choice choice;

    if (query->addresses.count == 0)
        return choose_unresolved(query, id);
    choice = berth_registry_key(id)->type == BERTH_REGISTRY_BOOL ? choose_strictly(query, id)
                                                                 : choose_jointly(query, id);
    /* that none of them is blocked is permission too: the name may mean another one by then */
    choice.pin = choice.pin || (id == BERTH_REGISTRY_BLOCKED && blocked_network(query));
    return choice;
}

static Choice choose_fallback(const Query *query, BerthRegistryKeyId id)
{
    const BerthRegistryGroup *defaults = query->registries->defaults;
    bool loopback =
        id == BERTH_REGISTRY_INSECURE && berth_registry_name_is_loopback(query->serving);

    if (defaults->values[id].text)
        return choose(defaults, id);
    return (Choice){ .text = loopback ? "yes" : berth_registry_key(id)->builtin,
                     .origin = BUILT_IN };
}

static Choice choose_value(const Query *query, BerthRegistryKeyId id)
{
    Choice choice = choose_by_name(query, id);

    if (!choice.text && id != BERTH_REGISTRY_LOCATION)
        choice = choose_by_address(query, id);
    if (!choice.text) {
        bool pin = choice.pin;

        choice = choose_fallback(query, id);
        choice.pin = pin;
    }
    return choice;
}

static char *join_path(const char *a, const char *b)
{
    return g_strconcat(a, *a && *b ? "/" : "", b, NULL);
}

/* The place of @name at @target: what @group names of it is replaced. */
static BerthRegistryName *rewrite(const BerthRegistryName *name, const BerthRegistryGroup *group,
                                  const char *target)
{
    g_autoptr(BerthRegistryName) at = berth_registry_name_parse(target, NULL);
    const BerthRegistryPattern *pattern = group->pattern;
    const char *rest = name->path;
    g_autofree char *path = NULL;

    g_assert(at); /* was checked when it was read */
    if (pattern && pattern->kind == BERTH_PATTERN_NAME)
        rest += strlen(pattern->name->path);
    rest += *rest == '/';
    path = join_path(at->path, rest);
    return berth_registry_name_new(at, path);
}

/* A copy of @name; a repository of one component on Docker Hub with its `library/`. */
static BerthRegistryName *complete(const BerthRegistryName *name)
{
    bool library =
        berth_registry_name_is_docker_hub(name) && *name->path && !strchr(name->path, '/');
    g_autofree char *path = join_path(library ? "library" : "", name->path);

    return berth_registry_name_new(name, path);
}

/* Where requests for @name go. */
static BerthRegistryName *find_serving(BerthRegistries *registries, const BerthRegistryName *name)
{
    Query query = { .registries = registries, .name = name, .serving = name };
    Choice location = choose_value(&query, BERTH_REGISTRY_LOCATION);
    g_autoptr(BerthRegistryName) target = NULL, serving = NULL;

    if (location.group)
        target = rewrite(name, location.group, location.text);
    serving = complete(target ? target : name);
    if (berth_registry_name_is_docker_hub(serving)) {
        g_free(serving->host);
        serving->host = g_strdup("registry-1.docker.io");
    }
    return g_steal_pointer(&serving);
}

/* Whether a network could decide a key that the name does not. */
static bool needs_addresses(const Query *query)
{
    const GPtrArray *groups = query->registries->groups;

    if (query->serving->is_address)
        return false;
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        bool in_network = false;

        for (unsigned i = 0; !in_network && i < groups->len; i++) {
            const BerthRegistryGroup *group = groups->pdata[i];

            in_network = is_network(group) && group->values[id].text;
        }
        if (in_network && !choose_by_name(query, id).text)
            return true;
    }
    return false;
}

char *berth_registries_host_to_resolve(BerthRegistries *registries, const BerthRegistryName *name)
{
    g_autoptr(BerthRegistryName) asked = complete(name);
    g_autoptr(BerthRegistryName) serving = find_serving(registries, asked);
    Query query = { .registries = registries, .name = asked, .serving = serving };

    return needs_addresses(&query) ? g_strdup(serving->host) : NULL;
}

static void set_value(BerthRegistrySettings *settings, BerthRegistryKeyId id, const Choice *choice)
{
    const BerthRegistryKey *key = berth_registry_key(id);
    bool ok = key->parse(key, choice->text, (char *)settings + key->offset, NULL);

    /* was checked when it was read; built-in values by the tests */
    g_assert(ok);
    settings->values[id] =
        id == BERTH_REGISTRY_PROXY ? berth_userinfo_redact(choice->text) : g_strdup(choice->text);
    settings->origins[id] = g_strdup(choice->origin);
}

static void find_mirrors(BerthRegistrySettings *settings, const Choice *choice)
{
    for (char **mirror = settings->mirrors; choice->group && *mirror; mirror++)
        g_ptr_array_add(settings->mirror_names, rewrite(settings->name, choice->group, *mirror));
}

BerthRegistrySettings *berth_registries_lookup(BerthRegistries *registries,
                                               const BerthRegistryName *name,
                                               const BerthAddresses *addresses)
{
    BerthRegistrySettings *settings = g_new0(BerthRegistrySettings, 1);
    Query query = { .registries = registries };

    settings->name = complete(name);
    settings->serving = find_serving(registries, settings->name);
    settings->mirror_names =
        g_ptr_array_new_with_free_func((GDestroyNotify)berth_registry_name_free);
    settings->pinned = g_array_new(FALSE, FALSE, sizeof(BerthAddress));
    query.name = settings->name;
    query.serving = settings->serving;
    if (settings->serving->is_address)
        query.addresses = (BerthAddresses){ &settings->serving->address, 1 };
    else if (addresses)
        query.addresses = *addresses;
    else
        settings->provisional = needs_addresses(&query);
    settings->unresolved = query.addresses.count == 0 && needs_addresses(&query);

    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++) {
        Choice choice = choose_value(&query, id);

        set_value(settings, id, &choice);
        if (id == BERTH_REGISTRY_MIRRORS)
            find_mirrors(settings, &choice);
        if (choice.pin && settings->pinned->len == 0)
            g_array_append_vals(settings->pinned, query.addresses.list,
                                (guint)query.addresses.count);
    }
    return settings;
}

GPtrArray *berth_registry_settings_read_from(const BerthRegistrySettings *settings, bool by_digest)
{
    GPtrArray *names = g_ptr_array_new();
    BerthMirrorsFor other = by_digest ? BERTH_MIRRORS_FOR_TAGS : BERTH_MIRRORS_FOR_DIGESTS;

    for (unsigned i = 0; settings->mirrors_for != other && i < settings->mirror_names->len; i++)
        g_ptr_array_add(names, settings->mirror_names->pdata[i]);
    g_ptr_array_add(names, settings->serving);
    return names;
}
