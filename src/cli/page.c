/* SPDX-License-Identifier: MIT */
#include "page.h"

#include "input_guard.h"
#include "message.h"
#include "out.h"
#include "page_parts.h"

int lap_page_check(const struct lap_arguments *arguments)
{
#ifndef LAPMARK_HAS_PAGES
    if (arguments->given[LAP_OPTION_HTML])
        return lap_message_trouble("this lapmark was built without pages; --json has what '%s' would show",
                                   arguments->values[LAP_OPTION_HTML]);
    return 0;
#else
    const char *const file = arguments->values[LAP_OPTION_HTML];
    return file ? lap_input_guard(file, arguments->operands, arguments->operand_count) : 0;
#endif
}

#ifdef LAPMARK_HAS_PAGES

static void print_page(struct lap_out *out, const char *command, json_t *value)
{
    lap_out_write(out, lap_page_before, lap_page_before_bytes);
    lap_out_printf(out, "<script type=\"application/json\" id=\"%s\">", command);
    lap_json_print_html(value, out);
    lap_out_text(out, "</script>");
    lap_out_write(out, lap_page_after, lap_page_after_bytes);
}

int lap_page_write(const struct lap_arguments *arguments, json_t *value)
{
    const char *const file = arguments->values[LAP_OPTION_HTML];
    struct lap_out out;
    fflush(stdout); /* which may be where the page goes */
    int error = lap_out_open(&out, file);
    if (error == 0) {
        print_page(&out, arguments->command->name, value);
        error = lap_out_close(&out, true);
    } else {
        json_decref(value);
    }
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
