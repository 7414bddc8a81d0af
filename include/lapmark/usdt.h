/* SPDX-License-Identifier: MIT
 *
 * With LAPMARK_USDT defined before lapmark.h is included, what begins, marks and ends is a USDT probe as well: `lapmark:begin`,
 * `lapmark:mark` and `lapmark:end`, for bpftrace, perf, gdb and SystemTap to attach to. Nothing else has to be installed: the notes
 * that they read (the section .note.stapsdt) are written here.
 *
 *     bpftrace -e 'usdt:./program:lapmark:mark { printf("%s\n", str(arg0)); }'
 *
 * Arguments, all of 8 bytes: 0 the label (const char *), 1 the function, 2 the line, 3 the problem size or 0, 4 the handle or 0: a
 * profiler of a block, 5 the label's arguments (uint64_t each; NULL at an end), 6 the file. The label is as it is in the source, or a text
 * that was made at run time; "" at the end of a profiler with such a message, and at lap_end(), since neither is known there.
 *
 * A probe fires where its site is on, whatever is around it. A profiler of a block that begins while nobody is attached to begin or end
 * has no probe at its end either, so that each end has its begin; and after LAP_END() it is still its block's end that has the probe.
 * A handle's begin and end are probes by themselves. The time of a begin's and of an end's probe is outside of a block's profiler, that of
 * a mark's belongs to the lap that it closes.
 *
 * What it costs while nobody is attached: a test of two semaphores at each begin and mark, three instructions, and nothing at an end.
 * A site has a semaphore of its own, which its note names: who attaches to one place leaves the others alone. Beside it stand
 * those of the module, one for each name. For bcc, and so bpftrace, knows one semaphore of a name, that of the first note that it finds;
 * so a note of each name with the module's stands before all others, at code that nobody runs. Ends of blocks, and profilers of the
 * C++ class, whose code learns its site when it runs, have but the module's.
 */
#ifndef LAPMARK_USDT_H
#define LAPMARK_USDT_H

#include "abi.h"

/* What counts who is attached; the kernel, or a debugger, writes it. File-backed, so not all zeros, and its section tells bcc and
 * perf how addresses become offsets in the file. One for a module: an executable or a shared library. */
struct lap_impl_usdt_module {
    uint32_t scopes; /* that of begin, and behind it that of end: a profiler's begin looks at both */
    uint16_t mark;
    uint16_t reserved;
    const char *first; /* keeps the linker from leaving out the notes that stand before all others */
};
#define LAP_I_USDT_MODULE_BEGIN (&lap_impl_usdt_module.scopes)
#define LAP_I_USDT_MODULE_END ((const uint16_t *)&lap_impl_usdt_module.scopes + 1)
#define LAP_I_USDT_MODULE_MARK (&lap_impl_usdt_module.mark)
#ifdef __cplusplus
extern "C" {
#endif
extern const char lap_impl_usdt_first[] __attribute__((visibility("hidden")));
extern struct lap_impl_usdt_module lap_impl_usdt_module __attribute__((visibility("hidden")));
__attribute__((weak, used, section(".probes"), aligned(8))) struct lap_impl_usdt_module lap_impl_usdt_module = {
    0, 0, 0, lap_impl_usdt_first};
#ifdef __cplusplus
}
#endif

/* A site's own semaphore. A static variable of a C++ inline function could be another module's, so there it is one of this file. */
#ifdef __cplusplus
namespace
{
template <int> struct lap_impl_usdt_site {
    static uint16_t words[2];
};
template <int c> uint16_t lap_impl_usdt_site<c>::words[2] = {0, 1};
} // namespace
#define LAP_I_USDT_SITE(c) ((void)0)
#define LAP_I_USDT_OWN(c) (lap_impl_usdt_site<c>::words[0])
#else
#define LAP_I_USDT_SITE(c) static uint16_t LAP_I_JOIN(lap_i_usdt_, c)[2] = {0, 1}
#define LAP_I_USDT_OWN(c) (LAP_I_JOIN(lap_i_usdt_, c)[0])
#endif

