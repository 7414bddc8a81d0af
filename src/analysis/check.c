/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "summary.h"

#include <errno.h>
#include <stdlib.h>

/* Behind check->internal. */
struct kept {
    struct lap_open_profiler **open; /* of each process */
    size_t *open_count;
    size_t process_count;
};

struct checking {
    struct lap_check *check;
    size_t room;
    int error;
};

const char *lap_check_severity_text(enum lap_check_severity severity)
{
    static const char *const texts[] = {"note", "warning", "damage"};
    return (unsigned)severity < sizeof texts / sizeof *texts ? texts[severity] : "note";
}

const char *lap_check_what_text(enum lap_check_what what)
{
    static const char *const texts[] = {
        [LAP_CHECK_FILE] = "file",
        [LAP_CHECK_STATE] = "state",
        [LAP_CHECK_LOST] = "lost",
        [LAP_CHECK_COUNTED] = "counted",
        [LAP_CHECK_OVERWRITTEN] = "overwritten",
        [LAP_CHECK_OPEN] = "open",
        [LAP_CHECK_UNAPPLIED] = "unapplied",
        [LAP_CHECK_ORPHANS] = "orphans",
        [LAP_CHECK_ABANDONED] = "abandoned",
        [LAP_CHECK_MISSING] = "missing",
        [LAP_CHECK_DIFFERENT] = "different",
    };
    return (unsigned)what < sizeof texts / sizeof *texts ? texts[what] : "file";
}

/* ---- findings ------------------------------------------------------------------------------------------------------ */

static void finding_add(struct checking *checking, const struct lap_check_finding *finding)
{
    struct lap_check *const check = checking->check;
    if (check->finding_count == checking->room) {
        const size_t room = checking->room ? 2 * checking->room : 32;
        struct lap_check_finding *const more = realloc(check->findings, room * sizeof *more);
        if (!more) {
            checking->error = -ENOMEM;
            return;
        }
        check->findings = more;
        checking->room = room;
    }
    check->findings[check->finding_count] = *finding;
    if (!finding->file) {
        check->findings[check->finding_count].file = "";
        check->findings[check->finding_count].offset = UINT64_MAX;
    }
    check->finding_count++;
    if (finding->severity > check->worst)
        check->worst = finding->severity;
}

/* Where there is something to count. */
static void count_add(struct checking *checking, enum lap_check_severity severity, enum lap_check_what what,
                      const struct lap_process *process, const char *text, uint64_t count)
{
    if (count != 0)
        finding_add(checking, &(struct lap_check_finding){
                                  .severity = severity, .what = what, .process = process, .text = text, .count = count});
}

static enum lap_check_severity warning_severity(int code)
{
    switch (code) {
    case LAP_READER_METADATA:
    case LAP_READER_VERSION:
    case LAP_READER_CONTROL:
    case LAP_READER_PATHS:
    case LAP_READER_STATISTICS:
    case LAP_READER_SEGMENT:
    case LAP_READER_TORN:
    case LAP_READER_EVENT: return LAP_CHECK_DAMAGE;
    default: return LAP_CHECK_WARNING;
    }
}

static void warnings_add(struct checking *checking, const struct lap_recording *recording,
                         const struct lap_process *process)
{
    for (size_t i = 0; i < recording->warning_count; i++) {
        const struct lap_warning *const warning = &recording->warnings[i];
        if (warning->process == process)
            finding_add(checking, &(struct lap_check_finding){.severity = warning_severity(warning->code),
                                                              .what = LAP_CHECK_FILE,
                                                              .process = process,
                                                              .text = warning->text,
                                                              .file = warning->file,
                                                              .offset = warning->offset});
    }
}

