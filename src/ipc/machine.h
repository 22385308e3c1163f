/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BERTH_MACHINE_VALUE_MAX                                                                    \
    255 /* bytes of a ShmHuge or ShmNuma value: fsconfig() takes no more */

/**
 * berth_machine_memory:
 * @bytes: (out): the machine's RAM in bytes, what 100% of a percentage is: MemTotal of
 * /proc/meminfo
 * @error: BERTH_ERROR_FAILED
 */
bool berth_machine_memory(uint64_t *bytes, GError **error);

/**
 * berth_machine_check_huge:
 * @value: the ShmHuge option, which becomes tmpfs's `huge=`: never, always, within_size or advise
 * @error: BERTH_ERROR_INVALID_OPTION when @value is another word; BERTH_ERROR_NOT_SUPPORTED when
 * the machine would not honour it: it has no transparent huge pages (the kernel then refuses the
 * mount option), or the administrator's shmem_enabled is `deny` (the kernel takes the option and
 * ignores it)
 *
 * `never` passes on every machine, also where shmem_enabled is `force`: that overrules every mount
 * and is the administrator's wish, not a fault of the option.
 */
bool berth_machine_check_huge(const char *value, GError **error);

/**
 * berth_machine_check_mempolicy:
 * @value: the ShmNuma option, which becomes tmpfs's `mpol=`: `MODE[=static|=relative][:NODES]` with
 *   the modes default, local, prefer (at most one node), `prefer (many)` and bind (nodes required),
 *   interleave and, where the kernel has it, `weighted interleave`
 * @error: BERTH_ERROR_INVALID_OPTION for bad grammar or a node without memory here, naming the
 *   machine's nodes; BERTH_ERROR_NOT_SUPPORTED when the kernel has no NUMA or not this mode
 *
 * Whatever passes is accepted by the kernel (mpol_parse_str() in mm/mempolicy.c) as long as no
 * memory is unplugged. Nodes count only if they have memory: the kernel asks the same.
 */
bool berth_machine_check_mempolicy(const char *value, GError **error);