/* What a probe tells; six arguments are the most that bpftrace takes. */
struct lap_impl_usdt_event {
    const char *label;
    const char *function;
    uint64_t line;
    int64_t n;
    uint64_t handle;
    const uint64_t *values;
    const char *file;
};

/* ---- notes ------------------------------------------------------------------------------------------------------- */

/* The parts of a note, from its header on; `place` is the probe's address. */
#define LAP_I_USDT_NOTE(name, place, semaphore, arguments)                                                               \
    ".balign 4\n"                                                                                                        \
    ".4byte 992f - 991f, 994f - 993f, 3\n"                                                                               \
    "991: .asciz \"stapsdt\"\n"                                                                                          \
    "992: .balign 4\n"                                                                                                   \
    "993: .8byte " place ", _.stapsdt.base, " semaphore "\n"                                                             \
    ".asciz \"lapmark\"\n"                                                                                               \
    ".asciz \"" name "\"\n"                                                                                              \
    ".asciz \"" arguments "\"\n"                                                                                         \
    "994: .balign 4\n"
/* By whose address in the file and in the note a reader sees how far the module was moved (prelink): one for a module. */
#define LAP_I_USDT_BASE                                                                                                  \
    ".ifndef _.stapsdt.base\n"                                                                                           \
    ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"                                          \
    ".weak _.stapsdt.base\n"                                                                                             \
    ".hidden _.stapsdt.base\n"                                                                                           \
    "_.stapsdt.base: .space 1\n"                                                                                         \
    ".size _.stapsdt.base, 1\n"                                                                                          \
    ".popsection\n"                                                                                                      \
    ".endif\n"

/* Where a probe's arguments are: in an event whose address is in a register, so that a site needs but one. */
#if defined(__x86_64__)
#define LAP_I_USDT_STACK "%rsp"
#define LAP_I_USDT_ARGUMENTS(event)                                                                                      \
    "8@(" event ") 8@8(" event ") 8@16(" event ") -8@24(" event ") 8@32(" event ") 8@40(" event ") 8@48(" event ")"
#else
#define LAP_I_USDT_STACK "sp"
#define LAP_I_USDT_ARGUMENTS(event)                                                                                      \
    "8@[" event "] 8@[" event ", 8] 8@[" event ", 16] -8@[" event ", 24] 8@[" event ", 32] 8@[" event ", 40] "           \
    "8@[" event ", 48]"
#endif

/* The first notes of a module, with its own semaphores: one set, of which the linker takes care, and the assembler where it sees several
 * files as one. All of a name must have arguments of one form. */
/* clang-format off */
__asm__(LAP_I_USDT_BASE
        ".ifndef lap_impl_usdt_first\n"
        ".pushsection .text.lapmark_usdt, \"axG\", \"progbits\", lap_impl_usdt_first, comdat\n"
        ".weak lap_impl_usdt_first\n"
        ".hidden lap_impl_usdt_first\n"
        ".type lap_impl_usdt_first, \"function\"\n"
        "lap_impl_usdt_first:\n"
        "985: nop\n"
        "986: nop\n"
        "987: nop\n"
        ".size lap_impl_usdt_first, . - lap_impl_usdt_first\n"
        ".popsection\n"
        ".pushsection .note.stapsdt, \"G\", \"note\", lap_impl_usdt_first, comdat\n"
        LAP_I_USDT_NOTE("begin", "985b", "lap_impl_usdt_module", LAP_I_USDT_ARGUMENTS(LAP_I_USDT_STACK))
        LAP_I_USDT_NOTE("end", "986b", "lap_impl_usdt_module + 2", LAP_I_USDT_ARGUMENTS(LAP_I_USDT_STACK))
        LAP_I_USDT_NOTE("mark", "987b", "lap_impl_usdt_module + 4", LAP_I_USDT_ARGUMENTS(LAP_I_USDT_STACK))
        ".popsection\n"
        ".endif\n");
