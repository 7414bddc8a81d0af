/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "package_database.h"

#include <lapmark.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define APT_HELPER "/usr/lib/apt/apt-helper"
#define READ_BLOCK_BYTES ((size_t)1 << 20)

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("package_index: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

void *grown(void *array, size_t count, size_t *capacity, size_t element_bytes)
{
    if (count < *capacity)
        return array;
    const size_t wanted = *capacity ? *capacity * 2 : 64;
    void *const moved = realloc(array, wanted * element_bytes);
    if (!moved)
        fail("no memory for %zu elements of %zu bytes", wanted, element_bytes);
    *capacity = wanted;
    return moved;
}

static uint32_t hash_of(const char *key, size_t length_bytes)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length_bytes; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619u;
    return hash;
}

/* The slot of the key, or the free one where it belongs. */
static struct index_slot *index_slot(const struct index *index, const char *key, size_t length_bytes, uint32_t hash)
{
    for (uint32_t i = hash & index->mask;; i = (i + 1) & index->mask) {
        struct index_slot *const slot = &index->slots[i];
        if (!slot->key ||
            (slot->hash == hash && slot->length_bytes == length_bytes && memcmp(slot->key, key, length_bytes) == 0))
            return slot;
    }
}

static void index_resize(struct index *index, uint32_t capacity)
{
    const struct index old = *index;
    index->slots = calloc(capacity, sizeof *index->slots);
    if (!index->slots)
        fail("no memory for an index of %u slots", capacity);
    index->mask = capacity - 1;
    for (uint32_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].key)
            *index_slot(index, old.slots[i].key, old.slots[i].length_bytes, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void index_add(struct index *index, const char *key, size_t length_bytes, uint32_t value)
{
    if (!index->slots || index->count > index->mask / 2)
        index_resize(index, index->slots ? (index->mask + 1) * 2 : 1024);
    const uint32_t hash = hash_of(key, length_bytes);
    struct index_slot *const slot = index_slot(index, key, length_bytes, hash);
    if (slot->key)
        return;
    *slot = (struct index_slot){key, (uint32_t)length_bytes, hash, value};
    index->count++;
}

uint32_t index_find(const struct index *index, const char *key, size_t length_bytes)
{
    if (!index->slots)
        return NOT_FOUND;
    const struct index_slot *const slot = index_slot(index, key, length_bytes, hash_of(key, length_bytes));
    return slot->key ? slot->value : NOT_FOUND;
}

static bool has_suffix(const char *text, const char *suffix)
{
    const size_t length = strlen(text);
    const size_t suffix_length = strlen(suffix);
    return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

static bool is_packed(const char *path)
{
    return has_suffix(path, ".lz4") || has_suffix(path, ".gz") || has_suffix(path, ".xz") || has_suffix(path, ".zst");
}

/* Apt packs its lists in several ways and brings the one tool that unpacks them all. */
static FILE *open_packed(const char *path)
{
    if (access(APT_HELPER, X_OK) != 0)
        fail("cannot unpack '%s': no '%s' here", path, APT_HELPER);
    char *const command = malloc(sizeof APT_HELPER + 16 + 4 * strlen(path));
    if (!command)
        fail("no memory to unpack '%s'", path);
    char *end = command + sprintf(command, "%s cat-file '", APT_HELPER);
    for (const char *c = path; *c; c++)
        end += *c == '\'' ? sprintf(end, "'\\''") : sprintf(end, "%c", *c);
    strcpy(end, "'");
    FILE *const stream = popen(command, "r");
    free(command);
    return stream;
}

static char *read_text(const char *path, size_t *ret_bytes)
{
    LAP_PROFILE("read");
    const bool packed = is_packed(path);
    if (access(path, R_OK) != 0)
        fail("cannot open '%s': %s", path, strerror(errno));
    FILE *const stream = packed ? open_packed(path) : fopen(path, "r");
    if (!stream)
        fail("cannot open '%s': %s", path, strerror(errno));
    LAP_MARK("opened");

    char *text = NULL;
    size_t bytes = 0;
    for (size_t got = 1; got;) {
        char *const moved = realloc(text, bytes + READ_BLOCK_BYTES + 1);
        if (!moved)
            fail("no memory to read '%s'", path);
        text = moved;
        got = fread(text + bytes, 1, READ_BLOCK_BYTES, stream);
        bytes += got;
        if (got)
            LAP_MARK_N(got, "block");
    }
    text[bytes] = '\0';
    if (ferror(stream))
        fail("cannot read '%s': %s", path, strerror(errno));
    const int status = packed ? pclose(stream) : fclose(stream);
    if (status != 0)
        fail("cannot unpack '%s': '%s' ended with status %d", path, APT_HELPER,
             WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    LAP_MARK("closed");
    *ret_bytes = bytes;
    return text;
}

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    {"Package", offsetof(struct package, name)},
    {"Version", offsetof(struct package, version)},
    {"Architecture", offsetof(struct package, architecture)},
    {"Section", offsetof(struct package, section)},
    {"Depends", offsetof(struct package, depends)},
    {"Pre-Depends", offsetof(struct package, pre_depends)},
    {"Recommends", offsetof(struct package, recommends)},
    {"Provides", offsetof(struct package, provides)},
    {"Description", offsetof(struct package, description)},
    {"Installed-Size", offsetof(struct package, installed_size)},
    {"Status", offsetof(struct package, status)},
};

static void package_set_field(struct package *package, const char *name, size_t length_bytes, const char *value)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strncmp(fields[i].name, name, length_bytes) == 0 && fields[i].name[length_bytes] == '\0') {
            memcpy((char *)package + fields[i].offset, &value, sizeof value);
            return;
        }
    }
}

