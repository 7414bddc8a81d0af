/* SPDX-License-Identifier: MIT
 *
 * call_client ADDRESS CALLS IN_FLIGHT: asks for items, some at a time.
 */
#include "call_messages.h"

#include <lapmark.h>

enum { IN_FLIGHT_MAX = 64 };

int main(int argc, char **argv)
{
    const unsigned calls = argc == 4 ? (unsigned)atoi(argv[2]) : 0, in_flight = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
    if (argc != 4 || in_flight == 0 || in_flight > IN_FLIGHT_MAX)
        return fprintf(stderr, "usage: call_client ADDRESS CALLS IN_FLIGHT\n"), 2;
    const int fd = connect_to(argv[1]);
    static struct lap_call open[IN_FLIGHT_MAX]; /* by item, since replies tell theirs */
    LAP_PROFILE("fetch %u items, %u at a time", calls, in_flight);
    for (unsigned sent = 0, got = 0; got < calls;) {
        struct message message = {0};
        if (sent < calls && sent - got < in_flight) {
            struct lap_call *const call = &open[sent % IN_FLIGHT_MAX];
            message.item = sent++;
            lap_call_begin(call, "get item");
            memcpy(message.trailer, call->request, sizeof message.trailer);
            must(message_write(fd, &message), "the server");
            continue;
        }
        must(message_read(fd, &message), "the server");
        (void)lap_call_end(&open[message.item % IN_FLIGHT_MAX], message.trailer, sizeof message.trailer);
        LAP_MARK("got item");
        got++;
    }
    return 0;
}
