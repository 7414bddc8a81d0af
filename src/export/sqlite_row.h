/* SPDX-License-Identifier: MIT
 *
 * A row as SQLite stores it (sqlite.org/fileformat2.html, "Record Format"): a header with the type of each column, then the values.
 * Hot.
 */
#ifndef LAP_SQLITE_ROW_H
#define LAP_SQLITE_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LAP_SQLITE_TEXT_BYTES 5000u /* of one text */
#define LAP_SQLITE_ROW_BYTES 16000u /* of one row: three such texts, and the rest */

struct lap_sqlite_row {
    uint32_t header_bytes; /* its length's byte included */
    uint32_t body_bytes;
    uint8_t header[128];
    uint8_t body[LAP_SQLITE_ROW_BYTES];
};

/* Numbers are stored with their highest byte first. */
static inline uint64_t lap_row_swapped(uint64_t value) { return __builtin_bswap64(value); }

static inline void lap_row_begin(struct lap_sqlite_row *row)
{
    row->header_bytes = 1;
    row->body_bytes = 0;
}

static inline void lap_row_null(struct lap_sqlite_row *row) { row->header[row->header_bytes++] = 0; }

static inline void lap_row_int(struct lap_sqlite_row *row, int64_t value)
{
    static const uint8_t types[9] = {0, 1, 2, 3, 4, 5, 5, 6, 6}, sizes[9] = {0, 1, 2, 3, 4, 6, 6, 8, 8};
    if (value == 0 || value == 1) { /* which take no room */
        row->header[row->header_bytes++] = (uint8_t)(8 + value);
        return;
    }
    const uint64_t magnitude = (uint64_t)(value < 0 ? ~value : value);
    const unsigned bits = 65 - (unsigned)__builtin_clzll(magnitude | 1);
    const unsigned size = (bits + 7) / 8;
    row->header[row->header_bytes++] = types[size];
    const uint64_t stored = lap_row_swapped((uint64_t)value << (64 - 8 * sizes[size]));
    memcpy(row->body + row->body_bytes, &stored, sizeof stored);
    row->body_bytes += sizes[size];
}

/* Takes the same room whatever its value is. Returns its offset in the body. */
static inline uint32_t lap_row_int64(struct lap_sqlite_row *row, int64_t value)
{
    const uint64_t stored = lap_row_swapped((uint64_t)value);
    const uint32_t at = row->body_bytes;
    row->header[row->header_bytes++] = 6;
    memcpy(row->body + at, &stored, sizeof stored);
    row->body_bytes += (uint32_t)sizeof stored;
    return at;
}
static inline void lap_row_int8(struct lap_sqlite_row *row, int8_t value)
{
    row->header[row->header_bytes++] = 1;
    row->body[row->body_bytes++] = (uint8_t)value;
}

static inline void lap_row_real(struct lap_sqlite_row *row, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    lap_row_int64(row, (int64_t)bits);
    row->header[row->header_bytes - 1] = 7;
}

static inline void lap_row_text(struct lap_sqlite_row *row, const char *text, size_t bytes)
{
    if (bytes > LAP_SQLITE_TEXT_BYTES)
        for (bytes = LAP_SQLITE_TEXT_BYTES; bytes > 0 && (text[bytes] & 0xC0) == 0x80; bytes--) {
        }
    const uint32_t type = 13 + 2 * (uint32_t)bytes;
    if (type > 0x7F)
        row->header[row->header_bytes++] = (uint8_t)(0x80 | type >> 7);
    row->header[row->header_bytes++] = (uint8_t)(type & 0x7F);
    memcpy(row->body + row->body_bytes, text, bytes);
    row->body_bytes += (uint32_t)bytes;
}

/* NULL is NULL. */
static inline void lap_row_string(struct lap_sqlite_row *row, const char *text)
{
    if (text)
        lap_row_text(row, text, strlen(text));
    else
        lap_row_null(row);
}

/* A number that there may be none of. */
static inline void lap_row_int_if(struct lap_sqlite_row *row, bool is_there, int64_t value)
{
    if (is_there)
        lap_row_int(row, value);
    else
        lap_row_null(row);
}

/* The format's big-endian numbers of 7 bits a byte. Returns the end. */
static inline uint8_t *lap_sqlite_varint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *at++ = (uint8_t)value;
        return at;
    }
    if (value >= UINT64_C(1) << 56) { /* the ninth byte has 8 bits */
        at[8] = (uint8_t)value;
        value >>= 8;
        for (int i = 7; i >= 0; i--, value >>= 7)
            at[i] = (uint8_t)(0x80 | (value & 0x7F));
        return at + 9;
    }
    const unsigned bytes = (63 - (unsigned)__builtin_clzll(value)) / 7 + 1;
    for (unsigned i = bytes; i-- > 0; value >>= 7)
        at[i] = (uint8_t)((i + 1 < bytes ? 0x80 : 0) | (value & 0x7F));
    return at + bytes;
}

#endif
