/* SPDX-License-Identifier: MIT */
#include "label.h"

#include "decode.h"
#include "lapmark/abi.h"
#include "lapmark/format.h"

#include <stdio.h>
#include <string.h>

/* What snprintf is asked for at most: more than LAP_LABEL_BYTES, and little enough for it to need no memory. */
#define WIDTH_MAX 600
#define NUMBER_BYTES 1024

/* ---- the text being made ----------------------------------------------------------------------------------------- */

struct sink {
    char *out;
    size_t room; /* without the 0 */
    size_t bytes;
    size_t border; /* the last place where "…" fits behind what is written */
    int is_full;
};
static const char ellipsis[] = "…";
#define ELLIPSIS_BYTES (sizeof ellipsis - 1)

static struct sink sink_make(char *out, size_t out_bytes)
{
    return out_bytes == 0 ? (struct sink){.is_full = 1} : (struct sink){.out = out, .room = out_bytes - 1};
}

static size_t sink_finish(struct sink *sink)
{
    if (sink->out)
        sink->out[sink->bytes] = 0;
    return sink->bytes;
}

/* One character or one escape: whole or not at all. */
static void sink_put(struct sink *sink, const char *text, size_t bytes)
{
    if (sink->is_full)
        return;
    if (bytes <= sink->room - sink->bytes) {
        memcpy(sink->out + sink->bytes, text, bytes);
        sink->bytes += bytes;
        if (sink->bytes + ELLIPSIS_BYTES <= sink->room)
            sink->border = sink->bytes;
        return;
    }
    sink->is_full = 1;
    if (sink->room >= ELLIPSIS_BYTES) {
        memcpy(sink->out + sink->border, ellipsis, ELLIPSIS_BYTES);
        sink->bytes = sink->border + ELLIPSIS_BYTES;
    }
}

static void sink_fill(struct sink *sink, char c, size_t count)
{
    for (; count > 0 && !sink->is_full; count--)
        sink_put(sink, &c, 1);
}

