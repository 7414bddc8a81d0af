/* SPDX-License-Identifier: MIT
 *
 * Calls of this process to itself, whose server tells laps with labels of every length that is sent, and longer ones.
 */
#include <lapmark.h>

#include <string.h>

int main(void)
{
    const lap_handle handle = lap_begin("handle");
    lap_share(LAP_SHARE_DOMAIN | LAP_SHARE_LAPS);
    LAP_PROFILE("client");
    for (size_t length = 1; length <= 60; length++) {
        struct lap_call call;
        struct lap_serve serve;
        uint8_t reply[LAP_REPLY_BYTES_MAX];
        char label[64] = "";
        memset(label, 'a', length);
        if (length == 50)
            memcpy(label, "\x1b[m", 3);
        lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = length % 2 ? handle : 0), "call");
        if (lap_serve_begin(&serve, call.request, sizeof call.request, 0, "serve") != 0)
            return 1;
        for (int i = 0; i < 3; i++)
            lap_mark_text(serve.handle, label);
        const uint64_t bytes = lap_serve_reply_notes(&serve, reply, sizeof reply);
        lap_end(serve.handle);
        if (lap_call_end(&call, reply, bytes) != 0)
            return 2;
        LAP_MARK("complete");
    }
    lap_end(handle);
    return 0;
}
