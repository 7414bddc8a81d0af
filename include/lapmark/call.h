/* SPDX-License-Identifier: MIT
 *
 * Calls to other processes, and where their time goes: on the wire or in the work. A caller puts 48 bytes into the request, a
 * server puts 48 bytes into the reply, each where the protocol has a field for such a thing; the library moves no bytes. With the
 * reply, the caller knows
 *
 *     server  = t3 - t2, of which the request waited `queue` to be begun
 *     between = (t4 - t1) - (t3 - t2): wire, kernels, a queue that the server cannot see, the caller's own wake-up
 *
 * from two clocks that need not agree, and its report says so on the lap that awaited the reply:
 *
 *     batch IPC call complete: 98.3100 ms, tot: 99.9250 ms (server 61.2000: handle 57.9000, queue 3.3000; between 37.1100)
 *
 *     struct lap_call call;                                    struct lap_serve serve;
 *     lap_call_begin(&call, "get items");                      lap_serve_begin(&serve, trailer, bytes, arrived, "get items");
 *     send(..., call.request, sizeof call.request);            ...
 *     ... reply, its trailer ...                               lap_serve_reply(&serve, trailer);
 *     lap_call_end(&call, trailer, trailer_bytes);             ... send ...
 *     LAP_MARK("call complete");                               lap_end(serve.handle);
 *
 * Nothing that a peer sends is trusted: a trailer that is none, or another call's, is counted and refused, and the worst that a
 * peer can do is to give wrong times for its own part. Where it runs (the clock domain) and what it does (its laps) leave a process
 * only by LAPMARK_SHARE or lap_share(). What a peer wishes to be kept, printed or switched here is so only by LAPMARK_ACCEPT or
 * lap_accept(), and ten times a second. Threads: a call may begin on one and end on another; each struct is for one at a time. Fork: a
 * child has no part in its parent's calls. Not for signal handlers, but harmless there. All since 0.1.
 */
#ifndef LAPMARK_CALL_H
#define LAPMARK_CALL_H

#include "abi.h"
#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAP_TRAILER_BYTES 48
#define LAP_NOTES_BYTES 200     /* what a reply may say behind its trailer, at most */
#define LAP_REPLY_BYTES_MAX 248 /* both */

/* How a call's time divides, in nanoseconds. */
struct lap_split {
    uint64_t total_ns;  /* t4 - t1 */
    uint64_t server_ns; /* the rest is 0 without LAP_SPLIT_SERVER */
    uint64_t queue_ns;  /* of server_ns: from the request's arrival to its begin, where the server knows that */
    uint64_t between_ns;
    uint64_t there_ns; /* of between_ns, with LAP_SPLIT_WAYS: both sides read one clock, and said so */
    uint64_t back_ns;
    uint32_t flags; /* LAP_SPLIT_* */
    uint32_t reserved;
};
enum lap_split_flags {
    LAP_SPLIT_SERVER = 1,
    LAP_SPLIT_WAYS = 2,
    LAP_SPLIT_SLOW = 4, /* the server's profiler took its threshold */
    LAP_SPLIT_KEPT = 8  /* and so the one here is kept and printed, whatever it takes: LAP_ACCEPT_SLOW */
};

/* A call that this process makes. The caller's memory; what is not named here is the library's. */
struct lap_call {
    uint8_t request[LAP_TRAILER_BYTES]; /* what goes with the request; zeros where the call is off */
    struct lap_context context;         /* the call's own: for a traceparent, too */
    struct lap_split split;             /* since lap_call_end */
    uint64_t handle, sent_ticks;
    uint32_t class_id, path, is_open, flags;
};

