/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "page.h"

#include "message.h"
#include "page_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int lap_page_check(const struct lap_arguments *arguments)
{
#ifndef LAPMARK_HAS_PAGES
    if (arguments->given[LAP_OPTION_HTML])
        return lap_message_trouble("this lapmark was built without pages; --json has what '%s' would show",
                                   arguments->values[LAP_OPTION_HTML]);
#endif
    (void)arguments;
    return 0;
}

#ifdef LAPMARK_HAS_PAGES

/* Where the page is made, and what it is renamed to: where a link leads. NULL for `temporary`: it is no regular file, and written
 * itself. */
struct place {
    char *target, *temporary;
};

static void place_find(struct place *place, const char *file)
{
    struct stat status;
    char *temporary = NULL;
    place->target = realpath(file, NULL);
    if (!place->target)
        place->target = strdup(file);
    if (!place->target)
        abort();
    if ((stat(place->target, &status) != 0 || S_ISREG(status.st_mode)) &&
        asprintf(&temporary, "%s.XXXXXX", place->target) < 0)
        abort();
    place->temporary = temporary;
}

static void place_done(struct place *place)
{
    free(place->target);
    free(place->temporary);
}

/* A temporary file gets the rights that a new file has. */
static FILE *place_open(const struct place *place)
{
    if (!place->temporary)
        return fopen(place->target, "w");
    const int descriptor = mkostemp(place->temporary, O_CLOEXEC);
    if (descriptor < 0)
        return NULL;
    const mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask);
    return fdopen(descriptor, "w");
}

static void print_page(FILE *out, const char *command, json_t *value)
{
    fwrite(lap_page_before, 1, lap_page_before_bytes, out);
    fprintf(out, "<script type=\"application/json\" id=\"%s\">", command);
    lap_json_print_html(value, out);
    fputs("</script>", out);
    fwrite(lap_page_after, 1, lap_page_after_bytes, out);
}

/* Returns 0 or a negative errno. */
static int write_page(const struct place *place, const char *command, json_t *value)
{
    FILE *const out = place_open(place);
    int error = out ? 0 : -errno;
    if (!out) {
        json_decref(value);
        return error;
    }
    print_page(out, command, value);
    if (ferror(out) | fclose(out))
        error = errno != 0 ? -errno : -EIO;
    if (error == 0 && place->temporary && rename(place->temporary, place->target) != 0)
        error = -errno;
    if (error < 0 && place->temporary)
        unlink(place->temporary);
    return error;
}

int lap_page_write(const struct lap_arguments *arguments, json_t *value)
{
    const char *const file = arguments->values[LAP_OPTION_HTML];
    struct place place;
    place_find(&place, file);
    const int error = write_page(&place, arguments->command->name, value);
    place_done(&place);
    if (error < 0)
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(error));
    lap_message_note("wrote '%s'", file);
    return 0;
}

#else

int lap_page_write(const struct lap_arguments *arguments, json_t *value)
{
    json_decref(value);
    return lap_page_check(arguments);
}

#endif
