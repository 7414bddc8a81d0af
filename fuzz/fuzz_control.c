/* SPDX-License-Identifier: MIT
 *
 * A control page, and nothing else of it, beside a small recording that is sound. The first byte chooses the commands.
 */
#include "fuzz_place.h"

#include "lapmark/format.h"
#include "recording.h"

#include <string.h>

#define CLASS_BEGIN LAP_FORMAT_FIRST_SITE_CLASS
#define CLASS_MARK (LAP_FORMAT_FIRST_SITE_CLASS + 1)
#define BEGIN_TICKS UINT64_C(1000000)

static const char classes[] = "event { name = \"load\"; id = 16; stream_id = 0; model.emf.uri = "
                              "\"lapmark:begin?flags=0&types=&line=4&function=main&"
                              "file=main.c\"; fields := struct { }; }; "
                              "event { name = \"opened\"; id = 17; stream_id = 0; model.emf.uri = "
                              "\"lapmark:mark?flags=0&types=&line=5&function=main&"
                              "file=main.c\"; fields := struct { }; };";

static uint64_t event_word(uint32_t class_id, uint64_t after_ticks)
{
    return (BEGIN_TICKS + after_ticks) << LAP_FORMAT_CLOCK_SHIFT | class_id;
}

static void segment_write(const uint8_t *uuid)
{
    const uint64_t events[] = {event_word(CLASS_BEGIN, 100), event_word(CLASS_MARK, 300), event_word(LAP_FORMAT_END, 400),
                               event_word(CLASS_BEGIN, 500)};
    struct lap_format_segment header = {.magic = LAP_FORMAT_PACKET_MAGIC,
                                        .content_bits = (sizeof header + sizeof events) * 8,
                                        .packet_bits = (sizeof header + sizeof events) * 8,
                                        .begin_ticks = BEGIN_TICKS,
                                        .thread_id = 7,
                                        .clock_ticks = BEGIN_TICKS,
                                        .clock_monotonic_ns = BEGIN_TICKS,
                                        .clock_realtime_ns = BEGIN_TICKS};
    memcpy(header.uuid, uuid, sizeof header.uuid);
    fuzz_place_write("stream-0000-00", &header, sizeof header, events, sizeof events, sizeof header);
}

/* What is told of a damaged page must not be one that is made up. */
static void counts_check(void)
{
    const char *const path = fuzz_place();
    struct lap_recording *recording;
    if (lap_recording_open(&recording, &path, 1, NULL) < 0)
        return;
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_process *const process = recording->processes[i];
        uint64_t lost = 0;
        for (int loss = 0; loss < LAP_FORMAT_LOSSES; loss++) {
            fuzz_expect(process->control.losses[loss] <= LAP_LOSS_MAX, "a loss that cannot be");
            lost += lap_loss_is_event((enum lap_format_loss)loss) ? process->control.losses[loss] : 0;
        }
        fuzz_expect(process->lost == lost, "losses that do not add up");
    }
    lap_recording_free(recording);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct lap_format_control control = {0};
    if (count == 0)
        return 0;
    memcpy(&control, bytes + 1, count - 1 < sizeof control ? count - 1 : sizeof control);
    segment_write(control.uuid);
    fuzz_place_write_metadata(control.uuid, classes, sizeof classes - 1);
    fuzz_place_write_control(bytes + 1, count - 1);
    fuzz_place_read(bytes[0]);
    counts_check();
    return 0;
}
