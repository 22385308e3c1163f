/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CRC-32C, the checksum of a snapshot: it finds what a disk or a network damaged, no more; who can
 * write a snapshot can write its checksum too. Where the processor has an instruction for it, that
 * is used on three parts of the data at a time, since each result is waited for three cycles.
 */

#include "ipc/snapshot-crc.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */
#define PART       2048        /* bytes of each of the three parts; a multiple of 8 */

static uint32_t bytes[256];        /* the remainder of each byte */
static uint32_t over_part[4][256]; /* what PART zero bytes make of each byte of a CRC */

static uint32_t by_bytes(uint32_t crc, const uint8_t *data, size_t length)
{
    for (; length > 0; length--)
        crc = bytes[(crc ^ *data++) & 0xff] ^ (crc >> 8);
    return crc;
}

static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        bytes[i] = crc;
    }
    /* what a byte becomes is the sum of what its bits become */
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t crc = UINT32_C(1) << bit;

        for (unsigned n = 0; n < PART; n++)
            crc = bytes[crc & 0xff] ^ (crc >> 8);
        for (uint32_t i = 0; i < 256; i++)
            if (i >> bit % 8 & 1)
                over_part[bit / 8][i] ^= crc;
    }
}

#ifdef __x86_64__

static uint32_t shift_part(uint32_t crc)
{
    return over_part[0][crc & 0xff] ^ over_part[1][crc >> 8 & 0xff] ^
           over_part[2][crc >> 16 & 0xff] ^ over_part[3][crc >> 24];
}

static uint64_t word_at(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t by_words(uint32_t crc, const uint8_t *data,
                                                           size_t length)
{
    for (; length >= 3 * PART; length -= 3 * PART, data += 3 * PART) {
        uint64_t one = crc, two = 0, three = 0;

        for (size_t i = 0; i < PART; i += 8) {
            one = __builtin_ia32_crc32di(one, word_at(data + i));
            two = __builtin_ia32_crc32di(two, word_at(data + PART + i));
            three = __builtin_ia32_crc32di(three, word_at(data + 2 * PART + i));
        }
        crc = shift_part(shift_part((uint32_t)one) ^ (uint32_t)two) ^ (uint32_t)three;
    }
    for (; length >= 8; length -= 8, data += 8)
        crc = (uint32_t)__builtin_ia32_crc32di(crc, word_at(data));
    return by_bytes(crc, data, length);
}

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#else

static uint32_t by_words(uint32_t crc, const uint8_t *data, size_t length)
{
    return by_bytes(crc, data, length);
}

static bool has_instruction(void)
{
    return false;
}

#endif

uint32_t berth_crc32c(uint32_t crc, const void *data, size_t length)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        fill_tables();
        g_once_init_leave(&once, 1);
    }
    return ~(has_instruction() ? by_words(~crc, data, length) : by_bytes(~crc, data, length));
}
