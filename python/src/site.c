/* SPDX-License-Identifier: MIT */
#include "site.h"

#include <stdio.h>
#include <string.h>

#define BUCKETS 4096u
#define FRAMES 4096u /* of the cache by code and instruction */
#define FORMAT_BYTES 1024u

static struct site *buckets[BUCKETS];
static uint32_t site_count;
static struct site other_site = {.file = "", .function = "(other)"};
static struct {
    PyCodeObject *code; /* held */
    const void *instruction;
    struct site *site;
} frames[FRAMES];

int lap_sites_start(void) { return 0; }

static void keys_forget_paths(struct keys *keys)
{
    for (uint32_t i = 0; keys->keys && i <= LAP_KEYS_EACH; i++)
        if (keys->keys[i])
            keys->keys[i]->parent_path = LAP_KEY_NO_PATH;
}

void lap_sites_after_fork(void)
{
    for (uint32_t i = 0; i <= BUCKETS; i++)
        for (struct site *site = i < BUCKETS ? buckets[i] : &other_site; site; site = site->next) {
            keys_forget_paths(&site->messages);
            keys_forget_paths(&site->labels);
            keys_forget_paths(&site->calls);
        }
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

const char *lap_text_of(PyObject *string, const char *errors, Py_ssize_t *ret_bytes, PyObject **ret_owned)
{
    *ret_owned = NULL;
    if (LAP_I_LIKELY(PyUnicode_IS_COMPACT_ASCII(string)))
        return PyUnicode_AsUTF8AndSize(string, ret_bytes);
    /* The error of a lone surrogate is an object: garbage could be collected, and finalizers run, in the middle of whatever. */
    const int collects = PyGC_Disable();
    const char *const text = PyUnicode_AsUTF8AndSize(string, ret_bytes);
    if (!text) {
        PyErr_Clear();
        *ret_owned = PyUnicode_AsEncodedString(string, "utf-8", errors);
    }
    if (collects)
        PyGC_Enable();
    if (text || !*ret_owned)
        return text;
    *ret_bytes = PyBytes_GET_SIZE(*ret_owned);
    return PyBytes_AS_STRING(*ret_owned);
}

static char *text_copy(PyObject *string)
{
    PyObject *owned;
    Py_ssize_t bytes;
    const char *const text = lap_text_of(string, "backslashreplace", &bytes, &owned);
    char *const copy = text ? PyMem_RawMalloc((size_t)bytes + 1) : NULL;
    if (copy)
        memcpy(copy, text, (size_t)bytes + 1);
    else if (text)
        PyErr_NoMemory();
    Py_XDECREF(owned);
    return copy;
}

/* ---- labels as patterns -------------------------------------------------------------------------------------------- */

/* A label taken apart: the pattern with # for each stand-alone number, and a printf format. */
struct parts {
    char pattern[LAP_TEXT_BYTES + 1];
    char format[FORMAT_BYTES];
    size_t pattern_bytes, format_bytes;
    uint64_t types;
    struct {
        int64_t integer;
        double real;
        int is_real;
    } numbers[LAP_NUMBERS];
    unsigned count;
};

static int is_word(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           byte >= 0x80;
}

static int is_digit(unsigned char byte) { return byte >= '0' && byte <= '9'; }

static size_t digits_from(const char *text, size_t at, size_t bytes)
{
    size_t end = at;
    while (end < bytes && is_digit((unsigned char)text[end]))
        end++;
    return end - at;
}

/* Bytes of the stand-alone number at `at`, 0: there is none. It has digits, perhaps a fraction and an exponent, and a sign where
 * no word stands before that; no letter, digit, underscore or point in front of it, no word and no further fraction behind it. */
static size_t number_at(const char *text, size_t at, size_t bytes, int *ret_is_real)
{
    const unsigned char before = at > 0 ? (unsigned char)text[at - 1] : ' ';
    if (is_word(before) || before == '.')
        return 0;
    size_t end = at;
    if (text[end] == '-' || text[end] == '+') {
        if (before == ')' || before == ']')
            return 0;
        end++;
    }
    const size_t whole = digits_from(text, end, bytes);
    if (whole == 0 || whole > 18)
        return 0;
    end += whole;
    *ret_is_real = 0;
    if (end < bytes && text[end] == '.') {
        const size_t fraction = digits_from(text, end + 1, bytes);
        *ret_is_real |= fraction > 0;
        end += fraction > 0 ? 1 + fraction : 0;
    }
    if (end < bytes && (text[end] == 'e' || text[end] == 'E')) {
        const size_t sign = end + 1 < bytes && (text[end + 1] == '-' || text[end + 1] == '+');
        const size_t exponent = digits_from(text, end + 1 + sign, bytes);
        *ret_is_real |= exponent > 0;
        end += exponent > 0 ? 1 + sign + exponent : 0;
    }
    if (end - at > 40 || (end < bytes && is_word((unsigned char)text[end])) ||
        (end + 1 < bytes && text[end] == '.' && is_digit((unsigned char)text[end + 1])))
        return 0;
    return end - at;
}

static void pattern_put(struct parts *parts, char byte)
{
    if (parts->pattern_bytes + 1 >= sizeof parts->pattern || parts->format_bytes + 3 >= sizeof parts->format)
        return;
    parts->pattern[parts->pattern_bytes++] = byte;
    parts->format[parts->format_bytes++] = byte;
    if (byte == '%')
        parts->format[parts->format_bytes++] = '%';
}

static void number_put(struct parts *parts, const char *text, size_t bytes, int is_real)
{
    char copy[48];
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    const unsigned index = parts->count++;
    parts->numbers[index].is_real = is_real;
    parts->numbers[index].integer = is_real ? 0 : strtoll(copy, NULL, 10);
    parts->numbers[index].real = PyOS_string_to_double(copy, NULL, NULL);
    parts->pattern[parts->pattern_bytes++] = '#';
    parts->format_bytes += (size_t)snprintf(parts->format + parts->format_bytes, 8, is_real ? "%%.15g" : "%%lld");
    parts->types |= (uint64_t)(is_real ? LAP_IMPL_TYPE_F64 : LAP_IMPL_TYPE_I64) << (4 * index);
}

static void take_apart(struct parts *parts, const char *text, size_t bytes)
{
    parts->pattern_bytes = parts->format_bytes = 0;
    parts->types = parts->count = 0;
    for (size_t i = 0; i < bytes;) {
        int is_real;
        const size_t number =
            is_word((unsigned char)text[i]) || text[i] == '-' || text[i] == '+' ? number_at(text, i, bytes, &is_real) : 0;
        if (number > 0 && parts->count < LAP_NUMBERS && parts->pattern_bytes + 2 < sizeof parts->pattern &&
            parts->format_bytes + 8 < sizeof parts->format) {
            number_put(parts, text + i, number, is_real);
            i += number;
        } else {
            pattern_put(parts, text[i] == 0 ? ' ' : text[i]);
            i++;
        }
    }
    while (parts->pattern_bytes > 0 && parts->pattern_bytes + 1 >= sizeof parts->pattern &&
           ((unsigned char)parts->pattern[parts->pattern_bytes - 1] & 0xC0) == 0x80) /* cut: not inside a character */
        parts->pattern_bytes--, parts->format_bytes--;
    parts->pattern[parts->pattern_bytes] = 0;
    parts->format[parts->format_bytes] = 0;
}

/* Leaves the numbers out: a call's event has no arguments, and its format is the pattern. */
static void numbers_leave_out(struct parts *parts)
{
    parts->types = parts->count = 0;
    parts->format_bytes = 0;
    for (size_t i = 0; i < parts->pattern_bytes && parts->format_bytes + 3 < sizeof parts->format; i++) {
        parts->format[parts->format_bytes++] = parts->pattern[i];
        if (parts->pattern[i] == '%')
            parts->format[parts->format_bytes++] = '%';
    }
    parts->format[parts->format_bytes] = 0;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static struct key *key_make(const struct site *site, enum lap_impl_kind kind, const struct parts *parts, int is_size,
                            uint32_t index)
{
    struct key *const key = PyMem_RawCalloc(1, sizeof *key + parts->pattern_bytes + parts->format_bytes + 2);
    if (!key) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(key->texts, parts->pattern, parts->pattern_bytes + 1);
    memcpy(key->texts + parts->pattern_bytes + 1, parts->format, parts->format_bytes + 1);
    key->pattern_bytes = (uint32_t)parts->pattern_bytes;
    key->format_bytes = (uint32_t)parts->format_bytes;
    key->is_size = (uint32_t)is_size;
    key->index = index;
    key->parent_path = LAP_KEY_NO_PATH;
    key->c_site = (struct lap_impl_site){
        .state = &lap_impl_unregistered,
        .line = site->line,
        .label = key->texts + parts->pattern_bytes + 1,
        .file = site->file,
        .function = site->function,
        .types = parts->types,
        .kind = (uint8_t)kind,
        .flags = (uint8_t)((is_size ? LAP_IMPL_SITE_N : 0) | (parts->count > 0 ? LAP_IMPL_SITE_FOUND : 0)),
        .args = (uint8_t)parts->count};
    return key;
}

/* May these numbers be stored as a key's arguments? A whole number may be a real one's. */
static int key_fits(const struct key *key, const struct parts *parts, int is_size)
{
    if (key->pattern_bytes != parts->pattern_bytes || key->is_size != (uint32_t)is_size ||
        key->c_site.args != parts->count || memcmp(key->texts, parts->pattern, parts->pattern_bytes) != 0)
        return 0;
    for (unsigned i = 0; i < parts->count; i++)
        if (parts->numbers[i].is_real && (key->c_site.types >> (4 * i) & 15) != LAP_IMPL_TYPE_F64)
            return 0;
    return 1;
}

static struct key *key_find(const struct site *site, struct keys *keys, enum lap_impl_kind kind, struct parts *parts,
                            int is_size)
{
    if (!keys->keys) {
        keys->keys = PyMem_RawCalloc(LAP_KEYS_EACH + 1, sizeof *keys->keys);
        if (!keys->keys) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    for (uint32_t i = keys->count; i-- > 0;)
        if (key_fits(keys->keys[i], parts, is_size))
            return keys->keys[i];
    uint32_t index = keys->count;
    if (index == LAP_KEYS_EACH) {
        parts->count = 0;
        if (keys->keys[index])
            return keys->keys[index];
        take_apart(parts, "(other)", 7);
        is_size = 0;
    }
    keys->keys[index] = key_make(site, kind, parts, is_size, index);
    if (keys->keys[index] && index < LAP_KEYS_EACH)
        keys->count++;
    return keys->keys[index];
}

struct key *lap_key_get(struct site *site, enum lap_impl_kind kind, PyObject *label, const int64_t *n,
                        struct numbers *ret_numbers)
{
    struct keys *const keys = kind == LAP_IMPL_KIND_HANDLE_BEGIN ? &site->messages
                              : kind == LAP_IMPL_KIND_CALL       ? &site->calls
                                                                 : &site->labels;
    const unsigned cached = label ? lap_label_index(label) : 0;
    ret_numbers->count = 0;
    ret_numbers->is_exact = 1;
    if (label && !n && keys->cache[cached].label == label)
        return keys->cache[cached].key;
    PyObject *owned = NULL;
    Py_ssize_t bytes = 0;
    const char *const text = label ? lap_text_of(label, "backslashreplace", &bytes, &owned) : "";
    if (!text)
        return NULL;
    struct parts parts;
    take_apart(&parts, text, (size_t)bytes);
    if (kind == LAP_IMPL_KIND_CALL)
        numbers_leave_out(&parts);
    int is_exact = !owned && parts.pattern_bytes == (size_t)bytes && memcmp(parts.pattern, text, (size_t)bytes) == 0;
    Py_XDECREF(owned);
    struct key *const key = key_find(site, keys, kind, &parts, n != NULL);
    if (!key)
        return NULL;
    is_exact = is_exact && key->index < LAP_KEYS_EACH;
    ret_numbers->is_exact = is_exact;
    if (key->is_size && n)
        ret_numbers->words[ret_numbers->count++] = (uint64_t)*n;
    for (unsigned i = 0; i < key->c_site.args; i++) {
        uint64_t word = (uint64_t)parts.numbers[i].integer;
        if ((key->c_site.types >> (4 * i) & 15) == LAP_IMPL_TYPE_F64)
            memcpy(&word, &parts.numbers[i].real, sizeof word);
        ret_numbers->words[ret_numbers->count++] = word;
    }
    /* A text that nobody else holds is not met again as the same object. A key alone says what such a label is. */
    if (label && !n && is_exact && (Py_REFCNT(label) > 1 || PyUnicode_CHECK_INTERNED(label))) {
        Py_INCREF(label);
        Py_XSETREF(keys->cache[cached].label, label);
        keys->cache[cached].key = key;
    }
    return key;
}

/* ---- sites --------------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(PyObject *file, PyObject *function, uint32_t line)
{
    const uint64_t hash = (uint64_t)PyObject_Hash(file) * 31 + (uint64_t)PyObject_Hash(function) * 7 + line;
    return (uint32_t)((hash * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

/* The function's name, qualified. New reference. */
static PyObject *name_of(const lap_frame *frame)
{
    PyCodeObject *const code = lap_frame_code(frame);
#if PY_VERSION_HEX >= 0x030B0000
    return Py_NewRef(code->co_qualname);
#else
    /* Before 3.11 a code does not know its class: it is the one of a first argument called self or cls that has the code. */
    PyObject *first = code->co_argcount > 0 ? frame->f_localsplus[0] : NULL;
    PyObject *const argument = first ? PyTuple_GET_ITEM(code->co_varnames, 0) : NULL;
    const int is_self = argument && PyUnicode_CompareWithASCIIString(argument, "self") == 0;
    const int is_class = argument && PyUnicode_CompareWithASCIIString(argument, "cls") == 0 && PyType_Check(first);
    PyTypeObject *const type = is_self ? Py_TYPE(first) : is_class ? (PyTypeObject *)first : NULL;
    for (Py_ssize_t i = 0; type && type->tp_mro && i < PyTuple_GET_SIZE(type->tp_mro); i++) {
        PyTypeObject *const owner = (PyTypeObject *)PyTuple_GET_ITEM(type->tp_mro, i);
        PyObject *const method = owner->tp_dict ? PyDict_GetItem(owner->tp_dict, code->co_name) : NULL;
        PyObject *function = method ? PyObject_GetAttrString(method, "__func__") : NULL;
        PyErr_Clear();
        if (!function && method)
            function = Py_NewRef(method);
        const int is_it = function && PyFunction_Check(function) && PyFunction_GET_CODE(function) == (PyObject *)code;
        Py_XDECREF(function);
        PyObject *const qualified = is_it ? PyObject_GetAttrString((PyObject *)owner, "__qualname__") : NULL;
        PyObject *const name = qualified ? PyUnicode_FromFormat("%U.%U", qualified, code->co_name) : NULL;
        Py_XDECREF(qualified);
        if (name)
            return name;
        PyErr_Clear();
    }
    return Py_NewRef(code->co_name);
#endif
}

static struct site *site_get(PyCodeObject *code, PyObject *function, uint32_t line)
{
    const uint32_t hash = hash_of(code->co_filename, function, line);
    struct site **const bucket = &buckets[hash & (BUCKETS - 1)];
    for (struct site *site = *bucket; site; site = site->next)
        if (site->hash == hash && site->line == line && PyUnicode_CompareWithASCIIString(function, site->function) == 0 &&
            PyUnicode_CompareWithASCIIString(code->co_filename, site->file) == 0)
            return site;
    /* The comparison above is of text that is plain ASCII; other names have a slower one. */
    char *const function_text = text_copy(function), *const file_text = text_copy(code->co_filename);
    struct site *found = NULL;
    for (struct site *site = *bucket; site && function_text && file_text && !found; site = site->next)
        if (site->hash == hash && site->line == line && strcmp(site->function, function_text) == 0 &&
            strcmp(site->file, file_text) == 0)
            found = site;
    if (!found && function_text && file_text && site_count >= LAP_SITES)
        found = &other_site;
    struct site *const site = function_text && file_text && !found ? PyMem_RawCalloc(1, sizeof *site) : NULL;
    if (!site) {
        PyMem_RawFree(function_text);
        PyMem_RawFree(file_text);
        if (!found && !PyErr_Occurred())
            PyErr_NoMemory();
        return found;
    }
    *site = (struct site){.next = *bucket, .file = file_text, .function = function_text, .line = line, .hash = hash};
    *bucket = site;
    site_count++;
    return site;
}

struct site *lap_site_of_frame(const lap_frame *frame)
{
    PyCodeObject *const code = lap_frame_code(frame);
    const void *const instruction = lap_frame_instruction(frame);
    const unsigned index =
        (unsigned)(((uintptr_t)code >> 5 ^ (uintptr_t)instruction >> 1) * 0x9E3779B1u >> 8) & (FRAMES - 1);
    if (frames[index].code == code && frames[index].instruction == instruction)
        return frames[index].site;
    const int line = lap_frame_line(frame);
    PyObject *const function = name_of(frame);
    struct site *const site = function ? site_get(code, function, line > 0 ? (uint32_t)line : 0) : NULL;
    Py_XDECREF(function);
    if (!site)
        return NULL;
    PyCodeObject *const old = frames[index].code;
    frames[index].code = (PyCodeObject *)Py_NewRef((PyObject *)code);
    frames[index].instruction = instruction;
    frames[index].site = site;
    Py_XDECREF((PyObject *)old); /* whoever watches it may make profilers */
    return site;
}

struct site *lap_site_of_code(PyCodeObject *code, PyObject *name)
{
    return site_get(code, name, (uint32_t)code->co_firstlineno);
}

PyObject *lap_site_name(const lap_frame *frame) { return name_of(frame); }
