/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "switchboard.h"

#include "lapmark/abi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL_BYTES (LAP_FORMAT_CONTROL_HEADER_BYTES + LAP_FORMAT_SWITCHES * sizeof(struct lap_format_switch))
#define NUMBER_MAX 1000000000000u /* that terms can be read with */
#define ORDER_TRIES 100           /* a process that switches all the time itself has the last word anyway */

struct lap_switchboard {
    const struct lap_process *process;
    struct lap_recording *newer; /* opened again, for sites that were met since */
    const struct lap_catalog *catalog;
    struct lap_format_control *control;
    struct lap_format_switch *switches;
    int fd;
};

int lap_switchboard_open(struct lap_switchboard **ret_board, const struct lap_process *process, bool writes)
{
    if (process->state != LAP_PROCESS_RUNNING)
        return -ESRCH;
    const int fd = openat(process->directory_fd, ".lapmark/control",
                          (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == EPERM ? -EACCES : -errno;
    struct stat status;
    void *memory = MAP_FAILED;
    int error = LAP_READER_CONTROL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= (off_t)CONTROL_BYTES) {
        while (writes && flock(fd, LOCK_EX) < 0 && errno == EINTR) /* gone with whoever holds it */
            continue;
        memory = mmap(NULL, CONTROL_BYTES, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
        error = memory == MAP_FAILED ? -errno : 0;
    }
    const struct lap_format_control *const control = memory;
    if (error == 0 && (control->magic != LAP_FORMAT_CONTROL_MAGIC || control->version != LAP_FORMAT_VERSION ||
                       control->features != 0 || control->header_bytes != LAP_FORMAT_CONTROL_HEADER_BYTES ||
                       memcmp(control->uuid, process->control.uuid, sizeof control->uuid) != 0))
        error = LAP_READER_CONTROL;
    if (error == 0 && control->state != LAP_FORMAT_RUNNING)
        error = -ESRCH;
    if (error == 0 && writes && control->prints == LAP_FORMAT_AS_IT_IS)
        error = -ENOTSUP;
    if (error == 0 && writes && __atomic_load_n(&control->losses[LAP_FORMAT_LOSS_DISK], __ATOMIC_SEQ_CST) != 0)
        error = -EIO;
    struct lap_switchboard *const board = error == 0 ? malloc(sizeof *board) : NULL;
    if (error == 0 && !board)
        error = -ENOMEM;
    if (error < 0) {
        if (memory != MAP_FAILED)
            munmap(memory, CONTROL_BYTES);
        close(fd);
        return error;
    }
    *board = (struct lap_switchboard){
        .process = process,
        .catalog = &process->catalog,
        .control = memory,
        .switches = (struct lap_format_switch *)(void *)((char *)memory + LAP_FORMAT_CONTROL_HEADER_BYTES),
        .fd = fd};
    *ret_board = board;
    return 0;
}

void lap_switchboard_close(struct lap_switchboard *board)
{
    if (!board)
        return;
    munmap(board->control, CONTROL_BYTES);
    close(board->fd);
    lap_recording_free(board->newer);
    free(board);
}

/* ---- the mail ------------------------------------------------------------------------------------------------------ */

/* Terms as text that lap_switches_add reads back. -ENOSPC: too long. */
static int terms_write(const struct lap_switches *switches, char *out, size_t room)
{
    size_t used = 0;
    *out = 0;
    for (unsigned i = 0; i < switches->count; i++) {
        const struct lap_term *const term = &switches->terms[i];
        const unsigned long long threshold_ns = term->threshold_ns;
        int length;
        if (term->threshold_ns == LAP_FORMAT_NO_THRESHOLD)
            length = snprintf(out + used, room - used, ",%s%s", term->is_negative ? "-" : "", term->glob);
        else if (threshold_ns <= NUMBER_MAX)
            length = snprintf(out + used, room - used, ",%s:%lluns", term->glob, threshold_ns);
        else
            length = snprintf(out + used, room - used, ",%s:%llus", term->glob, threshold_ns / 1000000000u);
        if (length < 0 || (size_t)length >= room - used)
            return -ENOSPC;
        used += (size_t)length;
    }
    return 0;
}

/* Terms behind terms, as the recorder adds them. */
static int terms_append(struct lap_switches *switches, const char *text)
{
    const char *where;
    return lap_switches_add(switches, text, 0, &where) < 0 ? -ENOSPC : 0;
}

/* Leaves the order for the process, behind what it has not taken yet. */
static int mail_leave(struct lap_format_control *control, const struct lap_switch_order *order)
{
    for (;;) {
        uint32_t mail = __atomic_load_n(&control->mail, __ATOMIC_ACQUIRE);
        struct lap_switches terms = {.count = 0};
        uint8_t prints = LAP_FORMAT_AS_IT_IS, keeps_slow = LAP_FORMAT_AS_IT_IS;
        char text[sizeof control->mail_terms];
        if ((mail & LAP_FORMAT_MAIL_MASK) == LAP_FORMAT_MAIL_THERE) {
            memcpy(text, control->mail_terms, sizeof text);
            text[sizeof text - 1] = 0;
            prints = control->mail_prints;
            keeps_slow = control->mail_keeps_slow;
            if (terms_append(&terms, text) < 0) /* not ours: the process would not read it either */
                terms.count = 0;
        }
        int error = terms_write(&order->terms, text, sizeof text);
        if (error == 0)
            error = terms_append(&terms, text);
        if (error == 0)
            error = terms_write(&terms, text, sizeof text);
        const uint32_t others = __atomic_load_n(&control->terms, __ATOMIC_RELAXED);
        if (error < 0 ||
            (terms.count > 0 && strcmp(terms.terms[0].glob, "*") != 0 && others + terms.count > LAP_FORMAT_TERMS))
            return -ENOSPC;
        const uint32_t next = ((mail >> LAP_FORMAT_MAIL_SHIFT) + 1) << LAP_FORMAT_MAIL_SHIFT;
        if (!__atomic_compare_exchange_n(&control->mail, &mail, next | LAP_FORMAT_MAIL_WRITING, 0, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED))
            continue;                            /* it was taken just now */
        __atomic_thread_fence(__ATOMIC_RELEASE); /* whoever sees our text sees that word, too */
        memcpy(control->mail_terms, text, sizeof text);
        control->mail_prints = order->prints != LAP_FORMAT_AS_IT_IS ? (uint8_t)order->prints : prints;
        control->mail_keeps_slow = order->keeps_slow != LAP_FORMAT_AS_IT_IS ? (uint8_t)order->keeps_slow : keeps_slow;
        __atomic_store_n(&control->mail, next | LAP_FORMAT_MAIL_THERE, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our mail before our look at the switches */
        return 0;
    }
}

/* What holds for all sites: what waits in the mail, else what the process has taken. */
static struct lap_switching switching_now(const struct lap_format_control *control)
{
    struct lap_switching how = {control->prints == LAP_FORMAT_YES, control->keeps_slow == LAP_FORMAT_YES,
                                control->clock_source, control->breach_last_ns != 0};
    if ((__atomic_load_n(&control->mail, __ATOMIC_ACQUIRE) & LAP_FORMAT_MAIL_MASK) != LAP_FORMAT_MAIL_THERE)
        return how;
    if (control->mail_prints != LAP_FORMAT_AS_IT_IS)
        how.prints = control->mail_prints == LAP_FORMAT_YES;
    if (control->mail_keeps_slow != LAP_FORMAT_AS_IT_IS)
        how.keeps_slow = control->mail_keeps_slow == LAP_FORMAT_YES;
    return how;
}

/* ---- the switches -------------------------------------------------------------------------------------------------- */

static uint32_t switch_count(const struct lap_switchboard *board)
{
    const uint32_t count = __atomic_load_n(&board->control->switches, __ATOMIC_ACQUIRE);
    return count < LAP_FORMAT_SWITCHES ? count : LAP_FORMAT_SWITCHES;
}

static const struct lap_class *class_known(const struct lap_catalog *catalog, uint32_t id)
{
    return id >= LAP_FORMAT_FIRST_SITE_CLASS && id < catalog->class_count && catalog->classes[id].kind != LAP_CLASS_NONE
               ? &catalog->classes[id]
               : NULL;
}

/* Sites may have been met since the catalog was read: their classes were written before their switches. */
static void catalog_renew(struct lap_switchboard *board)
{
    const uint32_t count = switch_count(board);
    bool is_missing = false;
    for (uint32_t i = 0; i < count && !is_missing; i++)
        is_missing = !class_known(board->catalog, board->switches[i].class_id);
    struct lap_recording *newer = NULL;
    const char *const directory = board->process->directory;
    if (!is_missing || lap_recording_open(&newer, &directory, 1, NULL) < 0)
        return;
    lap_recording_free(board->newer);
    board->newer = newer;
    board->catalog = &newer->processes[0]->catalog;
}

/* A site that no term names keeps what it has of them, and is left alone if the process changes it meanwhile. Returns whether
 * the terms name it. */
static bool switch_one(struct lap_format_switch *entry, const struct lap_class *class,
                       const struct lap_description *description, const struct lap_switch_order *order,
                       const struct lap_switching *how)
{
    uint8_t before = __atomic_load_n(&entry->state, __ATOMIC_SEQ_CST);
    if (lap_switch_is_mark(class)) {
        if (order->terms.count > 0)
            __atomic_store_n(&entry->state, lap_switch_state(how, class, !lap_switches_are_off(&order->terms), 0, 0),
                             __ATOMIC_SEQ_CST);
        return false;
    }
    const struct lap_term *const term = lap_switches_find_site(&order->terms, class, description);
    if (!term) {
        const uint64_t threshold_ns = __atomic_load_n(&entry->threshold_ns, __ATOMIC_RELAXED);
        const uint8_t state =
            lap_switch_state(how, class, before != LAP_IMPL_OFF, before & LAP_IMPL_FORCED, threshold_ns);
        __atomic_compare_exchange_n(&entry->state, &before, state, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        return false;
    }
    __atomic_store_n(&entry->threshold_ns, term->threshold_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->state, lap_switch_state(how, class, !term->is_negative, 1, term->threshold_ns),
                     __ATOMIC_SEQ_CST);
    return true;
}

static size_t switch_all(struct lap_switchboard *board, const struct lap_switch_order *order)
{
    const struct lap_switching how = switching_now(board->control);
    const uint32_t count = switch_count(board);
    size_t named = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct lap_format_switch *const entry = &board->switches[i];
        const uint32_t id = __atomic_load_n(&entry->class_id, __ATOMIC_RELAXED);
        const struct lap_class *const class = class_known(board->catalog, id);
        if (class)
            named += switch_one(entry, class, &board->catalog->descriptions[class->description], order, &how);
    }
    /* A recording that fails switches all off: what we have switched on after it has looked must not stay. */
    if (__atomic_load_n(&board->control->losses[LAP_FORMAT_LOSS_DISK], __ATOMIC_SEQ_CST) != 0)
        for (uint32_t i = 0; i < count; i++)
            __atomic_store_n(&board->switches[i].state, LAP_IMPL_OFF, __ATOMIC_RELAXED);
    return named;
}

int lap_switchboard_order(struct lap_switchboard *board, const struct lap_switch_order *order, size_t *ret_named)
{
    struct lap_format_control *const control = board->control;
    for (int i = 0; i < ORDER_TRIES; i++) {
        const uint32_t changes = __atomic_load_n(&control->changes, __ATOMIC_SEQ_CST);
        const int error = mail_leave(control, order);
        if (error < 0)
            return error;
        catalog_renew(board);
        *ret_named = switch_all(board, order);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* our switches before this look */
        if (__atomic_load_n(&control->changes, __ATOMIC_SEQ_CST) == changes)
            break;
    }
    return 0;
}

int lap_switchboard_list(const struct lap_switchboard *board, struct lap_switch_site **ret_sites, size_t *ret_count)
{
    const uint32_t switches = switch_count(board);
    struct lap_switch_site *const sites = calloc(switches ? switches : 1, sizeof *sites);
    size_t count = 0;
    if (!sites)
        return -ENOMEM;
    for (uint32_t i = 0; i < switches; i++) {
        const uint32_t id = board->switches[i].class_id;
        const struct lap_class *const class = class_known(board->catalog, id);
        if (!class)
            continue;
        const struct lap_description *const description = &board->catalog->descriptions[class->description];
        sites[count++] =
            (struct lap_switch_site){.class_id = id,
                                     .label = lap_catalog_name(board->catalog, id),
                                     .function = description->function,
                                     .file = description->file,
                                     .line = description->line,
                                     .class = class,
                                     .state = __atomic_load_n(&board->switches[i].state, __ATOMIC_SEQ_CST),
                                     .threshold_ns = __atomic_load_n(&board->switches[i].threshold_ns, __ATOMIC_RELAXED)};
    }
    *ret_sites = sites;
    *ret_count = count;
    return 0;
}

bool lap_switchboard_prints(const struct lap_switchboard *board) { return switching_now(board->control).prints; }

bool lap_switchboard_keeps_slow(const struct lap_switchboard *board) { return switching_now(board->control).keeps_slow; }