struct lap_call_options {
#ifdef __cplusplus
#define LAP_I_DEFAULT_CALL(value) = value
#else
#define LAP_I_DEFAULT_CALL(value)
#endif
    uint32_t size LAP_I_DEFAULT_CALL(32); /* of this structure */
    uint32_t reserved LAP_I_DEFAULT_CALL(0);
    /* of lap_begin: whose lap awaits the reply; 0: the innermost scope of the thread that ends the call */
    uint64_t handle LAP_I_DEFAULT_CALL(0);
    /* whose child the call is; NULL: the thread's own context, or a new trace */
    const struct lap_context *parent LAP_I_DEFAULT_CALL(0);
    /* what it follows: the `context` of an earlier attempt at it; NULL: nothing */
    const struct lap_context *follows LAP_I_DEFAULT_CALL(0);
};
#ifdef __cplusplus
#define LAP_CALL_OPTS(...) (lap_call_options{__VA_ARGS__})
#else
#define LAP_CALL_OPTS(...) ((struct lap_call_options){.size = sizeof(struct lap_call_options), __VA_ARGS__})
#endif

/* A request that this process serves. */
struct lap_serve {
    uint64_t handle;            /* its profiler, for lap_mark() and lap_end(); 0: off */
    struct lap_context context; /* the call's, for calls that are made on its behalf; zeros: the request had none */
    uint64_t received_ticks, begin_ticks;
    uint32_t has_trailer;
    uint32_t is_slow; /* for bindings, whose handles the library does not know: it has taken its threshold */
};

/* The clock that the library reads, in its ticks: for `arrived` below. Hot. */
LAP_I_API uint64_t lap_now(void);

/* Ends a call. `reply`: the trailer that came with the reply, and what came behind it, of any alignment; NULL or 0 bytes: there
 * was none, or no reply came. Of what is behind a trailer that is taken, the server's laps are stored and printed with the call;
 * what is wrong there is left out and counted, once. Returns 0, or what is wrong with the reply, the call being ended all the
 * same: -ENOMSG: no trailer (the peer is silent), -EBADMSG: none of these, damaged, or with times that cannot be; -EPROTO:
 * another call's; -EINVAL: it is not open. Warm. */
LAP_I_API int lap_call_end(struct lap_call *call, const void *reply, uint64_t bytes);

/* Ends a call to which no reply comes, once it is sent: then `split` has but the time that took, and the recording of the server
 * tells when it arrived. Returns 0, or -EINVAL: it is not open. Warm. */
LAP_I_API int lap_call_sent(struct lap_call *call);

/* For a request without a trailer whose context is known, from its traceparent or from a child's environment: the profiler is
 * that step's child. Stored once. Returns 0, -EINVAL: the context is invalid, or -EEXIST: whose child it is was said before.
 * Warm. */
LAP_I_API int lap_serve_parent(struct lap_serve *serve, const struct lap_context *context);

/* One of several replies to a call, but the last, which goes to lap_call_end() and alone gives the split: what this one says of the
 * two clocks is stored, and whether it was slow for the server. Returns as that does. Warm. */
LAP_I_API int lap_call_part(struct lap_call *call, const void *reply, uint64_t bytes);

/* Stamps t3 and writes the reply's trailer; what the profiler does after that is not the call's. Returns LAP_TRAILER_BYTES, or 0 with
 * zeros written: the request had no trailer, so that its sender may not know what this is. Once for each reply. Warm. */
LAP_I_API uint64_t lap_serve_reply(struct lap_serve *serve, void *out);

/* The context of an open profiler, for whom it starts: a child of the step that it serves, else of the thread's own, else a new
 * trace. Made and stored at the first call, and the same at each further one. Zeros: 0, or a stale handle, which is
 * counted. Warm. */
LAP_I_API struct lap_context lap_handle_context(uint64_t handle);

/* This step led to the profiler, or (0) to the thread's innermost scope, without being what it is part of: a batch follows each
 * of its requests. An invalid context: nothing; a stale handle is counted. Warm: about 50 ns. */
LAP_I_API void lap_link(uint64_t handle, const struct lap_context *other);

