/* SPDX-License-Identifier: MIT
 *
 * Sites: where a profiler was made, a line of code, and the labels that were met there. The key of statistics is the site and
 * the label with each stand-alone number replaced by #, so that an f-string with a number in it is one row; the numbers are kept
 * as arguments, but those of calls. A site has at most LAP_KEYS_EACH labels of each kind, and (other) for the rest; there are at most LAP_SITES, and
 * one for the rest. All of it lives as long as the process. Threads: under the GIL.
 */
#ifndef LAP_PY_SITE_H
#define LAP_PY_SITE_H

#include "frames.h"
#include "lapmark/abi.h"

#define LAP_KEYS_EACH 64
#define LAP_SITES 8192
#define LAP_LABELS 16      /* of the cache by identity */
#define LAP_NUMBERS 8      /* of a label that are kept */
#define LAP_TEXT_BYTES 255 /* of a pattern; longer ones are cut */

/* A label as it is counted: a C site with a printf format made of it. */
struct key {
    struct lap_impl_site c_site;
    uint32_t parent_path; /* `path` is the one under this, LAP_KEY_NO_PATH: none yet */
    uint32_t path;
    uint32_t index; /* in its site, of its kind */
    uint32_t pattern_bytes;
    uint32_t format_bytes;
    uint32_t is_size; /* comes with n */
    char texts[];     /* the pattern with #, 0, the format, 0 */
};
#define LAP_KEY_NO_PATH UINT32_MAX

static inline const char *lap_key_pattern(const struct key *key) { return key->texts; }

/* Labels of one kind at one site. */
struct keys {
    struct key **keys; /* LAP_KEYS_EACH + 1, made with the first */
    uint32_t count;
    struct {
        PyObject *label; /* held; a text without numbers */
        struct key *key;
    } cache[LAP_LABELS];
};

struct site {
    struct site *next;
    const char *file;
    const char *function;
    uint32_t line;
    uint32_t hash;
    struct keys messages;
    struct keys labels;
    struct keys calls;
};

int lap_sites_start(void);
/* In a forked child: the paths are new. */
void lap_sites_after_fork(void);

/* The site of a frame. NULL with an exception: no memory. Warm: a look-up by code and instruction. */
struct site *lap_site_of_frame(const lap_frame *frame);
/* The site of a function, for profilers that a decorator makes. */
struct site *lap_site_of_code(PyCodeObject *code, PyObject *name);
/* A function's name as a message: qualified where the interpreter knows it. New reference. */
PyObject *lap_site_name(const lap_frame *frame);

/* What a label says besides its key: words as an event has them behind its fixed ones. */
struct numbers {
    uint64_t words[1 + LAP_NUMBERS];
    unsigned count;
    int is_exact; /* the key's pattern is the label */
};

static inline unsigned lap_label_index(const PyObject *label)
{
    return (unsigned)((uintptr_t)label >> 4 ^ (uintptr_t)label >> 8) & (LAP_LABELS - 1);
}

/* The key of a label, an exact string or NULL for none, at a site; `kind` is the C site's. With `n`, its size is the first word.
 * NULL with an exception: no memory. Warm: about 200 ns, less for a text that is cached. */
struct key *lap_key_get(struct site *site, enum lap_impl_kind kind, PyObject *label, const int64_t *n,
                        struct numbers *ret_numbers);

/* A string's bytes, valid as long as it and *ret_owned live; lone surrogates go by `errors`, as encode() knows them. NULL with an
 * exception. */
const char *lap_text_of(PyObject *string, const char *errors, Py_ssize_t *ret_bytes, PyObject **ret_owned);

#endif
