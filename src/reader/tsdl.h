/* SPDX-License-Identifier: MIT
 *
 * The words of metadata text (Common Trace Format 1.8, appendix C, as far as Lapmark writes it). Works in place: strings
 * are unescaped and ended by 0 where they lie. After the first problem nothing more is read.
 */
#ifndef LAP_TSDL_H
#define LAP_TSDL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_token_kind { LAP_TOKEN_END, LAP_TOKEN_WORD, LAP_TOKEN_NUMBER, LAP_TOKEN_STRING, LAP_TOKEN_SIGN, LAP_TOKEN_BAD };

struct lap_token {
    enum lap_token_kind kind;
    char *text;
    size_t length;
    uint64_t number;
    size_t offset; /* in the text */
};

struct lap_tsdl {
    char *text; /* ended by 0 */
    char *at, *end;
    struct lap_token token; /* the current one */
    const char *problem;    /* static; NULL: none yet */
    size_t problem_offset;
};

/* Goes to the next token. */
void lap_tsdl_next(struct lap_tsdl *tsdl);
/* Is the current token this word or sign? */
bool lap_tsdl_is(const struct lap_tsdl *tsdl, const char *text);
/* The same, and goes on to the next; else it is a problem, and false. */
bool lap_tsdl_expect(struct lap_tsdl *tsdl, const char *text, const char *problem);
/* To the token behind the next `;` that is in no block. */
void lap_tsdl_skip_statement(struct lap_tsdl *tsdl);
/* Tells a problem, if it is the first. */
void lap_tsdl_fail(struct lap_tsdl *tsdl, const char *problem, const char *where);

/* 0 to 15, or -1. */
int lap_tsdl_hex_value(char c);

#endif
