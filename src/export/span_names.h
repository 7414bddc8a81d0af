/* SPDX-License-Identifier: MIT
 *
 * The names of a process's spans and laps: made once for each class, where a class has one. Part of spans.h.
 */
#ifndef LAP_SPAN_NAMES_H
#define LAP_SPAN_NAMES_H

#include "decode.h"
#include "spans.h"

#define LAP_SPAN_NAME_BYTES 4096u /* room for every label, escaped */

struct lap_span_names {
    const struct lap_process *process;
    struct lap_span_text *texts; /* by class */
    char own[LAP_SPAN_NAME_BYTES];
    char message[LAP_SPAN_NAME_BYTES];
};

/* Starts with a process: frees what was of another. Returns 0 or -ENOMEM. */
int lap_span_names_enter(struct lap_span_names *names, const struct lap_process *process);
void lap_span_names_done(struct lap_span_names *names);

/* The label of an event of this class as `lapmark report` names it, without its arguments; of run-time labels beyond those that
 * have classes the text itself. `words` (of an event of `event_class`) may be NULL. A text with id 0
 * lives until the next call. Text "" with id 0: there is no memory. */
struct lap_span_text lap_span_names_make(struct lap_span_names *names, uint32_t class_id,
                                         const struct lap_class *event_class, const uint64_t *words);
static inline struct lap_span_text lap_span_names_get(struct lap_span_names *names, uint32_t class_id,
                                                      const struct lap_class *event_class, const uint64_t *words)
{
    if (__builtin_expect(class_id < names->process->catalog.class_count && names->texts[class_id].text != NULL, 1))
        return names->texts[class_id];
    return lap_span_names_make(names, class_id, event_class, words);
}
/* The label with its arguments, until the next call; NULL: it has none, or it is the name. */
const char *lap_span_names_message(struct lap_span_names *names, uint32_t class_id, const struct lap_class *event_class,
                                   const uint64_t *words, uint64_t number, struct lap_span_text name);

#endif
