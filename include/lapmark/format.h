/* SPDX-License-Identifier: MIT
 *
 * What is in a recording, byte by byte; doc/format.md is the specification, this header its letter. Fixed width,
 * little-endian, offsets asserted. Written by the recorder, read by anybody.
 */
#ifndef LAPMARK_FORMAT_H
#define LAPMARK_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define LAP_FORMAT_VERSION 1u

/* ---- segments: one file, one CTF packet -------------------------------------------------------------------------- */

#define LAP_FORMAT_PACKET_MAGIC 0xC1FC1FC1u
#define LAP_FORMAT_METADATA_MAGIC 0x75D11D57u
#define LAP_FORMAT_CLASS_MASK 0xFFFFFu
#define LAP_FORMAT_CLASSES (1u << 20)
#define LAP_FORMAT_CLOCK_SHIFT 20
#define LAP_FORMAT_CLOCK_MASK ((UINT64_C(1) << 44) - 1)
#define LAP_FORMAT_THREAD_NAME_BYTES 32

struct lap_format_segment {
    uint32_t magic;
    uint8_t uuid[16];
    uint32_t stream_class; /* 0 */
    uint64_t stream;       /* the ring's number: segments of one ring share it */
    uint64_t content_bits; /* grows with every event: the commit */
    uint64_t packet_bits;  /* the file's size */
    uint64_t begin_ticks;  /* every event lies within 2^44 ticks of it */
    uint64_t sequence;     /* from 0 in each ring, without gaps */
    uint64_t lost_events;  /* of this ring, before this segment */
    uint64_t paused_ticks; /* the recorder's own time on this ring, before this segment */
    uint64_t thread_id;    /* the kernel's, of the thread that opened the segment */
    uint64_t thread_index; /* its number in the process, from 0; never used twice */
    uint64_t clock_ticks;  /* a reading of three clocks, for calibration */
    uint64_t clock_monotonic_ns;
    uint64_t clock_realtime_ns;
    uint8_t thread_name[LAP_FORMAT_THREAD_NAME_BYTES]; /* UTF-8, ended by 0 */
};
static_assert(sizeof(struct lap_format_segment) == 152, "segment header");
static_assert(offsetof(struct lap_format_segment, content_bits) == 32, "content_size");
#define LAP_FORMAT_SEGMENT_HEADER_BYTES 152u
#define LAP_FORMAT_SEGMENT_BYTES_MIN (64u << 10)
#define LAP_FORMAT_SEGMENT_BYTES_MAX ((16u << 20) - 4096u) /* so that `applied` has room for its end */

/* Classes with a fixed meaning; sites get theirs from LAP_FORMAT_FIRST_SITE_CLASS on. 0 is never an event; in a path it
 * stands for the rest, the time between the last checkpoint and the end. */
enum lap_format_fixed_class {
    LAP_FORMAT_REST = 0,
    LAP_FORMAT_END = 1,
    LAP_FORMAT_ABANDONED = 2,
    LAP_FORMAT_PAUSE = 3,
    LAP_FORMAT_OPEN = 4,
    LAP_FORMAT_HANDLE_END = 5,
    LAP_FORMAT_THREAD = 6,
    LAP_FORMAT_SERVE = 7,
    LAP_FORMAT_REPLY = 8,
    LAP_FORMAT_LINK = 9,
    LAP_FORMAT_PEER_LAP = 10,
    LAP_FORMAT_FIRST_SITE_CLASS = 16
};

/* Payloads lie in memory that is also read as words. */
#define LAP_FORMAT_PAYLOAD __attribute__((may_alias))

/* Payloads, behind the event's first word. An event whose class has strings starts its payload with its whole size in
 * bytes, and ends it with a zero word behind the strings, so that it ends on 8 bytes. */