/* clang-format on */

/* ---- probes ------------------------------------------------------------------------------------------------------ */

/* A tracer cannot read what is not in memory, and does not bring it there. */
LAP_I_INLINE void lap_impl_usdt_touch(const char *text)
{
    if (text)
        (void)*(const volatile char *)text;
}

/* `words`: of a begin or mark, among which a size goes before `n`; NULL at an end. */
static LAP_I_COLD __attribute__((unused)) void lap_impl_usdt_event_fill(struct lap_impl_usdt_event *ret_event,
                                                                        const struct lap_impl_site *site,
                                                                        const uint64_t *words, int64_t n, uint64_t handle)
{
    const unsigned sizes = words ? site->flags & LAP_IMPL_SITE_N : 0;
    ret_event->label =
        words && site->flags & LAP_IMPL_SITE_TEXT ? (const char *)(uintptr_t)words[sizes + site->args] : site->label;
    ret_event->function = site->function;
    ret_event->file = site->file;
    ret_event->line = site->line;
    ret_event->n = sizes ? (int64_t)words[0] : n;
    ret_event->handle = handle;
    ret_event->values = words ? words + sizes : words;
    lap_impl_usdt_touch(ret_event->label);
    lap_impl_usdt_touch(ret_event->function);
    lap_impl_usdt_touch(ret_event->file);
}

/* The constraint for the address of a variable of this file, in code that may lie anywhere. */
#if defined(__aarch64__) && !defined(__clang__)
#define LAP_I_USDT_ADDRESS "S"
#else
#define LAP_I_USDT_ADDRESS "i"
#endif
/* The probe itself. In a group's section (C++) its note belongs to the group, and goes with it. */
#define LAP_I_USDT_NOP(name, semaphore, event)                                                                           \
    __asm__ volatile("990: nop\n" LAP_I_USDT_BASE ".pushsection .note.stapsdt, \"?\", \"note\"\n" LAP_I_USDT_NOTE(       \
                         name, "990b", "%c[semaphore_of]", LAP_I_USDT_ARGUMENTS("%[event_of]")) ".popsection\n"          \
                     :                                                                                                   \
                     : [semaphore_of] LAP_I_USDT_ADDRESS(semaphore), [event_of] "r"(event)                               \
                     : "memory")
#define LAP_I_USDT_FIRE(name, semaphore, site, words, n, handle)                                                         \
    do {                                                                                                                 \
        struct lap_impl_usdt_event lap_i_event;                                                                          \
        lap_impl_usdt_event_fill(&lap_i_event, site, words, n, handle);                                                  \
        LAP_I_USDT_NOP(name, semaphore, &lap_i_event);                                                                   \
    } while (0)

/* Is anybody attached? Others write the semaphores: the compiler is told so without a load that it may not fold. */
#define LAP_I_USDT_IS_OBSERVED(own, module)                                                                              \
    __extension__({                                                                                                      \
        __asm__ volatile("" : "+m"(own), "+m"(lap_impl_usdt_module));                                                    \
        LAP_I_UNLIKELY((own) | (module)) != 0;                                                                           \
    })

/* ---- what lapmark.h puts around its sites -------------------------------------------------------------------------- */

/* A scope's mode is one of enum lap_impl_scope_mode, and this if its end has a probe; then `threshold_ticks`, which the library does
 * not use, is its site's address. Only for code that is compiled with the scope's begin: the library is shown the mode alone. */
#define LAP_I_USDT_OBSERVED 8u

static LAP_I_COLD __attribute__((unused)) void lap_impl_usdt_scope_end(struct lap_impl_scope *scope)
{
    scope->mode &= ~LAP_I_USDT_OBSERVED;
    lap_impl_end(scope);
}

LAP_I_INLINE void lap_impl_usdt_scope_observe(struct lap_impl_scope *scope, const struct lap_impl_site *site)
{
    scope->mode |= LAP_I_USDT_OBSERVED;
    scope->threshold_ticks = (uintptr_t)site;
}

