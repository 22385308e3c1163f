/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/address.h"
#include "base/registry-name.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The settings of registries.d: `*.conf` files as systemd.syntax(7) has them, from the directories
 * of settings, by file name, a file in a higher directory masking its namesakes in the lower ones.
 *
 * Groups
 *
 *   [registry NAME]   NAME is host[:port][/path], *.domain[:port] or a network ADDRESS/PREFIX; see
 *                     registry-name.h for what is taken and what is refused. A group may be opened
 *                     again, there or in a later file; the later assignment of a key wins.
 *   [defaults]        what holds where no group that matches says otherwise.
 *
 * Keys; each may stand in every group but Location, which no network can have. An empty value takes
 * back what the group said so far. A list is replaced as a whole by a later assignment.
 *
 *   AllowNondistributable=no    whether non-distributable ("foreign") layers are pushed there
 *   Insecure=no                 skip the verification of TLS, allow plain HTTP; built-in yes where
 *                               the connection goes to localhost or a loopback address
 *   Blocked=no                  refuse every transfer from and to there
 *   Location=                   host[:port][/prefix] that really serves it. Replaces the part of
 *                               the name that the group names: with Location=other/x in the group
 *                               h/team, h/team/app is other/x/app. Not followed further; what is in
 *                               force stays that of the name that was asked for
 *   Mirrors=                    list of at most 32 host[:port][/prefix] to read from first, in this
 *                               order. The
 *                               name is replaced as with Location; what is in force for a mirror is
 *                               looked up under its own name
 *   MirrorsFor=all              all, tags or digests: which reads go to mirrors
 *   CAFile= ClientCertificate= ClientKey=
 *                               absolute paths of PEM files; ClientKey may be left out where the
 *                               certificate's file holds the key
 *   CredentialsFile=            absolute path of an auth.json
 *   Proxy=                      URL, or none to override the environment, whose proxy is used where
 *                               nothing is set. May hold a password
 *   ConnectTimeout=10s          for one connection, 1ms to 1d
 *   StallTimeout=30s            without a byte, 1ms to 1d
 *   Retries=5                   0 to 100
 *   MaxConnections=6            1 to 256, at the same time
 *   MaxBandwidth=0              bytes a second, 0: no limit
 *   ForeignLayers=registry-first
 *                               registry-first, registry-only, url-only, skip: where they are
 *                               pulled from
 *   ForeignUrlHosts=            list of names, *.domains and networks that their URLs may point to;
 *                               empty: any public address
 *
 * Precedence, for each key on its own: the first that sets it of the names that match, longest path
 * first; *.domain, longest first; networks, longest prefix first; [defaults]; the built-in value.
 *
 * Networks are compared with the addresses of the host that the connection goes to (Location's,
 * if there is one; registry-1.docker.io for docker.io). A literal address needs no resolver.
 *
 *   Each address takes a yes-or-no key from the longest network that holds it and sets the key.
 *   What gives permission (AllowNondistributable=yes, Insecure=yes, Blocked=no) is in force only
 *   when it comes out for every address; what takes it away, when it does for any.
 *
 *   Any other key is in force when a network that sets it holds all addresses, or when the
 *   addresses get equal values from several networks, as the two families of one host may.
 *
 *   A name that cannot be resolved is in no network, but blocked if any network is. While one is,
 *   a name that is not blocked holds for the addresses that were looked at.
 *
 * An unknown group or key is a warning; a malformed name or value an error that names file and
 * line, and then nothing takes effect.
 */

#define BERTH_CREDENTIALS_FILE_MAX 65536 /* bytes of an auth.json */
#define BERTH_MIRRORS_MAX          32    /* of one Mirrors= */