struct lap_format_abandoned {
    uint64_t count; /* innermost scopes that were left without an end */
};
struct lap_format_pause {
    uint64_t ticks; /* the recorder's own time, up to this event's clock; no lap contains it */
};
struct LAP_FORMAT_PAYLOAD lap_format_handle_end {
    uint64_t handle;
    uint64_t lap_ticks;   /* since its last checkpoint */
    uint64_t total_ticks; /* since its begin */
    uint32_t path;
    uint32_t marks; /* checkpoints it had */
};
struct LAP_FORMAT_PAYLOAD lap_format_begin_with {
    uint64_t threshold_ns;
    int64_t n;
    uint64_t parent; /* a handle, or 0 */
    uint32_t path;   /* of the parent handle, or 0 */
    uint32_t flags;  /* LAP_FORMAT_FLAG_* */
};
struct LAP_FORMAT_PAYLOAD lap_format_handle_begin {
    uint64_t handle;
    uint64_t threshold_ns;
    int64_t n;
    uint64_t parent;
    uint32_t path; /* its own */
    uint32_t flags;
};
struct LAP_FORMAT_PAYLOAD lap_format_handle_mark {
    uint64_t handle;
    uint64_t lap_ticks;
    uint32_t path;   /* its own */
    uint32_t number; /* from 0 */
};
/* A call to another process, stored by the caller when it is over. Ticks are whole ones, not cut to 44 bits: the caller's own, and
 * the peer's of its own clock. */
struct LAP_FORMAT_PAYLOAD lap_format_call {
    uint64_t handle;                      /* whose lap awaited it; 0: the thread's innermost scope */
    uint64_t trace_id_high, trace_id_low; /* as numbers, whose digits are those of a traceparent */
    uint64_t span_id;                     /* the call's own */
    uint64_t sent_ticks;                  /* t1 */
    uint64_t received_ticks;              /* t2, 0: the peer said nothing */
    uint64_t replied_ticks;               /* t3 */
    uint64_t got_ticks;                   /* t4 */
    uint64_t peer_domain;                 /* 0: it was not said */
    uint32_t peer_khz;                    /* ticks of the peer's clock in a millisecond */
    uint32_t queue_us;                    /* from its arrival to its begin there, of the time from t2 to t3 */
    uint32_t path;                        /* its own */
    uint32_t number;                      /* checkpoints that the handle had */
    uint32_t flags;                       /* LAP_FORMAT_CALL_* */
    uint32_t reserved;
};
enum lap_format_call_flags {
    LAP_FORMAT_CALL_REFUSED = 1, /* the reply's trailer was none, or another call's */
    LAP_FORMAT_CALL_SLOW = 2,    /* the peer says that it took its threshold */
    LAP_FORMAT_CALL_ONE_WAY = 4, /* no reply comes: it was over when it was sent, and t4 is that */
    LAP_FORMAT_CALL_KEPT = 8,    /* it was slow for the peer, and so its profiler here is kept and printed, too */
    /* one of its replies, and not the last: it is no call more, and says but what its times say of clocks */
    LAP_FORMAT_CALL_PART = 16
};
/* A profiler that serves a call; its clock is when it began. */
struct LAP_FORMAT_PAYLOAD lap_format_serve {
    uint64_t handle;
    uint64_t trace_id_high, trace_id_low;
    uint64_t span_id;        /* the call's, as its caller has stored it */
    uint64_t sent_ticks;     /* t1, of the caller's clock */
    uint64_t received_ticks; /* t2: the arrival where it is known, else the begin */
    uint64_t peer_domain;    /* the caller's, 0: it was not said */
};
/* It has replied, at this event's clock: t3. */
struct LAP_FORMAT_PAYLOAD lap_format_reply {
    uint64_t handle;
    uint64_t span_id;
    uint64_t replied_ticks;
};
/* What a profiler, or one of its calls, has to do with a step of a trace. */
struct LAP_FORMAT_PAYLOAD lap_format_link {
    uint64_t handle;      /* whose; 0: the thread's innermost scope's */
    uint64_t own_span_id; /* of its call that the link is of; 0: of the profiler */
    uint64_t trace_id_high, trace_id_low;
    uint64_t span_id;
    uint32_t relation; /* enum lap_format_relation */
    uint32_t path;     /* the handle's; LAP_FORMAT_PATH_NONE: a scope's, or not known */
};
enum lap_format_relation {
    LAP_FORMAT_LINK_IS = 1,     /* it is that step */
    LAP_FORMAT_LINK_PARENT = 2, /* it is a child of that step, which came without stamps */
    LAP_FORMAT_LINK_FOLLOWS = 3 /* that step led to it: one of a batch's requests, a call's earlier attempt */
};
/* A lap of a call's server, as its reply tells it: right behind the call. */
struct LAP_FORMAT_PAYLOAD lap_format_peer_lap {
    uint64_t size;
    uint64_t handle;  /* as the call's */
    uint64_t span_id; /* the call's */
    uint64_t sum_ns;  /* of the checkpoints with this label */
    uint32_t count;
    uint32_t number; /* as the call's */
    /* string label, then a zero word */
};
/* The state of a thread's open scopes, outermost first, at the start of a segment. */
struct LAP_FORMAT_PAYLOAD lap_format_open {
    uint64_t size;
    uint64_t begin_ticks;  /* of the clock */
    uint64_t begin_paused; /* paused ticks of the ring at the begin */
    uint64_t last_ticks;   /* its last checkpoint or begin, less the ring's paused ticks then */
    uint64_t threshold_ns;
    int64_t n;
    uint32_t class_id;
    uint32_t depth; /* from 0 */
    uint32_t marks;
    uint32_t flags;
    uint32_t path;
    uint32_t reserved;
    /* string message, then a zero word */
};
struct lap_format_thread {
    uint64_t size;
    uint64_t thread_id;
    uint64_t thread_index;
    /* string name, then a zero word */
};
enum lap_format_flags {
    LAP_FORMAT_FLAG_IMMEDIATE = 1,
    LAP_FORMAT_FLAG_PRINT = 2, /* it is one that prints */
    LAP_FORMAT_FLAG_DISABLED = 4
};
static_assert(sizeof(struct lap_format_handle_end) == 32 && sizeof(struct lap_format_begin_with) == 32 &&
                  sizeof(struct lap_format_handle_begin) == 40 && sizeof(struct lap_format_handle_mark) == 24 &&
                  sizeof(struct lap_format_open) == 72 && sizeof(struct lap_format_thread) == 24 &&
                  sizeof(struct lap_format_call) == 96 && sizeof(struct lap_format_serve) == 56 &&
                  sizeof(struct lap_format_reply) == 24 && sizeof(struct lap_format_link) == 48 &&
                  sizeof(struct lap_format_peer_lap) == 40,
              "payloads");
