/* SPDX-License-Identifier: MIT
 *
 * The catalog of event classes, from metadata that is right, damaged, cut or another tool's.
 */
#include "catalog.h"
#include "lapmark/abi.h"
#include "synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER_BYTES 37u
#define ENV "env { tracer_name = \"lapmark\"; };\n"

/* Metadata of one packet with this text; the packet is `packet_bytes` long, 0: as long as its content. */
static unsigned char *packet_make(const char *text, size_t packet_bytes, size_t *ret_bytes)
{
    const size_t content = HEADER_BYTES + strlen(text), packet = packet_bytes ? packet_bytes : content;
    unsigned char *const bytes = calloc(1, packet);
    assert_non_null(bytes);
    const uint32_t magic = LAP_FORMAT_METADATA_MAGIC, content_bits = (uint32_t)content * 8,
                   packet_bits = (uint32_t)packet * 8;
    memcpy(bytes, &magic, 4);
    memcpy(bytes + 24, &content_bits, 4);
    memcpy(bytes + 28, &packet_bits, 4);
    bytes[35] = 1;
    bytes[36] = 8;
    memcpy(bytes + HEADER_BYTES, text, strlen(text));
    *ret_bytes = packet;
    return bytes;
}

static int parse(const char *text, struct lap_catalog *catalog, int *ret_partial, struct lap_reader_error *error)
{
    size_t bytes;
    unsigned char *const packet = packet_make(text, 0, &bytes);
    const int code = lap_catalog_parse(catalog, packet, bytes, "metadata", ret_partial, error);
    free(packet);
    return code;
}

/* What the recorder writes, through its own kinds, flags and types. */
static void test_reads_classes(void **state)
{
    (void)state;
    struct lap_catalog catalog;
    int partial;
    assert_int_equal(parse("/* CTF 1.8 */\ntypealias integer { size = 8; } := uint8_t;\n"
                           "trace { major = 1; packet.header := struct { uint32_t magic; }; };\n"
                           "env { tracer_name = \"lapmark\"; hostname = \"h\\\"o\\\\st\"; pid = 42; program = \"p\"; "
                           "command = \"a\\tb\\n\"; };\n"
                           "clock { name = tsc; freq = 2100000000          ; offset_s = 7; offset = 8; };\n"
                           "event { name = \"lapmark:end\"; id = 1; stream_id = 0; model.emf.uri = \"lapmark:end\"; "
                           "fields := struct { }; };\n"
                           "event { name = \"caf\303\251 %d \\x41\\101\"; id = 17; stream_id = 0; model.emf.uri = "
                           "\"lapmark:mark?flags=1&types=iufsp&line=12&function=a%20b&file=src/x.c\"; fields := struct { "
                           "int64_t n; }; };\n"
                           "event { name = \"(checkpoint)\"; id = 19; stream_id = 0; model.emf.uri = "
                           "\"lapmark:mark?flags=4&types=\"; };\n"
                           "event { name = \"made\"; id = 20; stream_id = 0; model.emf.uri = "
                           "\"lapmark:begin_with?flags=16&types=iu&new=1\"; };\n",
                           &catalog, &partial, NULL),
                     0);
    assert_int_equal(partial, 0);
    assert_int_equal(catalog.class_count, 21);
    assert_string_equal(catalog.host, "h\"o\\st");
    assert_string_equal(catalog.command, "a\tb\n");
    assert_int_equal(catalog.pid, 42);
    assert_int_equal(catalog.clock_hz, 2100000000);
    assert_int_equal(catalog.clock_offset_s, 7);
    assert_int_equal(catalog.clock_offset_ticks, 8);

    assert_int_equal(catalog.classes[LAP_FORMAT_END].kind, LAP_CLASS_END);
    assert_int_equal(catalog.classes[18].kind, LAP_CLASS_NONE);
    const struct lap_class *const mark = &catalog.classes[17];
    const struct lap_description *const description = lap_catalog_description(&catalog, 17);
    assert_int_equal(mark->kind, LAP_CLASS_MARK);
    assert_int_equal(mark->words, 0); /* a string among its arguments */
    assert_int_equal(mark->args, 5);
    assert_int_equal(mark->flags, LAP_CLASS_N);
    assert_string_equal(description->label, "caf\303\251 %d AA");
    assert_string_equal(description->function, "a b");
    assert_string_equal(description->file, "src/x.c");
    assert_int_equal(description->line, 12);
    assert_int_equal(description->types, LAP_IMPL_TYPE_I64 | LAP_IMPL_TYPE_U64 << 4 | LAP_IMPL_TYPE_F64 << 8 |
                                             LAP_IMPL_TYPE_STRING << 12 | LAP_IMPL_TYPE_POINTER << 16);

    assert_string_equal(lap_catalog_name(&catalog, 19), "(checkpoint)");
    assert_string_equal(lap_catalog_description(&catalog, 19)->label, "");
    assert_int_equal(catalog.classes[19].words, 1);
    assert_int_equal(catalog.classes[20].words, 1 + 4 + 2);
    assert_int_equal(lap_catalog_description(&catalog, 20)->is_text, 1);
    assert_string_equal(lap_catalog_name(&catalog, 0), "(rest)");
    assert_string_equal(lap_catalog_name(&catalog, 1), "lapmark:end");
    assert_string_equal(lap_catalog_name(&catalog, 18), "(unknown)");
    assert_string_equal(lap_catalog_name(&catalog, 4000000), "(unknown)");
    assert_string_equal(lap_catalog_description(&catalog, 4000000)->label, "");
    lap_catalog_done(&catalog);
}

