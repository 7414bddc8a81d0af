/* SPDX-License-Identifier: MIT */
#include "simulated_clocks.h"

#include <math.h>
#include <stdlib.h>

double simulated_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

double simulated_theta(const struct simulation *simulation, double t)
{
    const bool is_stepped = simulation->step_ns != 0 && t >= simulation->step_at_ns;
    return simulation->drift * t + (is_stepped ? simulation->step_ns : 0);
}

static double delay_of(const struct simulation *simulation, uint64_t *state, bool is_answer)
{
    const double least = simulation->least_delay_ns, mean = simulation->mean_delay_ns, u = simulated_random(state);
    switch (simulation->delay) {
    case DELAY_HEAVY_TAIL: return least + mean / 3 * (pow(u, -1 / 1.5) - 1);
    case DELAY_LOPSIDED: return is_answer ? least : 10 * least;
    default: return least - (is_answer ? 1 : 3) * mean * log(u);
    }
}

/* The server's clock at a client's time; readings are cut to whole ns. */
static int64_t server_clock(const struct simulation *simulation, double t)
{
    return simulation->start_ns + simulation->offset_ns + (int64_t)floor(t + simulated_theta(simulation, t));
}

struct simulated_call *simulated_calls(const struct simulation *simulation, size_t count)
{
    struct simulated_call *const calls = malloc((count + 1) * sizeof *calls);
    uint64_t state = simulation->seed;
    double t = 0;
    for (size_t i = 0; calls && i < count;) {
        t += -simulation->interval_ns * log(simulated_random(&state));
        const double received = t + delay_of(simulation, &state, false);
        const double replied = received - simulation->work_ns * log(simulated_random(&state));
        const double answered = replied + delay_of(simulation, &state, true);
        const struct simulated_call call = {simulation->start_ns + (int64_t)floor(t), server_clock(simulation, received),
                                            server_clock(simulation, replied),
                                            simulation->start_ns + (int64_t)floor(answered)};
        if (simulated_random(&state) >= simulation->loss && call.t3 >= call.t2)
            calls[i++] = call;
    }
    for (size_t i = 0; calls && simulation->disorder != 0 && i + 1 < count; i++) {
        const size_t other = i + (size_t)(simulated_random(&state) * (double)(simulation->disorder + 1));
        if (other < count) {
            const struct simulated_call call = calls[i];
            calls[i] = calls[other];
            calls[other] = call;
        }
    }
    return calls;
}
