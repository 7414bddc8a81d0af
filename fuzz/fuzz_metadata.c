/* SPDX-License-Identifier: MIT
 *
 * The reader of metadata: a file as it is, or (first byte 'T') text that is put into a sound packet behind an env block.
 */
#include "catalog.h"
#include "decode.h"
#include "fuzz_place.h"
#include "label.h"
#include "lapmark/abi.h"
#include "lapmark/format.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 37u

static void class_check(const struct lap_catalog *catalog, uint32_t id)
{
    const struct lap_class *const class = &catalog->classes[id];
    const struct lap_description *const description = lap_catalog_description(catalog, id);
    const uint32_t least = lap_class_fixed_words((enum lap_class_kind) class->kind);
    char text[LAP_LABEL_BYTES];
    fuzz_expect(class->kind <= LAP_CLASS_LINK && class->args <= LAP_IMPL_ARGS_MAX, "a class that cannot be");
    fuzz_expect(class->words == 0 || class->words >= least, "a class that is shorter than its kind");
    fuzz_expect(class->description < catalog->description_count, "a description that is not there");
    fuzz_expect(strlen(lap_catalog_name(catalog, id)) < SIZE_MAX && strlen(description->file) < SIZE_MAX &&
                    strlen(description->function) < SIZE_MAX,
                "a text without an end");
    if (class->kind != LAP_CLASS_NONE && !(class->flags & LAP_CLASS_TEXT) && class->kind != LAP_CLASS_OPEN)
        lap_label_pattern(text, sizeof text, description, class, NULL);
}

static void parse(const void *bytes, size_t count)
{
    struct lap_catalog catalog;
    struct lap_reader_error error = {0};
    int is_partial;
    const int code = lap_catalog_parse(&catalog, bytes, count, "metadata", &is_partial, &error);
    fuzz_expect(code <= 0, "a code that is no error");
    if (code < 0 || is_partial)
        fuzz_expect(error.code < 0 && error.text && (error.offset <= count || error.offset == UINT64_MAX),
                    "an error without a place in the file");
    if (code < 0)
        return;
    for (uint32_t id = 0; id < catalog.class_count; id++)
        class_check(&catalog, id);
    fuzz_expect(strlen(catalog.host) + strlen(catalog.program) + strlen(catalog.command) < SIZE_MAX,
                "a text without an end");
    lap_catalog_done(&catalog);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char env[] = "env { tracer_name = \"lapmark\"; }; ";
    if (count == 0 || bytes[0] != 'T') {
        parse(bytes, count);
        return 0;
    }
    const uint32_t magic = LAP_FORMAT_METADATA_MAGIC, size = (uint32_t)(HEADER_BYTES + sizeof env - 1 + count - 1);
    const uint32_t bits = size * 8;
    unsigned char *const packet = calloc(1, size);
    if (!packet)
        return 0;
    memcpy(packet, &magic, 4);
    memcpy(packet + 24, &bits, 4);
    memcpy(packet + 28, &bits, 4);
    packet[35] = 1;
    packet[36] = 8;
    memcpy(packet + HEADER_BYTES, env, sizeof env - 1);
    memcpy(packet + HEADER_BYTES + sizeof env - 1, bytes + 1, count - 1);
    parse(packet, size);
    free(packet);
    return 0;
}