static void test_refuses_what_is_not_ours(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
        size_t offset; /* in the text */
    } cases[] = {
        {"", "written by another tracer", 0},
        {"env { tracer_name = \"lttng-ust\"; };\nevent { name = \"a\"; id = 1; };\n", "written by another tracer", 36},
        {"trace { major = 1; };\nevent { id = 0; };", "written by another tracer", 22},
        {"12", "not metadata that Lapmark wrote", 0},
        {"env { tracer_name = ", "statement without an end", 20},
        {"/* never", "comment without an end", 0},
        {"env { a = \"x", "string without an end", 10},
        {"env { a = 99999999999999999999; };", "number that is too large", 29},
        {"trace {", "block without an end", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lap_catalog catalog;
        struct lap_reader_error error = {0};
        int partial;
        assert_int_equal(parse(cases[i].text, &catalog, &partial, &error), LAP_READER_METADATA);
        assert_string_equal(error.text, cases[i].error);
        assert_int_equal(error.offset, HEADER_BYTES + cases[i].offset);
        assert_string_equal(error.file, "metadata");
    }
}

/* Damage behind the first classes: those are kept, and the place is told. */
static void test_keeps_what_comes_before_damage(void **state)
{
    (void)state;
    static const char good[] = ENV "event { name = \"a\"; id = 16; model.emf.uri = \"lapmark:mark?flags=0&types=\"; };\n";
    static const struct {
        const char *text, *error;
        size_t offset;
    } cases[] = {
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:spell?flags=0\"; };",
         "event of a kind that is not known", 45},
        {"event { name = \"b\"; id = 16; model.emf.uri = \"lapmark:mark\"; };", "event with an id that another has", 0},
        {"event { name = \"b\"; id = 1048576; model.emf.uri = \"lapmark:mark\"; };",
         "event without a name, or with an id that cannot be", 0},
        {"event { id = 17; model.emf.uri = \"lapmark:mark\"; };", "event without a name, or with an id that cannot be",
         0},
        {"event { name = \"b\"; id = 17; stream_id = 1; model.emf.uri = \"lapmark:mark\"; };",
         "event without a name, or with an id that cannot be", 0},
        {"event { name = \"b\"; id = 17; };", "event that Lapmark did not write", 0},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"http://x\"; };", "event that Lapmark did not write", 0},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:end\"; };", "event whose id is not that of its kind",
         0},
        {"event { name = \"b\"; id = 7; model.emf.uri = \"lapmark:mark\"; };", "event whose id is not that of its kind",
         0},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:mark?types=x\"; };",
         "event with damaged argument types", 45},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:mark?types=iiiiiiiiiiiii\"; };",
         "event with damaged argument types", 45},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:mark?flags=x\"; };", "event with damaged flags", 45},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:mark?line=4294967296\"; };",
         "event with a damaged line number", 45},
        {"event { name = \"b\"; id = 17; model.emf.uri = \"lapmark:mark?file=%0g\"; };", "event with a damaged uri", 45},
        {"event { name = \"b\\q\"; id = 17; };", "string with a byte or an escape that cannot be in it", 18},
        {"event { name = \"b\"; id = 17", "statement without an end", 27},
        {"event \001", "byte that cannot be in it", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lap_catalog catalog;
        struct lap_reader_error error = {0};
        int partial;
        char text[1024];
        snprintf(text, sizeof text, "%s%s", good, cases[i].text);
        assert_int_equal(parse(text, &catalog, &partial, &error), 0);
        assert_int_equal(partial, 1);
        assert_string_equal(error.text, cases[i].error);
        assert_int_equal(error.offset, HEADER_BYTES + strlen(good) + cases[i].offset);
        assert_int_equal(catalog.class_count, 17);
        assert_string_equal(lap_catalog_name(&catalog, 16), "a");
        lap_catalog_done(&catalog);
    }
}