LAP_I_INLINE void lap_impl_usdt_end_fire(uint64_t address)
{
    const struct lap_impl_site *const site = (const struct lap_impl_site *)(uintptr_t)address;
    LAP_I_USDT_FIRE("end", LAP_I_USDT_MODULE_END, site, 0, 0, 0);
}

/* The cleanup of a scope's variable: where nobody is attached it has no more to do than lap_impl_end(). */
LAP_I_INLINE void lap_impl_usdt_end(struct lap_impl_scope *scope)
{
    if (LAP_I_LIKELY(scope->mode == LAP_IMPL_SCOPE_FAST)) {
        lap_impl_end(scope);
    } else if (LAP_I_LIKELY(scope->mode == LAP_IMPL_SCOPE_MUTE)) {
        lap_impl_local.divert = 0;
    } else {
        const uint32_t mode = scope->mode;
        lap_impl_usdt_scope_end(scope);
        if (mode & LAP_I_USDT_OBSERVED)
            lap_impl_usdt_end_fire(scope->threshold_ticks);
    }
}

#define LAP_I_END lap_impl_usdt_end

/* In place of lap_impl_begin(): then it begins out of line. */
#define LAP_I_SCOPE_BEGIN(c, scope, site, state, flags, words, count)                                                    \
    do {                                                                                                                 \
        LAP_I_USDT_SITE(c);                                                                                              \
        if (LAP_I_USDT_IS_OBSERVED(LAP_I_USDT_OWN(c), lap_impl_usdt_module.scopes)) {                                    \
            LAP_I_USDT_FIRE("begin", &LAP_I_USDT_OWN(c), site, words, 0, 0);                                             \
            (scope)->mode = LAP_IMPL_SCOPE_NONE;                                                                         \
            lap_impl_begin_cold(scope, site, 0, words);                                                                  \
            lap_impl_usdt_scope_observe(scope, site);                                                                    \
        } else {                                                                                                         \
            lap_impl_begin(scope, site, state, flags, words, count);                                                     \
        }                                                                                                                \
    } while (0)
/* In place of lap_impl_begin_with(). */
#define LAP_I_SCOPE_BEGIN_WITH(c, scope, site, options, words)                                                           \
    do {                                                                                                                 \
        LAP_I_USDT_SITE(c);                                                                                              \
        const int LAP_I_JOIN(lap_i_observed_, c) =                                                                       \
            LAP_I_USDT_IS_OBSERVED(LAP_I_USDT_OWN(c), lap_impl_usdt_module.scopes);                                      \
        if (LAP_I_JOIN(lap_i_observed_, c))                                                                              \
            LAP_I_USDT_FIRE("begin", &LAP_I_USDT_OWN(c), site, words, (options)->n, 0);                                  \
        lap_impl_begin_with(scope, site, options, words);                                                                \
        if (LAP_I_JOIN(lap_i_observed_, c))                                                                              \
            lap_impl_usdt_scope_observe(scope, site);                                                                    \
    } while (0)
/* Beside what the site does. */
#define LAP_I_USDT_PROBE(c, name, module, site, words, n, handle)                                                        \
    do {                                                                                                                 \
        LAP_I_USDT_SITE(c);                                                                                              \
        if (LAP_I_USDT_IS_OBSERVED(LAP_I_USDT_OWN(c), module))                                                           \
            LAP_I_USDT_FIRE(name, &LAP_I_USDT_OWN(c), site, words, n, handle);                                           \
    } while (0)
#define LAP_I_MARK_PROBE(c, site, words) LAP_I_USDT_PROBE(c, "mark", lap_impl_usdt_module.mark, site, words, 0, 0)
/* Of a handle that is not 0. */
#define LAP_I_HANDLE_BEGIN_PROBE(c, site, words, n, handle)                                                              \
    do {                                                                                                                 \
        if ((handle) != 0)                                                                                               \
            LAP_I_USDT_PROBE(c, "begin", (uint16_t)lap_impl_usdt_module.scopes, site, words, n, handle);                 \
    } while (0)
