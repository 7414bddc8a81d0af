/* SPDX-License-Identifier: MIT
 *
 * The ids of contexts as events have them.
 */
#ifndef LAP_LINK_H
#define LAP_LINK_H

#include <stdint.h>
#include <string.h>

/* A number whose digits are those of 8 bytes. */
static inline uint64_t lap_id_number(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

#endif