/* The same, and behind the trailer, as far as `room` goes, what else this process shares with its peers: with LAP_SHARE_LAPS the
 * profiler's laps up to now, those of a label as one, at most four. `room`: at least LAP_TRAILER_BYTES; LAP_REPLY_BYTES_MAX is
 * enough for all. Returns the bytes written, for lap_call_end() as they are. Without anything to tell as lap_serve_reply(); with
 * it cold: it reads the rings that hold the profiler's events, 65,536 events of each at most, and that is a part of the server's
 * time. */
LAP_I_API uint64_t lap_serve_reply_notes(struct lap_serve *serve, void *out, uint64_t room);

/* What this process tells its peers, besides LAPMARK_SHARE, as a sum of these. LAP_SHARE_DOMAIN: a number for its clock, the same
 * for all processes of a machine since it was booted; with it there and back are told apart. LAP_SHARE_LAPS: what
 * lap_serve_reply_notes() says of it: labels leave the process. For calls that begin later. */
enum lap_share { LAP_SHARE_DOMAIN = 1, LAP_SHARE_LAPS = 2 };
LAP_I_API void lap_share(uint32_t what);

/* What peers may wish for, besides LAPMARK_ACCEPT; all of them together ten times a second, what comes beyond that is counted.
 * LAP_ACCEPT_SLOW: where a call was slow for the peer, this side keeps and prints its own, too. A caller learns it from the reply; a
 * server from the next request of that kind, which names the slowest call of a profiler that took its threshold. It holds the last
 * 64 that it has served for that. LAP_ACCEPT_THRESHOLD: a request brings what lap_call_wish() has put into it, for the profiler that
 * serves it, in place of the code's threshold and .disabled; LAPMARK's terms and lap_set() go before both. From then on. */
enum lap_accept { LAP_ACCEPT_SLOW = 1, LAP_ACCEPT_THRESHOLD = 2 };
LAP_I_API void lap_accept(uint32_t what);

/* What the caller wishes of the server's profiler, before the request is sent. `threshold_ms` 0: as it is there; from 1 us on, it
 * comes there within 0.3 %. Warm. */
enum lap_wish { LAP_WISH_AS_IT_IS = 0, LAP_WISH_OFF = 1, LAP_WISH_ON = 2 };
LAP_I_API void lap_call_wish(struct lap_call *call, enum lap_wish wish, double threshold_ms);

/* What the macros call. */
LAP_I_API void lap_impl_serve_options(struct lap_options *options, const void *trailer, uint64_t bytes);
LAP_I_API void lap_impl_call_begin(struct lap_call *call, struct lap_impl_site *site,
                                   const struct lap_call_options *options);
LAP_I_API int lap_impl_serve_begin(struct lap_serve *serve, uint64_t handle, const void *trailer, uint64_t bytes,
                                   uint64_t arrived_ticks);
/* For bindings, whose handles have their paths with them. `relation`: enum lap_format_relation, of the call with this context, or
 * of the profiler: NULL. */
LAP_I_API void lap_impl_link(uint64_t handle, uint32_t path, uint32_t relation, const struct lap_context *call,
                             const struct lap_context *other);
/* For bindings, whose handles have their paths with them; and what is shared by all that says so. */
LAP_I_API void lap_impl_call_begin_at(struct lap_call *call, struct lap_impl_site *site, uint64_t handle, uint32_t path,
                                      const struct lap_context *parent);
LAP_I_API uint32_t lap_impl_shared(void);
/* For bindings, which hold the last profilers that have served and ended without a report themselves: the same of enum lap_accept; what
 * to do where a request says that this earlier call was slow for its caller; and that a call was, for the next request of its class.
 * `is_held`: by the binding, which prints it where this is 1; else the library looks. 0: not kept, counted. -EPERM: not accepted. */
LAP_I_API uint32_t lap_impl_accepted(void);
LAP_I_API int lap_impl_served_keep(uint64_t span_id, int is_held);
LAP_I_API void lap_impl_call_slow(uint64_t span_id, uint32_t class_id);

#ifdef __cplusplus
}
#endif
#endif
