/* SPDX-License-Identifier: MIT
 *
 * Trace contexts in the environment: ours, and the one that a child is given.
 */
#define _GNU_SOURCE
#include "lapmark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char environment_names[2][13] = {"TRACEPARENT=", "TRACESTATE="};

int lap_context_from_environment(struct lap_context *ret_context, const char **ret_tracestate)
{
    const char *const text = secure_getenv("TRACEPARENT");
    if (!text)
        return -ENOENT;
    const int error = lap_traceparent_read(ret_context, text, strlen(text));
    if (error == 0 && ret_tracestate)
        *ret_tracestate = secure_getenv("TRACESTATE");
    return error;
}

/* Copies a string; returns the place of its 0. */
static char *string_append(char *out, const char *text)
{
    const size_t length = strlen(text);
    memcpy(out, text, length + 1);
    return out + length;
}

/* Which of the two names a variable has; 2: neither. */
static unsigned which_name(const char *variable)
{
    unsigned which = 0;
    while (which < 2 && strncmp(variable, environment_names[which], strlen(environment_names[which])) != 0)
        which++;
    return which;
}

char **lap_context_environment(char *const *environment, const struct lap_context *context, const char *tracestate)
{
    char traceparent[LAP_TRACEPARENT_BYTES];
    const int has_both = lap_traceparent_write(traceparent, context) != 0 && tracestate;
    const char *values[2] = {traceparent, has_both ? tracestate : ""};
    size_t count = 0, bytes = 0;
    for (; environment && environment[count]; count++)
        bytes += strlen(environment[count]) + 1;
    char **const made = malloc((count + 3) * sizeof *made + bytes + sizeof environment_names + sizeof traceparent +
                               strlen(values[1]) + 1);
    if (!made)
        return NULL;
    char **next = made;
    char *text = (char *)(made + count + 3);
    /* Behind the last variable come ours once more: what has been written, or is not to be, has no value any more. */
    for (size_t i = 0; i < count + 2; i++) {
        const unsigned which = i < count ? which_name(environment[i]) : (unsigned)(i - count);
        const char *const value = which < 2 ? values[which] : environment[i];
        if (which < 2 && *value == 0)
            continue;
        *next++ = text;
        if (which < 2) {
            text = string_append(text, environment_names[which]);
            values[which] = "";
        }
        text = string_append(text, value) + 1;
    }
    *next = NULL;
    return made;
}