/** BerthRegistryKeyId: every key of registries.d, in the order of the contract. */
typedef enum {
    BERTH_REGISTRY_ALLOW_NONDISTRIBUTABLE,
    BERTH_REGISTRY_INSECURE,
    BERTH_REGISTRY_BLOCKED,
    BERTH_REGISTRY_LOCATION,
    BERTH_REGISTRY_MIRRORS,
    BERTH_REGISTRY_MIRRORS_FOR,
    BERTH_REGISTRY_CA_FILE,
    BERTH_REGISTRY_CLIENT_CERTIFICATE,
    BERTH_REGISTRY_CLIENT_KEY,
    BERTH_REGISTRY_CREDENTIALS_FILE,
    BERTH_REGISTRY_PROXY,
    BERTH_REGISTRY_CONNECT_TIMEOUT,
    BERTH_REGISTRY_STALL_TIMEOUT,
    BERTH_REGISTRY_RETRIES,
    BERTH_REGISTRY_MAX_CONNECTIONS,
    BERTH_REGISTRY_MAX_BANDWIDTH,
    BERTH_REGISTRY_FOREIGN_LAYERS,
    BERTH_REGISTRY_FOREIGN_URL_HOSTS,
    _BERTH_REGISTRY_KEY_MAX,
} BerthRegistryKeyId;

/** BerthMirrorsFor: MirrorsFor=. */
typedef enum {
    BERTH_MIRRORS_FOR_ALL,
    BERTH_MIRRORS_FOR_TAGS,
    BERTH_MIRRORS_FOR_DIGESTS,
} BerthMirrorsFor;

/** BerthForeignLayers: ForeignLayers=. */
typedef enum {
    BERTH_FOREIGN_REGISTRY_FIRST,
    BERTH_FOREIGN_REGISTRY_ONLY,
    BERTH_FOREIGN_URL_ONLY,
    BERTH_FOREIGN_SKIP,
} BerthForeignLayers;

/** BerthRegistries: all of registries.d, checked. Immutable, reference counted. */
typedef struct BerthRegistries BerthRegistries;

/**
 * berth_registries_load:
 * @directories: of settings, highest first, NULL-terminated; `registries.d` is looked for in each
 * @warnings: (element-type utf8): unknown groups and keys are appended, each naming file and line
 * @error: BERTH_ERROR_SETTINGS_INVALID naming file, line and value, without secrets
 *
 * Returns: (transfer full): the settings, or NULL: then nothing may take effect.
 */
BerthRegistries *berth_registries_load(const char *const *directories, GPtrArray *warnings,
                                       GError **error);

/**
 * berth_registries_from_lines:
 * @lines: (element-type BerthSettingsLine): later wins. Every assignment must be valid, also one
 *   that a later one overrides. A reference is kept: not to be changed any more
 * @warnings: (element-type utf8): as for berth_registries_load()
 * @error: BERTH_ERROR_SETTINGS_INVALID
 */
BerthRegistries *berth_registries_from_lines(GPtrArray *lines, GPtrArray *warnings, GError **error);

/**
 * berth_registries_lines: Returns: (transfer none) (element-type BerthSettingsLine): what the
 * settings were made from, so that another process can make the same of it, origins included. It
 * may hold secrets.
 */
GPtrArray *berth_registries_lines(BerthRegistries *registries);

BerthRegistries *berth_registries_ref(BerthRegistries *registries);
/** berth_registries_unref: @registries: (nullable) */
void berth_registries_unref(BerthRegistries *registries);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthRegistries, berth_registries_unref)

/** BerthRegistryGroupRow: one [registry] group. */
typedef struct {
    const char *registry; /* in its one spelling */
    const char *origin;   /* `file:line` where it was opened first */
} BerthRegistryGroupRow;

/**
 * berth_registries_groups:
 * Returns: (transfer full) (element-type BerthRegistryGroupRow): the groups in the order of their
 * precedence, without [defaults]; valid as long as @registries.
 */
GArray *berth_registries_groups(BerthRegistries *registries);

/** BerthRegistryRow: one key that a group sets. */
typedef struct {
    char *group; /* owned: `registry NAME`, or `defaults` */
    const char *key, *value, *origin;
} BerthRegistryRow;

/**
 * berth_registries_rows:
 * Returns: (transfer full) (element-type BerthRegistryRow): what all groups set, in the order of
 * their precedence, [defaults] last; valid as long as @registries. Values are as in the files, with
 * their secrets.
 */
GArray *berth_registries_rows(BerthRegistries *registries);

/**
 * berth_registries_changed:
 * Returns: (transfer full): the names of the groups whose values differ between the two, which
 * includes those that only one of them has; `[defaults]` stands for that. Origins do not count.
 */
char **berth_registries_changed(BerthRegistries *before, BerthRegistries *after);

/** BerthAddresses: what a resolver said. */
typedef struct {
    const BerthAddress *list;
    size_t count; /* 0: the name could not be resolved */
} BerthAddresses;

