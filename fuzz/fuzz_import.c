/* SPDX-License-Identifier: MIT
 *
 * A trace of another tool, in any of the forms that are read. What is made of it is a recording in which nothing is wrong, whatever
 * the trace is.
 */
#include "fuzz_place.h"

#include "check.h"
#include "import.h"
#include "recording.h"
#include "summary.h"

#include <stdio.h>
#include <stdlib.h>

/* Of the statistics nothing is lost, as long as there is memory for them; the events are all there. */
static void recording_check(const char *path)
{
    struct lap_recording *recording;
    struct lap_check *check;
    fuzz_expect(lap_recording_open(&recording, &path, 1, NULL) == 0, "a recording that cannot be opened");
    fuzz_expect(recording->warning_count == 0, "a recording with a warning");
    fuzz_expect(lap_check_make(&check, recording) == 0, "a recording that cannot be read");
    fuzz_expect(check->worst == LAP_CHECK_NOTE, "a recording that is not sound");
    lap_check_free(check);
    lap_recording_free(recording);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char path[512];
    struct lap_import import;
    setenv("TMPDIR", fuzz_place(), 1);
    snprintf(path, sizeof path, "%s/trace", fuzz_place());
    fuzz_place_write("trace", bytes, count, "", 0, 0);
    const int code = lap_import_read(&import, path, NULL);
    fuzz_expect(code <= 0, "no such code");
    fuzz_expect(code < 0 || lap_import_knows(path), "a trace that is not known for one");
    if (code == 0)
        recording_check(import.recording);
    lap_import_done(&import);
    lap_import_remove();
    return 0;
}