/* One field, folded lines and all, from `at`; its value is terminated in place. Returns what follows, NULL if `at` is
 * no field. */
static char *parse_field(char *at, struct package *package)
{
    const size_t name_bytes = strcspn(at, ":\n");
    if (at[name_bytes] != ':' || name_bytes == 0 || isspace((unsigned char)*at))
        return NULL;
    char *const value = at + name_bytes + 1 + strspn(at + name_bytes + 1, " \t");
    char *end = value + strcspn(value, "\n");
    while (end[0] && (end[1] == ' ' || end[1] == '\t'))
        end += 1 + strcspn(end + 1, "\n");
    char *const next = end + (*end == '\n');
    *end = '\0';
    package_set_field(package, at, name_bytes, value);
    return next;
}

static void database_add(struct database *db, const struct package *package)
{
    /* dpkg remembers what was removed; apt's lists have no such field */
    if (package->status && !has_suffix(package->status, " installed"))
        return;
    db->packages = grown(db->packages, db->count, &db->capacity, sizeof *db->packages);
    db->packages[db->count] = *package;
    db->packages[db->count].name = strdup(package->name);
    if (!db->packages[db->count].name)
        fail("no memory for the name '%s'", package->name);
    db->packages[db->count].order = (uint32_t)db->count;
    db->count++;
}

static void parse_text(struct database *db, const char *path, char *text, size_t bytes, size_t limit)
{
    LAP_PROFILE("parse %zu bytes", bytes);
    char *at = text;
    while (*at && db->count < limit) {
        struct package package = {.version = "", .architecture = "", .section = "", .description = ""};
        char *const stanza = at;
        while (*at && *at != '\n') {
            char *const next = parse_field(at, &package);
            if (!next)
                fail("'%s', byte %td: a line that is no field", path, at - text);
            at = next;
        }
        at += strspn(at, "\n");
        if (package.name)
            database_add(db, &package);
        else if (*stanza != '\n')
            fail("'%s', byte %td: a stanza without a package name", path, stanza - text);
        LAP_MARK("stanza");
    }
    if (db->count < limit && at != text + bytes)
        fail("'%s', byte %td: a zero byte", path, at - text);
}

void database_load(struct database *db, const char *path, size_t limit)
{
    const char *const slash = strrchr(path, '/');
    LAP_PROFILE("load %s", slash ? slash + 1 : path);
    size_t bytes = 0;
    char *const text = read_text(path, &bytes);
    db->texts = grown(db->texts, db->text_count, &db->text_capacity, sizeof *db->texts);
    db->texts[db->text_count++] = text;
    parse_text(db, path, text, bytes, limit);
}

void database_done(struct database *db)
{
    for (size_t i = 0; i < db->count; i++)
        free(db->packages[i].name);
    for (size_t i = 0; i < db->text_count; i++)
        free(db->texts[i]);
    free(db->texts);
    free(db->packages);
    free(db->edges);
    free(db->names.slots);
    free(db->provides.slots);
    *db = (struct database){0};
}

const char *next_name(const char **at, size_t *ret_bytes, char *ret_separator)
{
    const char *const name = *at + strspn(*at, " \t\n,|");
    if (!*name)
        return NULL;
    *ret_bytes = strcspn(name, " \t\n,|(:[");
    const char *const separator = name + strcspn(name, ",|");
    *ret_separator = *separator;
    *at = separator;
    return name;
}

/* '~' comes before the end of the text, that before letters, those before the rest. */
static int character_order(const char *at, const char *end)
{
    if (at == end || isdigit((unsigned char)*at))
        return 0;
    if (*at == '~')
        return -1;
    return isalpha((unsigned char)*at) ? *at : *at + 256;
}

/* Runs of other characters and runs of digits, in turn. */
static int part_compare(const char *a, const char *a_end, const char *b, const char *b_end)
{
    while (a < a_end || b < b_end) {
        while ((a < a_end && !isdigit((unsigned char)*a)) || (b < b_end && !isdigit((unsigned char)*b))) {
            const int order = character_order(a, a_end) - character_order(b, b_end);
            if (order)
                return order;
            a++, b++;
        }
        while (a < a_end && *a == '0')
            a++;
        while (b < b_end && *b == '0')
            b++;
        const char *const a_digits = a;
        const char *const b_digits = b;
        while (a < a_end && isdigit((unsigned char)*a))
            a++;
        while (b < b_end && isdigit((unsigned char)*b))
            b++;
        if (a - a_digits != b - b_digits)
            return a - a_digits < b - b_digits ? -1 : 1;
        const int order = memcmp(a_digits, b_digits, (size_t)(a - a_digits));
        if (order)
            return order;
    }
    return 0;
}

int version_compare(const char *left, const char *right)
{
    const char *const a_colon = strchr(left, ':');
    const char *const b_colon = strchr(right, ':');
    const long a_epoch = a_colon ? strtol(left, NULL, 10) : 0;
    const long b_epoch = b_colon ? strtol(right, NULL, 10) : 0;
    if (a_epoch != b_epoch)
        return a_epoch < b_epoch ? -1 : 1;
    const char *const a = a_colon ? a_colon + 1 : left;
    const char *const b = b_colon ? b_colon + 1 : right;
    const char *const a_end = a + strlen(a);
    const char *const b_end = b + strlen(b);
    const char *const a_dash = strrchr(a, '-');
    const char *const b_dash = strrchr(b, '-');
    const int order = part_compare(a, a_dash ? a_dash : a_end, b, b_dash ? b_dash : b_end);
    return order ? order : part_compare(a_dash ? a_dash + 1 : a_end, a_end, b_dash ? b_dash + 1 : b_end, b_end);
}