static void losses_add(struct checking *checking, const struct lap_process *process)
{
    static const char *const texts[LAP_FORMAT_LOSSES] = {
        [LAP_FORMAT_LOSS_SIGNAL] = "events of signal handlers that interrupted their thread's own",
        [LAP_FORMAT_LOSS_MEMORY] = "events for which there was no memory",
        [LAP_FORMAT_LOSS_DEPTH] = "events in scopes that were nested too deep",
        [LAP_FORMAT_LOSS_HANDLE] = "calls on handles that were not open",
        [LAP_FORMAT_LOSS_CLASS] = "events of more sites than there can be",
        [LAP_FORMAT_LOSS_STATISTICS] = "samples for which the statistics had no memory",
        [LAP_FORMAT_LOSS_DISK] =
            "event and all after it: the recording stopped early, for something could not be written",
        [LAP_FORMAT_LOSS_CLOCK] = "clocks that went backward",
        [LAP_FORMAT_LOSS_TRAILER] = "trailers of peers that were none, or another call's",
        [LAP_FORMAT_LOSS_WISH] = "wishes of peers that came too late, or too often",
    };
    for (int loss = 0; loss < LAP_FORMAT_LOSSES; loss++) {
        const bool is_event = lap_loss_is_event((enum lap_format_loss)loss);
        count_add(checking, is_event ? LAP_CHECK_WARNING : LAP_CHECK_NOTE, is_event ? LAP_CHECK_LOST : LAP_CHECK_COUNTED,
                  process, texts[loss] ? texts[loss] : "losses of a kind that is not known",
                  process->control.losses[loss]);
    }
}

static void state_add(struct checking *checking, const struct lap_process *process)
{
    static const char *const texts[] = {
        [LAP_PROCESS_UNKNOWN] = "whether it ended cannot be told here",
        [LAP_PROCESS_RUNNING] = "is running",
        [LAP_PROCESS_ENDED] = "ended",
        [LAP_PROCESS_REPLACED] = "was replaced by another program",
        [LAP_PROCESS_DIED] = "died: what it had stored is here",
        [LAP_PROCESS_SNAPSHOT] = "is a snapshot: what the process held at one moment",
    };
    finding_add(checking, &(struct lap_check_finding){.severity = process->state == LAP_PROCESS_DIED ? LAP_CHECK_WARNING
                                                                                                     : LAP_CHECK_NOTE,
                                                      .what = LAP_CHECK_STATE,
                                                      .process = process,
                                                      .text = texts[process->state]});
}

static void process_add(struct checking *checking, const struct lap_recording *recording,
                        const struct lap_process *process, const struct lap_summary_process *counts,
                        const struct lap_summary_difference *difference)
{
    uint64_t missing = 0;
    for (size_t r = 0; r < process->ring_count; r++)
        missing += process->rings[r].missing_segments;
    const bool is_whole = counts->overwritten == 0 && missing == 0;
    state_add(checking, process);
    warnings_add(checking, recording, process);
    losses_add(checking, process);
    count_add(checking, LAP_CHECK_NOTE, LAP_CHECK_COUNTED, process, "snapshots that it left when thresholds were reached",
              process->control.breach_snapshots);
    count_add(checking, LAP_CHECK_NOTE, LAP_CHECK_COUNTED, process,
              "thresholds that were reached and left no snapshot, for there was one just before or there were enough",
              process->control.breach_snapshots_spared);
    count_add(checking, LAP_CHECK_WARNING, LAP_CHECK_MISSING, process, "segments are missing between others", missing);
    count_add(checking, LAP_CHECK_NOTE, LAP_CHECK_OVERWRITTEN, process, "events that the rings no longer hold",
              counts->overwritten);
    count_add(checking, LAP_CHECK_NOTE, LAP_CHECK_COUNTED, process, "events taken back, below their thresholds",
              counts->taken_back);
    count_add(checking, LAP_CHECK_NOTE, LAP_CHECK_UNAPPLIED, process, "events that the stored statistics lacked",
              counts->replayed);
    count_add(checking, LAP_CHECK_WARNING, LAP_CHECK_UNAPPLIED, process,
              "rings whose statistics were being written while they were read", counts->provisional);
    count_add(checking, is_whole ? LAP_CHECK_WARNING : LAP_CHECK_NOTE, LAP_CHECK_ORPHANS, process,
              "checkpoints and ends without a begin", counts->orphans);
    count_add(checking, LAP_CHECK_NOTE, LAP_CHECK_ABANDONED, process, "profilers that were left without an end",
              counts->abandoned);
    if (difference->process == process)
        finding_add(checking, &(struct lap_check_finding){.severity = LAP_CHECK_DAMAGE,
                                                          .what = LAP_CHECK_DIFFERENT,
                                                          .process = process,
                                                          .text = "stored statistics differ from the events"});
    const struct kept *const kept = checking->check->internal;
    for (size_t p = 0; p < recording->process_count; p++)
        for (size_t i = 0; recording->processes[p] == process && i < kept->open_count[p]; i++)
            finding_add(checking, &(struct lap_check_finding){.severity = LAP_CHECK_NOTE,
                                                              .what = LAP_CHECK_OPEN,
                                                              .process = process,
                                                              .text = kept->open[p][i].message,
                                                              .open = &kept->open[p][i]});
}

