/* SPDX-License-Identifier: MIT
 *
 * The package database of package_index.c: its stanzas in memory, an index from names to packages, and the order of
 * versions. What goes wrong ends the program with status 2 and a line on stderr.
 */
#ifndef PACKAGE_DATABASE_H
#define PACKAGE_DATABASE_H

#include <stddef.h>
#include <stdint.h>

#define NOT_FOUND UINT32_MAX

struct package {
    char *name;          /* own: copies lie close together, for all that compares names */
    const char *version; /* this and what follows lie in the input's text */
    const char *architecture;
    const char *section;
    const char *description;
    const char *depends; /* this and the next five: NULL where the field is missing */
    const char *pre_depends;
    const char *recommends;
    const char *provides;
    const char *installed_size;
    const char *status;
    uint32_t order; /* in the input, so that the sort keeps packages of one name in it */
    uint32_t first_edge;
    uint32_t resolved;
    uint32_t unresolved;
    uint32_t visited_by; /* the last closure that came by, counted from 1 */
    uint32_t closure_size;
    uint64_t closure_kib;
};

/* Open addressing, linear probing, at most half full. Keys are borrowed. */
struct index_slot {
    const char *key;
    uint32_t length_bytes;
    uint32_t hash;
    uint32_t value;
};
struct index {
    struct index_slot *slots;
    uint32_t mask;
    uint32_t count;
};

struct database {
    struct package *packages;
    size_t count;
    size_t capacity;
    char **texts;
    size_t text_count;
    size_t text_capacity;
    uint32_t *edges; /* packages that dependencies were resolved to */
    size_t edge_count;
    size_t edge_capacity;
    struct index names;    /* the first package of a name */
    struct index provides; /* the first package that provides it */
};

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
/* Room for one more element of an array that doubles. */
void *grown(void *array, size_t count, size_t *capacity, size_t element_bytes);

/* A key that is there already keeps its value: the first one wins. */
void index_add(struct index *index, const char *key, size_t length_bytes, uint32_t value);
uint32_t index_find(const struct index *index, const char *key, size_t length_bytes);

/* Adds the packages of a file, plain or packed, until there are `limit`. */
void database_load(struct database *db, const char *path, size_t limit);
void database_done(struct database *db);

/* The next name in a list such as "a (>= 1) | b:any, c": sets its length and the separator behind it (0 at the end), and
 * moves `at` to that. Versions and architectures do not matter here. NULL where no name is left. */
const char *next_name(const char **at, size_t *ret_bytes, char *ret_separator);

/* Debian's order of versions (deb-version(7)): below, equal to or above 0. */
int version_compare(const char *left, const char *right);

#endif