/** BerthRegistrySettings: what is in force for one name. Not changed once made. */
typedef struct {
    bool allow_nondistributable;
    bool insecure;
    bool blocked;
    char *location; /* host[:port][/prefix]; "": none */
    char **mirrors; /* host[:port][/prefix] */
    BerthMirrorsFor mirrors_for;
    char *ca_file; /* this and the next three: absolute; "": none */
    char *client_certificate;
    char *client_key;
    char *credentials_file;
    char *proxy;              /* URL with its secrets; "none"; "": the environment's */
    uint64_t connect_timeout; /* µs */
    uint64_t stall_timeout;   /* µs */
    unsigned retries;
    unsigned max_connections;
    uint64_t max_bandwidth; /* bytes a second; 0: no limit */
    BerthForeignLayers foreign_layers;
    char **foreign_url_hosts; /* patterns in their one spelling; empty: any public address */

    /* by BerthRegistryKeyId */
    char *values[_BERTH_REGISTRY_KEY_MAX];  /* in the syntax of the file; Proxy's without secrets */
    char *origins[_BERTH_REGISTRY_KEY_MAX]; /* `file:line`, or `built-in` */

    BerthRegistryName *name; /* that was asked for; a Docker Hub repository with its `library/` */
    BerthRegistryName *serving; /* where requests go; its path is the repository there, which a
                                   Location can leave empty: then no transfer is possible */
    GPtrArray *mirror_names; /* BerthRegistryName: of each of @mirrors the place of @name there */
    GArray *pinned;          /* BerthAddress: where not empty, a value holds only for these, and
                                the connection must go to one of them and to no other */
    bool provisional;        /* addresses were needed and not given; see the lookup */
    bool unresolved;         /* addresses were needed and there were none */
} BerthRegistrySettings;

/** berth_registry_settings_free: @settings: (nullable) */
void berth_registry_settings_free(BerthRegistrySettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthRegistrySettings, berth_registry_settings_free)

/**
 * berth_registries_host_to_resolve:
 * @registries: the settings
 * @name: host[:port][/repository]
 *
 * Returns: (transfer full) (nullable): the host whose addresses berth_registries_lookup() needs, or
 *   NULL when no network could matter for @name.
 */
char *berth_registries_host_to_resolve(BerthRegistries *registries, const BerthRegistryName *name);

/**
 * berth_registries_lookup:
 * @registries: the settings
 * @name: host[:port][/repository]
 * @addresses: (nullable): all addresses of what berth_registries_host_to_resolve() gave; NULL: not
 *   resolved (yet), which counts as a name that cannot be resolved. Ignored where none are needed
 *
 * Returns: (transfer full): what is in force.
 */
BerthRegistrySettings *berth_registries_lookup(BerthRegistries *registries,
                                               const BerthRegistryName *name,
                                               const BerthAddresses *addresses);

/**
 * berth_registry_settings_read_from:
 * @settings: of the name to be read
 * @by_digest: whether what is read is named by digest, not by tag
 *
 * Returns: (transfer container) (element-type BerthRegistryName): where to try to read, in this
 *   order: mirrors, as far as MirrorsFor lets this read go there, then what serves the name. Valid
 *   as long as @settings. Writes go to the latter only.
 */
GPtrArray *berth_registry_settings_read_from(const BerthRegistrySettings *settings, bool by_digest);

/**
 * berth_registry_settings_url_addresses:
 * @settings: of the registry whose manifest names the URL
 * @host: host and port of the URL, the port of its scheme if it names none
 * @addresses: what @host resolved to; of a literal address just that
 *
 * Returns: (transfer full) (element-type BerthAddress): those of @addresses that the connection may
 *   go to; empty: the URL must not be used. With ForeignUrlHosts all when an entry names the host,
 *   else those inside its networks; without, those that are public.
 */
GArray *berth_registry_settings_url_addresses(const BerthRegistrySettings *settings,
                                              const BerthRegistryName *host,
                                              const BerthAddresses *addresses);

/**
 * berth_foreign_layers_narrows:
 * Returns: whether @wanted uses no source that @settings does not: what a caller may ask for.
 */
bool berth_foreign_layers_narrows(BerthForeignLayers settings, BerthForeignLayers wanted);