#define LAP_I_HANDLE_MARK_PROBE(c, site, words, handle)                                                                  \
    do {                                                                                                                 \
        if ((handle) != 0)                                                                                               \
            LAP_I_USDT_PROBE(c, "mark", lap_impl_usdt_module.mark, site, words, 0, handle);                              \
    } while (0)
/* lap_end() is a place in the source that has no site of the library's. */
#define LAP_I_USDT_HANDLE_END(c, handle)                                                                                 \
    __extension__({                                                                                                      \
        LAP_I_USDT_SITE(c);                                                                                              \
        const uint64_t LAP_I_JOIN(lap_i_handle_, c) = (handle);                                                          \
        const uint64_t LAP_I_JOIN(lap_i_total_ns_, c) = (lap_end)(LAP_I_JOIN(lap_i_handle_, c));                         \
        if (LAP_I_JOIN(lap_i_handle_, c) != 0 &&                                                                         \
            LAP_I_USDT_IS_OBSERVED(LAP_I_USDT_OWN(c), lap_impl_usdt_module.scopes >> 16)) {                              \
            const struct lap_impl_usdt_event LAP_I_JOIN(lap_i_end_, c) = {                                               \
                "", __func__, __LINE__, 0, LAP_I_JOIN(lap_i_handle_, c), 0, __FILE__};                                   \
            LAP_I_USDT_NOP("end", &LAP_I_USDT_OWN(c), &LAP_I_JOIN(lap_i_end_, c));                                       \
        }                                                                                                                \
        LAP_I_JOIN(lap_i_total_ns_, c);                                                                                  \
    })
#define LAP_I_USDT_HANDLE_END_C(c, handle) LAP_I_USDT_HANDLE_END(c, handle)
#define lap_end(handle) LAP_I_USDT_HANDLE_END_C(__COUNTER__, handle)

#ifdef __cplusplus
/* Of the class, whose labels are known when it runs. Its `threshold_ticks` is 0, or the site's address if its end has a probe: whoever
 * ends it may be compiled without all this. */
LAP_I_INLINE void lap_impl_usdt_object_begin(struct lap_impl_scope *scope, const struct lap_impl_site *site,
                                             const uint64_t *words, int64_t n)
{
    if (LAP_I_USDT_IS_OBSERVED(lap_impl_usdt_module.scopes, 0)) {
        LAP_I_USDT_FIRE("begin", LAP_I_USDT_MODULE_BEGIN, site, words, n, 0);
        scope->threshold_ticks = (uintptr_t)site;
    }
}
LAP_I_INLINE void lap_impl_usdt_object_mark(const struct lap_impl_site *site, const uint64_t *words)
{
    if (LAP_I_USDT_IS_OBSERVED(lap_impl_usdt_module.mark, 0))
        LAP_I_USDT_FIRE("mark", LAP_I_USDT_MODULE_MARK, site, words, 0, 0);
}
LAP_I_INLINE void lap_impl_usdt_object_end(struct lap_impl_scope *scope)
{
    const uint64_t site = scope->threshold_ticks;
    if (LAP_I_UNLIKELY(site != 0)) {
        scope->threshold_ticks = 0;
        lap_impl_usdt_end_fire(site);
    }
}
#define LAP_I_OBJECT_BEGIN(scope, label, n) lap_impl_usdt_object_begin(scope, (label).site, (label).words, n)
#define LAP_I_OBJECT_MARK(label) lap_impl_usdt_object_mark((label).site, (label).words)
#define LAP_I_OBJECT_END(scope) lap_impl_usdt_object_end(scope)
/* Never a function of its own, which the linker could take for that of a file that is compiled without all this. */
#define LAP_I_METHOD __attribute__((always_inline))
#endif
#endif
