/* SPDX-License-Identifier: MIT
 *
 * Trace contexts: which trace a piece of work belongs to, and which step of it. They travel between processes as W3C Trace
 * Context (level 2) writes them, as grpc-trace-bin, and in the environment of a child. Included by lapmark.h.
 *
 * All but lap_context_environment(): any thread, in signal handlers and in a forked child, nothing from the heap, errno stays.
 * With LAPMARK_DISABLE defined they are empty functions, which give invalid contexts and 0; unlike macros they evaluate their
 * arguments.
 */
#ifndef LAPMARK_CONTEXT_H
#define LAPMARK_CONTEXT_H

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAP_CONTEXT_SAMPLED 1u /* flag: who sent it records the trace */
#define LAP_CONTEXT_RANDOM 2u  /* flag: the last 7 bytes of the trace's id are random */

#define LAP_TRACEPARENT_BYTES 56u /* with the 0 behind it */
#define LAP_GRPC_TRACE_BIN_BYTES 29u

/* A step of a trace. All zero is none; reserved bytes are 0. */
struct lap_context {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
    uint8_t reserved[7];
};

/* Is there one: neither id is all zero. NULL: no. */
LAP_I_INLINE int lap_context_is_valid(const struct lap_context *context)
{
    uint64_t words[3] = {0, 0, 0};
    if (context)
        __builtin_memcpy(words, context, sizeof words);
    return (words[0] | words[1]) != 0 && words[2] != 0;
}

#ifndef LAPMARK_DISABLE

/* A new trace and its first step. Its flags are LAP_CONTEXT_RANDOM; set LAP_CONTEXT_SAMPLED where the steps are recorded and
 * those who are called should, too. No two ids of a process are the same, and a forked child's, however it was forked, are not
 * its parent's (but for a call that a handler interrupts which forks, and whose child returns, too). Not for secrets: who sees
 * many ids may work out others. Warm: some 50 ns; cold the first time in a process and in a thread. */
LAP_I_API struct lap_context lap_context_new(void);
/* The next step: the parent's trace and flags, and an id of its own. An invalid parent: as lap_context_new(). Warm. */
LAP_I_API struct lap_context lap_context_child(struct lap_context parent);

/* The calling thread's context, for who cannot hand it on: nothing here looks at it. A new thread has none, a forked child has
 * that of the thread that forked. What a signal handler sets and sets back is not noticed. Warm. */
LAP_I_API struct lap_context lap_context_current(void);
/* Sets it, zeros: none, and returns the one before. Without memory there is none. Warm. */
LAP_I_API struct lap_context lap_context_set(struct lap_context context);

/* Reads the value of a traceparent header, `bytes` long, without white space around it. Version 00 is read strictly, a later one
 * by its first four fields, with the flags known here. Returns 0, or -EINVAL: restart the trace, and leave its tracestate. */
LAP_I_API int lap_traceparent_read(struct lap_context *ret_context, const char *text, uint64_t bytes);
/* Writes it as version 00, with the flags known here, and a 0. Returns 55; an invalid context: 0, with "". */
LAP_I_API uint64_t lap_traceparent_write(char out[LAP_TRACEPARENT_BYTES], const struct lap_context *context);

/* A tracestate goes on untouched, with its traceparent. Is it one, by the specification's grammar, with at most 32 members and no
 * key twice, and of at most 512 characters, which is what everybody must carry? 1, or 0: may be dropped. "" is one. */
LAP_I_API int lap_tracestate_is_sound(const char *text, uint64_t bytes);

/* The value of a grpc-trace-bin header, decoded from its base64: version 0 with all three fields in order. 0 or -EINVAL. */
LAP_I_API int lap_grpc_trace_bin_read(struct lap_context *ret_context, const void *data, uint64_t bytes);
/* Returns 29; an invalid context: 0, with `out` untouched. */
LAP_I_API uint64_t lap_grpc_trace_bin_write(uint8_t out[LAP_GRPC_TRACE_BIN_BYTES], const struct lap_context *context);

/* The context in TRACEPARENT, and TRACESTATE (not checked; NULL: none; the environment's; ret_tracestate may be NULL). Returns 0,
 * -ENOENT: there is none, or the process has privileges that its environment must not use, -EINVAL: it is not sound. Not while
 * another thread changes the environment. Cold. */
LAP_I_API int lap_context_from_environment(struct lap_context *ret_context, const char **ret_tracestate);
/* An environment for a child: a copy of `environment` (NULL: empty), in its order, with TRACEPARENT and TRACESTATE replaced,
 * or added at its end. Where `tracestate` is NULL or "", TRACESTATE is removed, since it belongs to another traceparent; where
 * the context is invalid, both. The process's own is not changed. Returns one block from malloc(), for free(). NULL: none, with
 * errno, and always with LAPMARK_DISABLE: take the one that you have. The one function that takes from the heap: not in signal
 * handlers, and before the fork, not between it and exec. Not while another thread changes `environment`. Cold. */
LAP_I_API char **lap_context_environment(char *const *environment, const struct lap_context *context,
                                         const char *tracestate);

#else

LAP_I_INLINE struct lap_context lap_impl_no_context(void)
{
    const struct lap_context none = {{0}, {0}, 0, {0}};
    return none;
}
LAP_I_INLINE struct lap_context lap_context_new(void) { return lap_impl_no_context(); }
LAP_I_INLINE struct lap_context lap_context_child(struct lap_context parent)
{
    return (void)parent, lap_impl_no_context();
}
LAP_I_INLINE struct lap_context lap_context_current(void) { return lap_impl_no_context(); }
LAP_I_INLINE struct lap_context lap_context_set(struct lap_context context)
{
    return (void)context, lap_impl_no_context();
}
LAP_I_INLINE int lap_traceparent_read(struct lap_context *ret_context, const char *text, uint64_t bytes)
{
    *ret_context = lap_impl_no_context();
    return (void)text, (void)bytes, 0;
}
LAP_I_INLINE uint64_t lap_traceparent_write(char out[LAP_TRACEPARENT_BYTES], const struct lap_context *context)
{
    out[0] = 0;
    return (void)context, UINT64_C(0);
}
LAP_I_INLINE int lap_tracestate_is_sound(const char *text, uint64_t bytes) { return (void)text, (void)bytes, 0; }
LAP_I_INLINE int lap_grpc_trace_bin_read(struct lap_context *ret_context, const void *data, uint64_t bytes)
{
    *ret_context = lap_impl_no_context();
    return (void)data, (void)bytes, 0;
}
LAP_I_INLINE uint64_t lap_grpc_trace_bin_write(uint8_t out[LAP_GRPC_TRACE_BIN_BYTES], const struct lap_context *context)
{
    return (void)out, (void)context, UINT64_C(0);
}
LAP_I_INLINE int lap_context_from_environment(struct lap_context *ret_context, const char **ret_tracestate)
{
    *ret_context = lap_impl_no_context();
    if (ret_tracestate)
        *ret_tracestate = 0;
    return 0;
}
LAP_I_INLINE char **lap_context_environment(char *const *environment, const struct lap_context *context,
                                            const char *tracestate)
{
    return (void)environment, (void)context, (void)tracestate, (char **)0;
}

#endif

#ifdef __cplusplus
}
#endif
#endif