static void test_refuses_damaged_packets(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        unsigned char byte;
        int code;
    } cases[] = {{0, 0, LAP_READER_METADATA}, {35, 2, LAP_READER_VERSION},  {36, 7, LAP_READER_VERSION},
                 {32, 1, LAP_READER_VERSION}, {24, 7, LAP_READER_METADATA}, {27, 0x40, LAP_READER_METADATA},
                 {28, 0, LAP_READER_METADATA}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes;
        unsigned char *const packet = packet_make(ENV, 0, &bytes);
        struct lap_catalog catalog;
        int partial;
        packet[cases[i].offset] = cases[i].byte;
        if (cases[i].offset == 24 || cases[i].offset == 28) /* sizes that are too small */
            packet[cases[i].offset + 1] = packet[cases[i].offset + 2] = 0;
        assert_int_equal(lap_catalog_parse(&catalog, packet, bytes, "metadata", &partial, NULL), cases[i].code);
        free(packet);
    }
}

/* Text goes on in a second packet; what lies behind the last one's content is nobody's. */
static void test_joins_packets(void **state)
{
    (void)state;
    size_t first_bytes, second_bytes;
    unsigned char *const first =
        packet_make(ENV "event { name = \"a\"; id = 16; model.emf.uri = \"lap", 1024, &first_bytes);
    unsigned char *const second = packet_make("mark:begin\"; };\nevent { oh", 512, &second_bytes);
    unsigned char *const both = calloc(1, first_bytes + second_bytes + 300);
    memcpy(both, first, first_bytes);
    memcpy(both + first_bytes, second, second_bytes);
    struct lap_catalog catalog;
    struct lap_reader_error error;
    int partial;
    assert_int_equal(lap_catalog_parse(&catalog, both, first_bytes + second_bytes + 300, "m", &partial, &error), 0);
    assert_int_equal(catalog.classes[16].kind, LAP_CLASS_BEGIN);
    assert_int_equal(partial, 1);
    assert_int_equal(error.offset, 1024 + HEADER_BYTES + strlen("mark:begin\"; };\nevent { oh"));
    lap_catalog_done(&catalog);
    free(first);
    free(second);
    free(both);
}

static unsigned char *example_metadata(size_t *ret_bytes)
{
    char *const directory = synthetic_directory();
    char path[600];
    synthetic_example(directory, "p-1-a", 1, 65536, 4, 1);
    snprintf(path, sizeof path, "%s/p-1-a/metadata", directory);
    char *const bytes = synthetic_read(path, ret_bytes);
    synthetic_remove(directory);
    free(directory);
    return (unsigned char *)bytes;
}

/* Cut at every length: an error or fewer classes, and no byte read behind the end. */
static void test_survives_any_length(void **state)
{
    (void)state;
    size_t bytes;
    unsigned char *const whole = example_metadata(&bytes);
    uint32_t content_bits;
    memcpy(&content_bits, whole + 24, 4);
    const size_t content = content_bits / 8;
    uint32_t classes = 0;
    for (size_t length = 0; length <= content; length++) {
        unsigned char *const cut = malloc(length + 1);
        memcpy(cut, whole, length);
        const uint32_t bits = (uint32_t)length * 8;
        if (length >= HEADER_BYTES)
            memcpy(cut + 24, &bits, 4);
        struct lap_catalog catalog;
        struct lap_reader_error error = {0};
        int partial;
        const int code = lap_catalog_parse(&catalog, cut, length, "m", &partial, &error);
        if (code == 0) {
            assert_true(catalog.class_count >= classes);
            classes = catalog.class_count;
            if (partial)
                assert_true(error.offset <= length);
            lap_catalog_done(&catalog);
        }
        free(cut);
    }
    assert_int_equal(classes, SYNTHETIC_RECEIVED + 1);
    free(whole);
}

static void test_survives_any_byte(void **state)
{
    (void)state;
    size_t bytes;
    unsigned char *const whole = example_metadata(&bytes);
    uint32_t content_bits;
    memcpy(&content_bits, whole + 24, 4);
    static const unsigned char others[] = {0, '"', '{', '}', ';', 0xff, '9'};
    for (size_t at = 0; at < content_bits / 8; at++) {
        const unsigned char byte = whole[at];
        for (size_t i = 0; i < sizeof others; i++) {
            struct lap_catalog catalog;
            int partial;
            whole[at] = others[i];
            if (lap_catalog_parse(&catalog, whole, content_bits / 8, "m", &partial, NULL) == 0)
                lap_catalog_done(&catalog);
        }
        whole[at] = byte;
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_classes),
        cmocka_unit_test(test_refuses_what_is_not_ours),
        cmocka_unit_test(test_keeps_what_comes_before_damage),
        cmocka_unit_test(test_refuses_damaged_packets),
        cmocka_unit_test(test_joins_packets),
        cmocka_unit_test(test_survives_any_length),
        cmocka_unit_test(test_survives_any_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