#define LAP_FORMAT_STRING_BYTES 256u /* a stored string with its 0 */
#define LAP_FORMAT_EVENT_BYTES_MAX 4096u

/* ---- side files, under .lapmark/ --------------------------------------------------------------------------------- */

/* .lapmark/control: this page, then a switch for each site. */
#define LAP_FORMAT_CONTROL_MAGIC UINT64_C(0x314C54434B50414C) /* "LAPKCTL1" */
enum lap_format_state { LAP_FORMAT_RUNNING = 1, LAP_FORMAT_ENDED = 2 };
enum lap_format_clock {
    LAP_FORMAT_CLOCK_TSC = 1,
    LAP_FORMAT_CLOCK_CNTVCT = 2,
    LAP_FORMAT_CLOCK_MONOTONIC = 3 /* clock_gettime: the counter is not one that the kernel trusts */
};
enum lap_format_loss {
    LAP_FORMAT_LOSS_SIGNAL = 0,     /* an event of a signal handler that came while its thread stored one */
    LAP_FORMAT_LOSS_MEMORY = 1,     /* no ring could be had */
    LAP_FORMAT_LOSS_DEPTH = 2,      /* scopes nested too deep */
    LAP_FORMAT_LOSS_HANDLE = 3,     /* handles: stale, ended twice, too many open */
    LAP_FORMAT_LOSS_CLASS = 4,      /* too many sites */
    LAP_FORMAT_LOSS_STATISTICS = 5, /* samples for which no memory was left */
    LAP_FORMAT_LOSS_DISK = 6,       /* 1: something could not be written, and recording stopped */
    LAP_FORMAT_LOSS_CLOCK = 7,      /* clocks that went backward (clamped, not lost) */
    LAP_FORMAT_LOSS_TRAILER = 8,    /* what peers sent as a trailer, and was none (the call was stored) */
    LAP_FORMAT_LOSS_WISH = 9,       /* what peers wished to be kept or switched, and was not: too late, or too often */
    LAP_FORMAT_LOSSES = 16
};
struct lap_format_clock_reading {
    uint64_t ticks;
    uint64_t monotonic_ns;
    uint64_t realtime_ns;
    uint64_t bracket_ticks; /* how long the reading took */
};
struct lap_format_control {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* 4096: where the switches start */
    uint64_t features;     /* bits a reader must know; none yet */
    uint8_t uuid[16];
    uint8_t boot_id[16];
    uint64_t pid;
    uint64_t start_time;    /* field 22 of /proc/PID/stat */
    uint64_t pid_namespace; /* inode */
    uint64_t time_namespace;
    uint32_t state;
    uint32_t clock_source;
    uint64_t clock_hz; /* ticks a second, as known at the start */
    uint64_t clock_resolution_ticks;
    struct lap_format_clock_reading start;
    struct lap_format_clock_reading end; /* zero while it runs */
    uint64_t segment_bytes;
    uint64_t segments_each; /* of a ring */
    uint64_t memory_limit_bytes;
    uint64_t memory_bytes;      /* in use */
    uint64_t event_ticks_x1000; /* what storing one event costs, measured at the start */
    uint64_t losses[LAP_FORMAT_LOSSES];
    uint32_t switches;         /* how many there are */
    uint32_t rings;            /* how many there are */
    uint64_t full;             /* 1: every segment is kept, 0: flight recorder */
    uint64_t removed_segments; /* full: the oldest, removed for the disk's bound */
    uint8_t program[64];
    uint8_t host[64];
    uint8_t command[256];
    /* What `lapmark ctl` leaves for sites that are yet to be met, and what it must know for that. */
    uint32_t mail;       /* number << LAP_FORMAT_MAIL_SHIFT | enum lap_format_mail */
    uint8_t mail_prints; /* enum lap_format_choice: what is asked for; 0: as it is */
    uint8_t mail_keeps_slow;
    uint8_t prints; /* enum lap_format_choice: as the recorder has it; 0: it takes no mail */
    uint8_t keeps_slow;
    uint32_t changes;         /* grows when the process itself works out its switches anew */
    uint32_t terms;           /* how many the recorder has, of LAP_FORMAT_TERMS */
    uint8_t mail_terms[2048]; /* text, ended by 0 */
    /* A snapshot of a process, and what it says of itself. */
    struct lap_format_clock_reading snapshot; /* when it was taken; zeros: this is the process's own recording */
    uint8_t snapshot_of[16];                  /* the process's own uuid; zeros where it was recording nothing */
    uint64_t snapshot_last_ns;                /* how far back it was to reach; 0: as far as the rings do */
    uint64_t snapshot_total_ticks;            /* what the profiler took that it was left for */
    uint32_t snapshot_class;                  /* the class of that one's begin; 0: it was asked for */
    /* Snapshots that a process leaves by itself, when a profiler takes its threshold or longer. */
    uint32_t breach_snapshots;        /* how many it has left */
    uint64_t breach_snapshots_spared; /* breaches that left none: too soon, too many, too much disk, or it failed */
    uint64_t breach_last_ns;          /* how far back they reach; 0: it leaves none */
    uint64_t clock_domain; /* processes with the same one read the same clock; made of boot, clock and time namespace */
    uint64_t links;        /* how many `link` events were stored: none, and a reader need not look for them */
};
static_assert(sizeof(struct lap_format_control) <= 4096 && offsetof(struct lap_format_control, mail) == 752 &&
                  offsetof(struct lap_format_control, snapshot) == 2816 && sizeof(struct lap_format_control) == 2920,
              "control page");
