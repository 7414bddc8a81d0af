/* SPDX-License-Identifier: MIT
 *
 * Calls as JSON. The schema stands in lapmark-calls(1).
 */
#include "calls_view.h"

#include "input.h"
#include "json.h"

#include <inttypes.h>
#include <math.h>

enum { HEX_BYTES = 40 };

static json_t *hex_json(uint64_t high, uint64_t low, bool is_wide)
{
    char text[HEX_BYTES];
    if (is_wide)
        snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, high, low);
    else
        snprintf(text, sizeof text, "%016" PRIx64, low);
    return lap_json_text(text);
}

static json_t *ppm_json(double ppm) { return isfinite(ppm) ? json_real(round(ppm * 1e6) / 1e6) : json_null(); }

static json_t *times_json(const struct lap_calls_times *times)
{
    if (times->count == 0)
        return json_null();
    json_t *const value = json_object();
    lap_json_set(value, "mean", lap_json_ns(times->mean_ns));
    lap_json_set(value, "p50", lap_json_ns(times->p50_ns));
    lap_json_set(value, "p99", lap_json_ns(times->p99_ns));
    lap_json_set(value, "max", lap_json_ns(times->max_ns));
    return value;
}

static json_t *laps_json(const struct lap_calls_kind *kind)
{
    json_t *const value = json_array();
    for (uint32_t i = 0; i < kind->lap_count; i++) {
        json_t *const lap = json_object();
        lap_json_set(lap, "label", lap_json_text(kind->laps[i].label));
        lap_json_set(lap, "sum_ns", lap_json_ns(kind->laps[i].sum_ns));
        lap_json_set(lap, "count", lap_json_count(kind->laps[i].count));
        lap_json_append(value, lap);
    }
    return value;
}

static json_t *kind_json(const struct lap_calls_kind *kind, enum lap_summary_by by)
{
    static const char *const parts[LAP_CALLS_PARTS] = {
        [LAP_CALLS_TOTAL] = "total_ns", [LAP_CALLS_ANSWERED] = "answered_ns", [LAP_CALLS_SERVER] = "server_ns",
        [LAP_CALLS_QUEUE] = "queue_ns", [LAP_CALLS_HANDLE] = "handle_ns",     [LAP_CALLS_BETWEEN] = "between_ns",
        [LAP_CALLS_THERE] = "there_ns", [LAP_CALLS_BACK] = "back_ns",
    };
    json_t *const value = json_object();
    lap_json_set(value, "name", lap_json_text(kind->name));
    if (by != LAP_SUMMARY_BY_ALL) {
        lap_json_set(value, "process", lap_json_text(kind->process ? kind->process->name : NULL));
        lap_json_set(value, "thread", lap_input_thread_json(kind->thread));
    }
    lap_json_set(value, "count", lap_json_count(kind->count));
    lap_json_set(value, "answered", lap_json_count(kind->answered));
    lap_json_set(value, "silent", lap_json_count(kind->silent));
    lap_json_set(value, "refused", lap_json_count(kind->refused));
    lap_json_set(value, "one_way", lap_json_count(kind->one_way));
    lap_json_set(value, "sum_ns", lap_json_ns(kind->times[LAP_CALLS_TOTAL].sum_ns));
    for (int part = 0; part < LAP_CALLS_PARTS; part++)
        lap_json_set(value, parts[part], times_json(&kind->times[part]));
    lap_json_set(value, "laps", laps_json(kind));
    return value;
}

static json_t *instance_json(const struct lap_calls_instance *instance)
{
    static const char *const outcomes[] = {
        [LAP_CALLS_IS_ANSWERED] = "answered",
        [LAP_CALLS_IS_SILENT] = "silent",
        [LAP_CALLS_IS_REFUSED] = "refused",
        [LAP_CALLS_IS_ONE_WAY] = "one_way",
    };
    const struct lap_call_times *const times = &instance->times;
    const bool is_answered = instance->outcome == LAP_CALLS_IS_ANSWERED;
    json_t *const value = json_object();
    lap_json_set(value, "name", lap_json_text(instance->name));
    lap_json_set(value, "process", lap_json_text(instance->process->name));
    lap_json_set(value, "pid", lap_json_count(instance->process->pid));
    lap_json_set(value, "thread_id", instance->thread ? lap_json_count(instance->thread->id) : json_null());
    lap_json_set(value, "thread_name", lap_json_text(instance->thread ? instance->thread->name : NULL));
    lap_json_set(value, "outcome", lap_json_text(outcomes[instance->outcome]));
    lap_json_set(value, "begin_time_ns", lap_json_count(instance->begin_realtime_ns));
    lap_json_set(value, "trace_id", hex_json(instance->trace_id_high, instance->trace_id_low, true));
    lap_json_set(value, "span_id", hex_json(0, instance->span_id, false));
    lap_json_set(value, "total_ns", lap_json_ns(times->total_ns));
    lap_json_set(value, "server_ns", is_answered ? lap_json_ns(times->server_ns) : json_null());
    lap_json_set(value, "queue_ns", is_answered ? lap_json_ns(times->queue_ns) : json_null());
    lap_json_set(value, "between_ns", is_answered ? lap_json_ns(times->between_ns) : json_null());
    lap_json_set(value, "there_ns", is_answered && times->has_ways ? lap_json_ns(times->there_ns) : json_null());
    lap_json_set(value, "back_ns", is_answered && times->has_ways ? lap_json_ns(times->back_ns) : json_null());
    return value;
}