/* Within a process by severity, worst first, else in the order of their making. */
static void findings_sort(struct lap_check_finding *findings, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct lap_check_finding finding = findings[i];
        size_t at = i;
        for (; at > 0 && findings[at - 1].severity < finding.severity; at--)
            findings[at] = findings[at - 1];
        findings[at] = finding;
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static int check_fill(struct checking *checking, struct lap_recording *recording)
{
    struct lap_check *const check = checking->check;
    struct kept *const kept = check->internal;
    struct lap_summary *summary = NULL;
    struct lap_summary_difference difference;
    int code = lap_summary_make(&summary, recording, NULL);
    if (code < 0)
        return code;
    code = lap_summary_compare(recording, NULL, &difference);
    for (size_t p = 0; code >= 0 && p < recording->process_count; p++, kept->process_count++)
        code = lap_process_open_profilers(recording->processes[p], &kept->open[p], &kept->open_count[p]);
    warnings_add(checking, recording, NULL); /* what the passes above have met is among them now */
    for (size_t p = 0; code >= 0 && p < recording->process_count; p++) {
        const struct lap_process *const process = recording->processes[p];
        const size_t first = check->finding_count;
        struct lap_summary_process counts;
        lap_summary_get_process(summary, process, &counts);
        process_add(checking, recording, process, &counts, &difference);
        findings_sort(check->findings + first, check->finding_count - first);
        check->rings += process->ring_count;
        for (size_t r = 0; r < process->ring_count; r++)
            check->segments += process->rings[r].segment_count;
    }
    check->events = summary->events_decoded;
    check->lost = summary->lost;
    check->overwritten = summary->overwritten;
    lap_summary_free(summary);
    return code < 0 ? code : checking->error;
}

int lap_check_make(struct lap_check **ret_check, struct lap_recording *recording)
{
    struct lap_check *const check = calloc(1, sizeof *check);
    struct kept *const kept = calloc(1, sizeof *kept);
    if (kept) {
        kept->open = calloc(recording->process_count + 1, sizeof *kept->open);
        kept->open_count = calloc(recording->process_count + 1, sizeof *kept->open_count);
    }
    if (check)
        check->internal = kept;
    struct checking checking = {.check = check};
    const int code = check && kept && kept->open && kept->open_count ? check_fill(&checking, recording) : -ENOMEM;
    if (code < 0) {
        lap_check_free(check);
        if (!check && kept) {
            free(kept->open);
            free(kept->open_count);
            free(kept);
        }
        return code;
    }
    *ret_check = check;
    return 0;
}

void lap_check_free(struct lap_check *check)
{
    if (!check)
        return;
    struct kept *const kept = check->internal;
    for (size_t p = 0; kept && p < kept->process_count; p++)
        lap_open_profilers_free(kept->open[p], kept->open_count[p]);
    if (kept) {
        free(kept->open);
        free(kept->open_count);
        free(kept);
    }
    free(check->findings);
    free(check);
}