static int is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/* The bytes of the UTF-8 character at `text`, 0 if it is none. */
static size_t utf8_bytes(const unsigned char *text, size_t bytes, uint32_t *ret_point)
{
    const unsigned char first = text[0];
    if (first < 0x80)
        return *ret_point = first, 1;
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || length > bytes)
        return 0;
    uint32_t point = first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (!is_continuation(text[i]))
            return 0;
        point = point << 6 | (text[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return 0;
    *ret_point = point;
    return length;
}

/* Would it move the cursor, start a line or change the direction of what follows? */
static int is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x61C || point == 0x200E || point == 0x200F ||
           (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

static void sink_escape(struct sink *sink, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    switch (byte) {
    case '\n': sink_put(sink, "\\n", 2); break;
    case '\t': sink_put(sink, "\\t", 2); break;
    case '\r': sink_put(sink, "\\r", 2); break;
    default: sink_put(sink, (const char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
    }
}

/* How many it begins with that are ASCII and no control characters. */
static size_t plain_bytes(const unsigned char *text, size_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    size_t count = 0;
    for (uint64_t word; bytes - count >= sizeof word; count += sizeof word) {
        memcpy(&word, text + count, sizeof word);
        if ((word | (word + ones) | (word - ones * 0x20)) & tops)
            break;
    }
    while (count < bytes && text[count] >= 0x20 && text[count] < 0x7F)
        count++;
    return count;
}

/* What is plain goes at once, as far as "…" fits behind it. */
static void sink_text(struct sink *sink, const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    while (bytes > 0 && !sink->is_full) {
        const size_t left = sink->room - sink->bytes, most = left > ELLIPSIS_BYTES ? left - ELLIPSIS_BYTES : 0;
        const size_t plain = plain_bytes(at, bytes < most ? bytes : most);
        if (plain > 0) {
            sink_put(sink, (const char *)at, plain);
            at += plain;
            bytes -= plain;
            continue;
        }
        uint32_t point = 0;
        size_t length = utf8_bytes(at, bytes, &point);
        if (length != 0 && !is_control(point)) {
            sink_put(sink, (const char *)at, length);
        } else {
            length = length == 0 ? 1 : length;
            for (size_t i = 0; i < length; i++)
                sink_escape(sink, at[i]);
        }
        at += length;
        bytes -= length;
    }
}

static void sink_string(struct sink *sink, const char *text) { sink_text(sink, text, strlen(text)); }

/* ---- the arguments of an event ----------------------------------------------------------------------------------- */

struct argument {
    unsigned type; /* enum lap_impl_type; NONE: the event does not have it */
    uint64_t word;
    const char *text;
    size_t text_bytes;
};

struct arguments {
    struct argument at[LAP_IMPL_ARGS_MAX];
    unsigned count;
    unsigned next;
    struct argument label; /* stored with the event; NONE: it is not */
};

/* The strings lie behind the numbers, each with its 0; `*text` moves behind the one that is taken. */
static struct argument string_take(const char **text, const char *end)
{
    const char *const start = *text;
    const char *const zero = start < end ? memchr(start, 0, (size_t)(end - start)) : NULL;
    if (!zero)
        return (struct argument){.type = LAP_IMPL_TYPE_NONE};
    *text = zero + 1;
    return (struct argument){.type = LAP_IMPL_TYPE_STRING, .text = start, .text_bytes = (size_t)(zero - start)};
}

static void arguments_read(struct arguments *arguments, uint64_t types, const struct lap_class *class,
                           const uint64_t *words)
{
    arguments->count = class->args < LAP_IMPL_ARGS_MAX ? class->args : LAP_IMPL_ARGS_MAX;
    arguments->next = 0;
    arguments->label = (struct argument){.type = LAP_IMPL_TYPE_NONE};
    for (unsigned i = 0; i < arguments->count; i++)
        arguments->at[i].type = LAP_IMPL_TYPE_NONE;
    if (!words)
        return;
    const uint64_t size_bytes = lap_event_size_bytes(words, class);
    const uint64_t *const end =
        words + (size_bytes < LAP_FORMAT_EVENT_BYTES_MAX ? size_bytes : LAP_FORMAT_EVENT_BYTES_MAX) / 8;
    const uint64_t *value = lap_event_values(words, class) + ((class->flags & LAP_CLASS_N) != 0);
    for (unsigned i = 0; i < arguments->count; i++) {
        const unsigned type = (unsigned)(types >> 4 * i) & 15;
        if (type == LAP_IMPL_TYPE_STRING || type == LAP_IMPL_TYPE_NONE || type > LAP_IMPL_TYPE_POINTER)
            continue;
        if (value < end)
            arguments->at[i] = (struct argument){.type = type, .word = *value};
        value++;
    }
    const char *text = (const char *)value;
    for (unsigned i = 0; i < arguments->count; i++)
        if (((types >> 4 * i) & 15) == LAP_IMPL_TYPE_STRING)
            arguments->at[i] = string_take(&text, (const char *)end);
    if (class->flags & LAP_CLASS_TEXT)
        arguments->label = string_take(&text, (const char *)end);
}

static const struct argument *arguments_take(struct arguments *arguments, unsigned position)
{
    const unsigned index = position != 0 ? position - 1 : arguments->next++;
    if (index >= arguments->count || arguments->at[index].type == LAP_IMPL_TYPE_NONE)
        return NULL;
    return &arguments->at[index];
}

static double argument_double(const struct argument *argument)
{
    double value;
    memcpy(&value, &argument->word, sizeof value);
    return value;
}

/* ---- one conversion ---------------------------------------------------------------------------------------------- */

enum modifier { MODIFIER_INT, MODIFIER_CHAR, MODIFIER_SHORT, MODIFIER_LONG };

struct conversion {
    const char *source; /* "%...d" */
    size_t source_bytes;
    unsigned position; /* of "%2$d", from 1; 0: the next */
    char flags[6];
    int width;     /* -1: none */
    int precision; /* -1: none */
    enum modifier modifier;
    char letter; /* 0: no conversion */
};

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *number_read(const char *text, int *ret_number)
{
    int number = 0;
    for (; is_digit(*text); text++)
        number = number < WIDTH_MAX ? number * 10 + (*text - '0') : number;
    *ret_number = number;
    return text;
}

/* A width or precision: digits, or * for an integer argument (`arguments` NULL: not looked at). */
static const char *width_read(const char *text, struct arguments *arguments, int *ret_width)
{
    if (*text != '*')
        return number_read(text, ret_width);
    int position;
    const char *after = number_read(text + 1, &position);
    if (*after == '$') {
        after++;
    } else {
        position = 0;
        after = text + 1;
    }
    const struct argument *const argument = arguments ? arguments_take(arguments, (unsigned)position) : NULL;
    const int is_integer = argument && (argument->type == LAP_IMPL_TYPE_I64 || argument->type == LAP_IMPL_TYPE_U64);
    const int64_t value = is_integer ? (int64_t)argument->word : 0;
    *ret_width = value > WIDTH_MAX ? WIDTH_MAX : value < -WIDTH_MAX ? -WIDTH_MAX : (int)value;
    return after;
}

static void conversion_add_flag(struct conversion *conversion, char flag)
{
    const size_t count = strlen(conversion->flags);
    if (count + 1 < sizeof conversion->flags && !strchr(conversion->flags, flag))
        conversion->flags[count] = flag;
}

/* Reads the conversion at `format`, a '%'. */
static struct conversion conversion_read(const char *format, struct arguments *arguments)
{
    struct conversion conversion = {.source = format, .width = -1, .precision = -1};
    const char *at = format + 1;
    int position;
    const char *const after = number_read(at, &position);
    if (*after == '$' && position > 0) {
        conversion.position = (unsigned)position;
        at = after + 1;
    }
    /* The grouping flag is dropped: it depends on the locale. */
    for (; *at != 0 && strchr("-+ #0'I", *at); at++)
        if (*at != '\'' && *at != 'I')
            conversion_add_flag(&conversion, *at);
    if (*at == '*' || is_digit(*at))
        at = width_read(at, arguments, &conversion.width);
    if (conversion.width < -1) {
        conversion_add_flag(&conversion, '-');
        conversion.width = -conversion.width;
    }
    if (*at == '.') {
        at = width_read(at + 1, arguments, &conversion.precision);
        if (conversion.precision < 0)
            conversion.precision = -1;
    }
    for (; *at != 0 && strchr("hlqjzZtL", *at); at++) {
        if (*at != 'h')
            conversion.modifier = MODIFIER_LONG;
        else
            conversion.modifier = conversion.modifier == MODIFIER_SHORT ? MODIFIER_CHAR : MODIFIER_SHORT;
    }
    if (*at != 0 && strchr("diouxXbBcCsSpfFeEgGaA%", *at))
        conversion.letter = *at;
    if (conversion.letter == 'C' || conversion.letter == 'S') {
        conversion.modifier = MODIFIER_LONG;
        conversion.letter = (char)(conversion.letter - 'A' + 'a');
    }
    conversion.source_bytes = (size_t)(at - format) + (*at != 0);
    return conversion;
}

/* The format for snprintf: what was read, with one length for all integers. */
static const char *conversion_spec(const struct conversion *conversion, const char *length, char letter, char *out,
                                   size_t out_bytes)
{
    char width[16] = "", precision[16] = "";
    if (conversion->width >= 0)
        snprintf(width, sizeof width, "%d", conversion->width < WIDTH_MAX ? conversion->width : WIDTH_MAX);
    if (conversion->precision >= 0)
        snprintf(precision, sizeof precision, ".%d",
                 conversion->precision < WIDTH_MAX ? conversion->precision : WIDTH_MAX);
    snprintf(out, out_bytes, "%%%s%s%s%s%c", conversion->flags, width, precision, length, letter);
    return out;
}

static uint64_t integer_cut(uint64_t word, enum modifier modifier, int is_signed)
{
    switch (modifier) {
    case MODIFIER_CHAR: return is_signed ? (uint64_t)(int64_t)(int8_t)word : (uint8_t)word;
    case MODIFIER_SHORT: return is_signed ? (uint64_t)(int64_t)(int16_t)word : (uint16_t)word;
    case MODIFIER_INT: return is_signed ? (uint64_t)(int64_t)(int32_t)word : (uint32_t)word;
    default: return word;
    }
}

static void put_decimal(struct sink *sink, uint64_t word, int is_signed)
{
    char text[24], *at = text + sizeof text;
    const int is_negative = is_signed && (int64_t)word < 0;
    word = is_negative ? -word : word;
    do
        *--at = (char)('0' + word % 10);
    while ((word /= 10) != 0);
    if (is_negative)
        *--at = '-';
    sink_text(sink, at, (size_t)(text + sizeof text - at));
}

static void put_integer(struct sink *sink, const struct conversion *conversion, uint64_t word, char letter)
{
    char spec[64], text[NUMBER_BYTES];
    const int is_plain = conversion->flags[0] == 0 && conversion->width < 0 && conversion->precision < 0;
    if (is_plain && (letter == 'd' || letter == 'i' || letter == 'u')) {
        put_decimal(sink, word, letter != 'u');
        return;
    }
    conversion_spec(conversion, "ll", letter, spec, sizeof spec);
    snprintf(text, sizeof text, spec, (unsigned long long)word);
    sink_string(sink, text);
}

/* The locale's decimal point, whatever it is, becomes a point: the same text in the host and in the command. */
static void put_double(struct sink *sink, const struct conversion *conversion, double value, char letter)
{
    char spec[64], text[NUMBER_BYTES];
    conversion_spec(conversion, "", letter, spec, sizeof spec);
    snprintf(text, sizeof text, spec, value);
    for (const char *at = text; *at != 0;) {
        const size_t plain = strspn(at, "0123456789abcdefxpnityABCDEFXPNITY+- .");
        sink_text(sink, at, plain);
        at += plain;
        const size_t point = strcspn(at, "0123456789abcdefxpnityABCDEFXPNITY+- .");
        if (point > 0)
            sink_put(sink, ".", 1);
        at += point;
    }
}

static void put_padded(struct sink *sink, const struct conversion *conversion, const char *text, size_t bytes)
{
    const size_t width = conversion->width > 0 ? (size_t)conversion->width : 0;
    const size_t padding = width > bytes ? width - bytes : 0;
    const int is_left = padding > 0 && strchr(conversion->flags, '-') != NULL;
    sink_fill(sink, ' ', is_left ? 0 : padding);
    sink_text(sink, text, bytes);
    sink_fill(sink, ' ', is_left ? padding : 0);
}

static void put_string(struct sink *sink, const struct conversion *conversion, const char *text, size_t bytes)
{
    if (conversion->precision >= 0 && (size_t)conversion->precision < bytes) {
        bytes = (size_t)conversion->precision;
        for (unsigned back = 0; back < 3 && bytes > 0 && is_continuation((unsigned char)text[bytes]); back++)
            bytes--;
    }
    put_padded(sink, conversion, text, bytes);
}

static void put_character(struct sink *sink, const struct conversion *conversion, uint64_t word)
{
    char text[4];
    size_t bytes = 1;
    const uint32_t point = (uint32_t)word;
    if (conversion->modifier == MODIFIER_LONG && point >= 0x80 && point <= 0x10FFFF) {
        bytes = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        uint32_t rest = point;
        for (size_t i = bytes - 1; i > 0; i--, rest >>= 6)
            text[i] = (char)(0x80 | (rest & 0x3F));
        text[0] = (char)((0xF00u >> bytes) | rest);
    } else {
        text[0] = (char)point;
    }
    put_padded(sink, conversion, text, bytes);
}

static void put_pointer(struct sink *sink, const struct conversion *conversion, uint64_t word)
{
    struct conversion plain = *conversion;
    plain.precision = -1;
    if (word == 0) {
        put_padded(sink, &plain, "(nil)", 5);
        return;
    }
    conversion_add_flag(&plain, '#');
    put_integer(sink, &plain, word, 'x');
}

/* An argument that is not what its conversion says, as what it is. */
static void put_as_is(struct sink *sink, const struct conversion *conversion, const struct argument *argument)
{
    struct conversion plain = *conversion;
    plain.precision = -1;
    switch (argument->type) {
    case LAP_IMPL_TYPE_I64: put_integer(sink, &plain, argument->word, 'd'); break;
    case LAP_IMPL_TYPE_U64: put_integer(sink, &plain, argument->word, 'u'); break;
    case LAP_IMPL_TYPE_F64: put_double(sink, &plain, argument_double(argument), 'g'); break;
    case LAP_IMPL_TYPE_POINTER: put_pointer(sink, &plain, argument->word); break;
    default: put_string(sink, &plain, argument->text, argument->text_bytes);
    }
}

static void put_conversion(struct sink *sink, const struct conversion *conversion, const struct argument *argument)
{
    const int is_integer = argument->type == LAP_IMPL_TYPE_I64 || argument->type == LAP_IMPL_TYPE_U64;
    const int is_pointer = argument->type == LAP_IMPL_TYPE_POINTER;
    switch (conversion->letter) {
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X':
    case 'b':
    case 'B': {
        const int is_signed = conversion->letter == 'd' || conversion->letter == 'i';
        if (is_integer || is_pointer)
            put_integer(sink, conversion,
                        integer_cut(argument->word, is_pointer ? MODIFIER_LONG : conversion->modifier, is_signed),
                        conversion->letter);
        else
            put_as_is(sink, conversion, argument);
        break;
    }
    case 'c':
        if (is_integer)
            put_character(sink, conversion, argument->word);
        else
            put_as_is(sink, conversion, argument);
        break;
    case 's':
        if (argument->type == LAP_IMPL_TYPE_STRING)
            put_string(sink, conversion, argument->text, argument->text_bytes);
        else
            put_as_is(sink, conversion, argument);
        break;
    case 'p':
        if (is_integer || is_pointer)
            put_pointer(sink, conversion, argument->word);
        else
            put_as_is(sink, conversion, argument);
        break;
    default:
        if (argument->type == LAP_IMPL_TYPE_F64)
            put_double(sink, conversion, argument_double(argument), conversion->letter);
        else if (is_integer)
            put_double(sink, conversion,
                       argument->type == LAP_IMPL_TYPE_I64 ? (double)(int64_t)argument->word : (double)argument->word,
                       conversion->letter);
        else
            put_as_is(sink, conversion, argument);
    }
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

/* "%d", "%u" and "%s", as most are, where the argument is what they say: there is no more to read. */
static int put_simple(struct sink *sink, char letter, struct arguments *arguments)
{
    if (!arguments || arguments->next >= arguments->count)
        return 0;
    const struct argument *const argument = &arguments->at[arguments->next];
    if (letter == 's' && argument->type == LAP_IMPL_TYPE_STRING)
        sink_text(sink, argument->text, argument->text_bytes);
    else if ((letter == 'd' || letter == 'u') &&
             (argument->type == LAP_IMPL_TYPE_I64 || argument->type == LAP_IMPL_TYPE_U64))
        put_decimal(sink, integer_cut(argument->word, MODIFIER_INT, letter == 'd'), letter == 'd');
    else
        return 0;
    arguments->next++;
    return 1;
}

/* `arguments` NULL makes the pattern. */
static void put_format(struct sink *sink, const char *format, struct arguments *arguments)
{
    while (*format != 0 && !sink->is_full) {
        const char *const percent = strchr(format, '%');
        const size_t plain = percent ? (size_t)(percent - format) : strlen(format);
        sink_text(sink, format, plain);
        format += plain;
        if (*format == 0)
            break;
        if (put_simple(sink, format[1], arguments)) {
            format += 2;
            continue;
        }
        const struct conversion conversion = conversion_read(format, arguments);
        const struct argument *argument = NULL;
        if (conversion.letter == '%')
            sink_put(sink, "%", 1);
        else if (conversion.letter != 0 && !arguments)
            sink_put(sink, "#", 1);
        else if (conversion.letter != 0 && (argument = arguments_take(arguments, conversion.position)) != NULL)
            put_conversion(sink, &conversion, argument);
        else
            sink_text(sink, conversion.source, conversion.source_bytes);
        format += conversion.source_bytes;
    }
}

/* The message in a dump of a thread's open scopes. */
static void put_open(struct sink *sink, const uint64_t *words)
{
    const size_t size_bytes = words[1] < LAP_FORMAT_EVENT_BYTES_MAX ? (size_t)words[1] : LAP_FORMAT_EVENT_BYTES_MAX;
    const char *text = (const char *)(words + 1) + sizeof(struct lap_format_open);
    const struct argument message = string_take(&text, (const char *)words + size_bytes);
    if (message.type == LAP_IMPL_TYPE_STRING)
        sink_text(sink, message.text, message.text_bytes);
}

static size_t label_put(char *out, size_t out_bytes, const struct lap_description *description,
                        const struct lap_class *class, const uint64_t *words, const uint64_t *number)
{
    struct sink sink = sink_make(out, out_bytes);
    struct arguments arguments;
    if (class->kind == LAP_CLASS_OPEN && words) {
        put_open(&sink, words);
        return sink_finish(&sink);
    }
    arguments_read(&arguments, description ? description->types : 0, class, words);
    if (arguments.label.type == LAP_IMPL_TYPE_STRING) {
        sink_text(&sink, arguments.label.text, arguments.label.text_bytes);
    } else if (class->flags & LAP_CLASS_TEXT) {
        sink_string(&sink, "(run-time label)");
    } else if (class->flags & LAP_CLASS_NUMBERED) {
        char text[48] = "(checkpoint #)";
        if (number)
            snprintf(text, sizeof text, "(checkpoint %llu)", (unsigned long long)*number + 1);
        sink_string(&sink, text);
    } else if (!description || !description->label) {
        sink_string(&sink, "(no label)");
    } else if (description->is_text) {
        sink_string(&sink, description->label);
    } else {
        put_format(&sink, description->label, number ? &arguments : NULL);
    }
    return sink_finish(&sink);
}

size_t lap_label_format(char *out, size_t out_bytes, const struct lap_description *description,
                        const struct lap_class *class, const uint64_t *words, uint64_t number)
{
    return label_put(out, out_bytes, description, class, words, &number);
}

size_t lap_label_pattern(char *out, size_t out_bytes, const struct lap_description *description,
                         const struct lap_class *class, const uint64_t *words)
{
    return label_put(out, out_bytes, description, class, words, NULL);
}

size_t lap_label_escape(char *out, size_t out_bytes, const char *text, size_t text_bytes)
{
    struct sink sink = sink_make(out, out_bytes);
    sink_text(&sink, text, text_bytes);
    return sink_finish(&sink);
}

uint64_t lap_label_text_key(const struct lap_description *description, const struct lap_class *class, uint32_t class_id,
                            const uint64_t *words)
{
    struct arguments arguments;
    arguments_read(&arguments, description ? description->types : 0, class, words);
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < arguments.label.text_bytes; i++)
        hash = (hash ^ (unsigned char)arguments.label.text[i]) * UINT64_C(0x100000001B3);
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9E3779B97F4A7C15);
    return class_id | (hash & ~(uint64_t)LAP_FORMAT_CLASS_MASK);
}