enum lap_format_mail { LAP_FORMAT_MAIL_TAKEN = 0, LAP_FORMAT_MAIL_WRITING = 1, LAP_FORMAT_MAIL_THERE = 2 };
enum lap_format_choice { LAP_FORMAT_AS_IT_IS = 0, LAP_FORMAT_NO = 1, LAP_FORMAT_YES = 2 };
#define LAP_FORMAT_MAIL_SHIFT 2
#define LAP_FORMAT_MAIL_MASK 3u
#define LAP_FORMAT_TERMS 64u
struct lap_format_switch {
    uint8_t state; /* enum lap_impl_state */
    uint8_t reserved[3];
    uint32_t class_id;
    uint64_t threshold_ns; /* LAP_FORMAT_NO_THRESHOLD: the code's own */
};
static_assert(sizeof(struct lap_format_switch) == 16, "switch");
#define LAP_FORMAT_SWITCHES 16384u
#define LAP_FORMAT_CONTROL_HEADER_BYTES 4096u
#define LAP_FORMAT_NO_THRESHOLD UINT64_MAX

/* .lapmark/paths: this header, then entries; entry 0 is the root. A path is a chain of classes from the root. */
#define LAP_FORMAT_PATHS_MAGIC UINT64_C(0x3148544150414C2E)
struct lap_format_paths {
    uint64_t magic;
    uint32_t version;
    uint32_t count; /* stored after the entry */
};
struct lap_format_path {
    uint32_t parent;
    uint32_t class_id;
};
#define LAP_FORMAT_PATHS 16384u
#define LAP_FORMAT_PATH_NONE UINT32_MAX

