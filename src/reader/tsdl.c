/* SPDX-License-Identifier: MIT */
#include "tsdl.h"

#include <string.h>

#define NESTING_MAX 64u

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_'; }

int lap_tsdl_hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void lap_tsdl_fail(struct lap_tsdl *tsdl, const char *problem, const char *where)
{
    if (tsdl->problem)
        return;
    tsdl->problem = problem;
    tsdl->problem_offset = (size_t)(where - tsdl->text);
    tsdl->token.kind = LAP_TOKEN_BAD;
}

static void space_skip(struct lap_tsdl *tsdl)
{
    while (tsdl->at < tsdl->end) {
        if (is_space(*tsdl->at)) {
            tsdl->at++;
        } else if (tsdl->end - tsdl->at >= 2 && tsdl->at[0] == '/' && tsdl->at[1] == '*') {
            char *close = tsdl->at + 2;
            while (tsdl->end - close >= 2 && !(close[0] == '*' && close[1] == '/'))
                close++;
            if (tsdl->end - close < 2) {
                lap_tsdl_fail(tsdl, "comment without an end", tsdl->at);
                return;
            }
            tsdl->at = close + 2;
        } else {
            return;
        }
    }
}

/* One escape sequence, *from behind its backslash. Returns its byte, or -1. */
static int escape_read(const char **from, const char *end)
{
    if (*from >= end)
        return -1;
    const char c = *(*from)++;
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case '"':
    case '\\': return c;
    case '0':
    case '1':
    case '2':
    case '3': {
        int value = c - '0';
        for (int digits = 1; digits < 3 && *from < end && **from >= '0' && **from <= '7'; digits++)
            value = value * 8 + (*(*from)++ - '0');
        return value;
    }
    case 'x': {
        int value = 0, digits = 0;
        for (; digits < 2 && *from < end && lap_tsdl_hex_value(**from) >= 0; digits++)
            value = value * 16 + lap_tsdl_hex_value(*(*from)++);
        return digits == 0 ? -1 : value;
    }
    default: return -1;
    }
}

static void string_read(struct lap_tsdl *tsdl, struct lap_token *token)
{
    char *to = token->text = tsdl->at + 1;
    const char *from = to;
    while (from < tsdl->end && *from != '"') {
        int c = (unsigned char)*from;
        if (c == '\\') {
            from++;
            c = escape_read(&from, tsdl->end);
        } else {
            from++;
        }
        if (c <= 0) {
            lap_tsdl_fail(tsdl, "string with a byte or an escape that cannot be in it", from - 1);
            return;
        }
        *to++ = (char)c;
    }
    if (from >= tsdl->end) {
        lap_tsdl_fail(tsdl, "string without an end", token->text - 1);
        return;
    }
    *to = 0; /* at the latest over the closing quote */
    token->kind = LAP_TOKEN_STRING;
    token->length = (size_t)(to - token->text);
    tsdl->at += from + 1 - (const char *)tsdl->at;
}

static void number_read(struct lap_tsdl *tsdl, struct lap_token *token)
{
    uint64_t value = 0;
    while (tsdl->at < tsdl->end && is_digit(*tsdl->at)) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*tsdl->at - '0'), &value)) {
            lap_tsdl_fail(tsdl, "number that is too large", tsdl->at);
            return;
        }
        tsdl->at++;
    }
    token->kind = LAP_TOKEN_NUMBER;
    token->number = value;
}

void lap_tsdl_next(struct lap_tsdl *tsdl)
{
    space_skip(tsdl);
    if (tsdl->problem)
        return;
    struct lap_token *const token = &tsdl->token;
    *token = (struct lap_token){.kind = LAP_TOKEN_END, .text = tsdl->at, .offset = (size_t)(tsdl->at - tsdl->text)};
    if (tsdl->at >= tsdl->end)
        return;
    const char c = *tsdl->at;
    if (c == '"') {
        string_read(tsdl, token);
    } else if (is_digit(c)) {
        number_read(tsdl, token);
    } else if (is_word(c)) {
        token->kind = LAP_TOKEN_WORD;
        while (tsdl->at < tsdl->end && (is_word(*tsdl->at) || *tsdl->at == '.'))
            tsdl->at++;
        token->length = (size_t)(tsdl->at - token->text);
    } else if (c > ' ' && c < 127) {
        token->kind = LAP_TOKEN_SIGN;
        token->length = 1;
        tsdl->at++;
    } else {
        lap_tsdl_fail(tsdl, "byte that cannot be in it", tsdl->at);
    }
}

bool lap_tsdl_is(const struct lap_tsdl *tsdl, const char *text)
{
    const struct lap_token *const token = &tsdl->token;
    return (token->kind == LAP_TOKEN_WORD || token->kind == LAP_TOKEN_SIGN) && token->length == strlen(text) &&
           memcmp(token->text, text, token->length) == 0;
}

bool lap_tsdl_expect(struct lap_tsdl *tsdl, const char *text, const char *problem)
{
    if (!lap_tsdl_is(tsdl, text)) {
        lap_tsdl_fail(tsdl, problem, tsdl->text + tsdl->token.offset);
        return false;
    }
    lap_tsdl_next(tsdl);
    return !tsdl->problem;
}

/* From the token that opens a block to the one behind what closes it. */
static void block_skip(struct lap_tsdl *tsdl)
{
    unsigned nesting = 0;
    const size_t offset = tsdl->token.offset;
    do {
        if (lap_tsdl_is(tsdl, "{"))
            nesting++;
        else if (lap_tsdl_is(tsdl, "}"))
            nesting--;
        else if (tsdl->token.kind == LAP_TOKEN_END)
            lap_tsdl_fail(tsdl, "block without an end", tsdl->text + offset);
        if (nesting > NESTING_MAX)
            lap_tsdl_fail(tsdl, "blocks nested too deep", tsdl->text + offset);
        if (tsdl->problem)
            return;
        lap_tsdl_next(tsdl);
    } while (nesting > 0 && !tsdl->problem);
}

/* To the token behind the next `;` that is in no block. */
void lap_tsdl_skip_statement(struct lap_tsdl *tsdl)
{
    while (!tsdl->problem && !lap_tsdl_is(tsdl, ";")) {
        if (lap_tsdl_is(tsdl, "{"))
            block_skip(tsdl);
        else if (tsdl->token.kind == LAP_TOKEN_END || lap_tsdl_is(tsdl, "}"))
            lap_tsdl_fail(tsdl, "statement without an end", tsdl->text + tsdl->token.offset);
        else
            lap_tsdl_next(tsdl);
    }
    if (!tsdl->problem)
        lap_tsdl_next(tsdl);
}
