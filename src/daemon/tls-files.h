/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/registries.h"

#include <glib.h>
#include <stdbool.h>

/*
 * Files that settings of a registry name, and those that lie in
 * /etc/containers/certs.d/HOST[:PORT]/ and /etc/docker/certs.d/HOST[:PORT]/ of the host that serves
 * it (containers-certs.d(5)): `*.crt` are certificates of authorities, `*.cert` one of a client,
 * with its key in the `*.key` of the same name. BERTH_CERTS_DIRECTORIES in the environment, a list
 * separated by colons, stands for these two directories.
 *
 * Every function opens files as the service, and reads only what is a regular file of bounded size;
 * errors are BERTH_ERROR_SETTINGS_INVALID and name the file and the setting.
 */

/**
 * berth_settings_file_read:
 * @settings: what is in force
 * @id: a key whose value is a path, not empty
 * @max: bytes the file may have
 *
 * Returns: (transfer full): its contents, wiped when they are freed; NULL on error.
 */
GBytes *berth_settings_file_read(const BerthRegistrySettings *settings, BerthRegistryKeyId id,
                                 size_t max, GError **error);

/**
 * berth_tls_authorities:
 * @pem: (out) (transfer full) (nullable): CAFile= and all of certs.d, one behind the other; NULL
 *   when there is none: those of the machine count
 */
bool berth_tls_authorities(const BerthRegistrySettings *settings, GBytes **pem, GError **error);

/**
 * berth_tls_client:
 * @certificate, @key: (out) (transfer full) (nullable): ClientCertificate= and ClientKey=, else the
 *   first pair of certs.d; both NULL when there is none. Of a certificate without a ClientKey= the
 *   file is taken for both
 */
bool berth_tls_client(const BerthRegistrySettings *settings, GBytes **certificate, GBytes **key,
                      GError **error);

/** berth_tls_has_client: Returns: whether berth_tls_client() would find something to read. */
bool berth_tls_has_client(const BerthRegistrySettings *settings);