/* .lapmark/statistics-NNNN: this page, then a heap of 128-byte units. A cell is two units, a chunk of 16 counters one. */
#define LAP_FORMAT_STATISTICS_MAGIC UINT64_C(0x31415453504C2E4C)
#define LAP_FORMAT_UNIT_BYTES 128u
#define LAP_FORMAT_UNITS 65536u
#define LAP_FORMAT_STATISTICS_HEADER_BYTES 4096u
#define LAP_FORMAT_FIRST_UNIT (LAP_FORMAT_STATISTICS_HEADER_BYTES / LAP_FORMAT_UNIT_BYTES)
#define LAP_FORMAT_OCTAVES 63u
#define LAP_FORMAT_CHUNK_COUNTERS 16u
struct lap_format_statistics {
    uint64_t magic;
    uint32_t version;
    uint32_t units;        /* used, from the start of the file */
    uint64_t applied;      /* up to which event: sequence << 24 | byte offset in the segment */
    uint64_t events;       /* events of sites and their ends, taken back ones too, up to there */
    uint64_t laps_lost;    /* samples for which there was no memory */
    uint64_t threads;      /* that used this ring, one after another */
    uint64_t batch_ticks;  /* the recorder's own time */
    uint64_t taken_back;   /* events that were applied and then taken out of the ring again */
    uint64_t is_in_motion; /* 1: a snapshot that could not catch them at rest; a few events may be half in */
};
#define LAP_FORMAT_APPLIED_SHIFT 24
struct lap_format_cell {
    uint64_t count;
    uint64_t sum_ticks;
    uint64_t min_ticks;
    uint64_t max_ticks;
    uint32_t path;                       /* + 1; 0 is a unit that is no cell's first */
    uint32_t magic;                      /* LAP_FORMAT_CELL_MAGIC */
    uint16_t chunks[LAP_FORMAT_OCTAVES]; /* unit of the octave's counters, 0 for none */
    uint16_t rest_unit;                  /* of a profiler: the cell of its rest, 0 for none */
    uint8_t reserved[88];
};
static_assert(sizeof(struct lap_format_cell) == 2 * LAP_FORMAT_UNIT_BYTES, "cell");
#define LAP_FORMAT_CELL_MAGIC 0x4C454343u

#endif