static json_t *clock_json(const struct lap_calls_clock *clock)
{
    const bool has = clock->is_same || clock->has_offset;
    json_t *const steps = json_array();
    for (size_t i = 0; i < clock->step_count; i++) {
        json_t *const step = json_object();
        lap_json_set(step, "after_time_ns", lap_json_count(clock->steps[i].after_time_ns));
        lap_json_set(step, "before_time_ns", lap_json_count(clock->steps[i].before_time_ns));
        lap_json_set(step, "step_ns", lap_json_ns(clock->steps[i].step_ns));
        lap_json_set(step, "error_ns", lap_json_ns(clock->steps[i].error_ns));
        lap_json_append(steps, step);
    }
    json_t *const value = json_object();
    lap_json_set(value, "client", hex_json(0, clock->client, false));
    lap_json_set(value, "server", hex_json(0, clock->server, false));
    lap_json_set(value, "client_hz", json_real(clock->client_hz));
    lap_json_set(value, "server_hz", json_real(clock->server_hz));
    lap_json_set(value, "calls", lap_json_count(clock->calls));
    lap_json_set(value, "left_out", lap_json_count(clock->left_out));
    lap_json_set(value, "is_same", json_boolean(clock->is_same));
    lap_json_set(value, "is_contradicted", json_boolean(clock->is_contradicted));
    lap_json_set(value, "theta_ns", has ? json_integer(clock->theta_ns) : json_null());
    lap_json_set(value, "error_ns", has ? lap_json_ns(clock->error_ns) : json_null());
    lap_json_set(value, "sign", lap_json_text(LAP_CALLS_SIGN));
    lap_json_set(value, "end_time_ns", clock->has_offset ? lap_json_count(clock->end_time_ns) : json_null());
    lap_json_set(value, "drift_ppm", has ? ppm_json(clock->drift_ppm) : json_null());
    lap_json_set(value, "drift_error_ppm", has ? ppm_json(clock->drift_error_ppm) : json_null());
    lap_json_set(value, "is_server_read", json_boolean(clock->is_server_read));
    lap_json_set(value, "windows", lap_json_count(clock->windows));
    lap_json_set(value, "steps", steps);
    return value;
}

void lap_calls_print_json(const struct lap_calls *calls, enum lap_summary_by by)
{
    json_t *const kinds = json_array(), *const slowest = json_array(), *const clocks = json_array();
    for (size_t i = 0; i < calls->kind_count; i++)
        lap_json_append(kinds, kind_json(&calls->kinds[i], by));
    for (size_t i = 0; i < calls->slowest_count; i++)
        lap_json_append(slowest, instance_json(&calls->slowest[i]));
    for (size_t i = 0; i < calls->clock_count; i++)
        lap_json_append(clocks, clock_json(&calls->clocks[i]));
    json_t *const value = json_object();
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "count", lap_json_count(calls->count));
    lap_json_set(value, "answered", lap_json_count(calls->answered));
    lap_json_set(value, "silent", lap_json_count(calls->silent));
    lap_json_set(value, "refused", lap_json_count(calls->refused));
    lap_json_set(value, "one_way", lap_json_count(calls->one_way));
    lap_json_set(value, "sum_ns", lap_json_ns(calls->sum_ns));
    lap_json_set(value, "incomplete", json_boolean(calls->is_incomplete));
    lap_json_set(value, "selected", json_boolean(calls->is_selected));
    lap_json_set(value, "calls", kinds);
    lap_json_set(value, "slowest", slowest);
    lap_json_set(value, "clocks", clocks);
    lap_json_set(value, "server_untold", lap_json_count(calls->server_untold));
    lap_json_set(value, "client_untold", lap_json_count(calls->client_untold));
    lap_json_set(value, "pairs_left_out", lap_json_count(calls->pairs_left_out));
    lap_json_print(value, stdout);
}
