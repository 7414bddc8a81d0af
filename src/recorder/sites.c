/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sites.h"

#include "guard.h"
#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define TEXT_BUCKETS (2u * LAP_SITES_CLASSES)
#define TEXT_BYTES_MAX 1024u
#define ARENA_BYTES (64u << 10)
#define SITE_BUCKETS (2u * LAP_FORMAT_SWITCHES)
#define MAIL_TRIES 8

static void *reserve(size_t bytes)
{
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int arena_make(struct lap_sites *sites)
{
    if (lap_process_reserve(ARENA_BYTES) < 0)
        return -ENOMEM;
    char *const arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
        lap_process_release(ARENA_BYTES);
        return -ENOMEM;
    }
    sites->arena = arena;
    sites->arena_left_bytes = ARENA_BYTES;
    return 0;
}

int lap_sites_init(struct lap_sites *sites)
{
    if (!sites->classes) {
        sites->classes = reserve(LAP_SITES_CLASSES * sizeof *sites->classes);
        sites->descriptions = reserve(LAP_SITES_CLASSES * sizeof *sites->descriptions);
        sites->texts = reserve(TEXT_BUCKETS * sizeof *sites->texts);
        sites->sites = reserve(SITE_BUCKETS * sizeof *sites->sites);
        sites->texts_of_site = reserve(LAP_SITES_CLASSES * sizeof *sites->texts_of_site);
        sites->switch_of_class = reserve(LAP_SITES_CLASSES * sizeof *sites->switch_of_class);
        sites->with_options = reserve(LAP_SITES_CLASSES * sizeof *sites->with_options);
    }
    if (!sites->classes || !sites->descriptions || !sites->texts || !sites->sites || !sites->texts_of_site ||
        !sites->switch_of_class || !sites->with_options)
        return -ENOMEM;
    if (sites->count == 0) {
        lap_class_set_fixed(sites->classes);
        for (uint32_t i = 0; i < LAP_FORMAT_FIRST_SITE_CLASS; i++)
            sites->descriptions[i] = (struct lap_description){"", "", "", 0, 0, 0};
        sites->count = LAP_FORMAT_FIRST_SITE_CLASS;
        arena_make(sites); /* before rings take all the memory that there may be */
    }
    return 0;
}

/* A copy that stays as long as the process; NULL where there is no memory for it. */
static const char *text_copy(struct lap_sites *sites, const char *text)
{
    const size_t length = strnlen(text, TEXT_BYTES_MAX);
    if (length + 1 > sites->arena_left_bytes && arena_make(sites) < 0)
        return NULL;
    char *const copy = sites->arena;
    memcpy(copy, text, length);
    copy[length] = 0;
    sites->arena += length + 1;
    sites->arena_left_bytes -= length + 1;
    return copy;
}

/* Under the process's lock, like all that follows. */
static void switch_set(uint32_t id)
{
    struct lap_sites *const sites = &lap_process.sites;
    const struct lap_settings *const settings = &lap_process.settings;
    const struct lap_switches *const switches = &settings->switches;
    const struct lap_class *const class = &sites->classes[id];
    const struct lap_description *const description = &sites->descriptions[id];
    struct lap_format_switch *const entry = &lap_process.switches[sites->switch_of_class[id]];
    const struct lap_term *term = NULL;
    int is_on = !lap_switches_are_off(switches);
    if (!lap_switch_is_mark(class)) {
        term = lap_switches_find_site(switches, class, description);
        is_on = term ? !term->is_negative : !switches->is_off_by_default;
    }
    const uint64_t threshold_ns = term && is_on ? term->threshold_ns : LAP_FORMAT_NO_THRESHOLD;
    const struct lap_switching how = {settings->prints, settings->keeps_slow, lap_process.clock.source,
                                      settings->breach_last_ns != 0};
    const uint8_t state = __atomic_load_n(&lap_process.failed, __ATOMIC_RELAXED)
                              ? (uint8_t)LAP_IMPL_OFF
                              : lap_switch_state(&how, class, is_on, term != NULL, threshold_ns);
    entry->class_id = id;
    __atomic_store_n(&entry->threshold_ns, threshold_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->state, state, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lap_process.failed,
                        __ATOMIC_SEQ_CST)) /* just now: lap_process_fail may have been here before us */
        __atomic_store_n(&entry->state, LAP_IMPL_OFF, __ATOMIC_RELAXED);
}

/* Takes what `lapmark ctl` has left: 1 if there was something. It is copied before it is looked at, and is ours only if the word
 * stayed the same meanwhile. What a forked child's parent has taken since the fork is new to the child. */
static int mail_take(void)
{
    struct lap_settings *const settings = &lap_process.settings;
    struct lap_format_control *const control = lap_process.control;
    /* Orders our switches before this look, as ctl orders its mail before its own. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t mail = __atomic_load_n(&control->mail, __ATOMIC_ACQUIRE);
    if (mail == settings->mail || (mail & LAP_FORMAT_MAIL_MASK) == LAP_FORMAT_MAIL_WRITING)
        return 0;
    char terms[sizeof control->mail_terms];
    memcpy(terms, control->mail_terms, sizeof terms);
    terms[sizeof terms - 1] = 0;
    const uint8_t prints = control->mail_prints, keeps_slow = control->mail_keeps_slow;
    const uint32_t taken = (mail & ~LAP_FORMAT_MAIL_MASK) | LAP_FORMAT_MAIL_TAKEN;
    if (!__atomic_compare_exchange_n(&control->mail, &mail, taken, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return 0;
    settings->mail = taken;
    const char *where;
    lap_switches_add(&settings->switches, terms, 0, &where); /* what cannot be read is no term */
    if (prints != LAP_FORMAT_AS_IT_IS)
        settings->prints = prints == LAP_FORMAT_YES;
    if (keeps_slow != LAP_FORMAT_AS_IT_IS)
        settings->keeps_slow = keeps_slow == LAP_FORMAT_YES;
    return 1;
}

void lap_sites_tell(void)
{
    const struct lap_settings *const settings = &lap_process.settings;
    struct lap_format_control *const control = lap_process.control;
    control->terms = settings->switches.count;
    control->prints = settings->prints ? LAP_FORMAT_YES : LAP_FORMAT_NO;
    control->keeps_slow = settings->keeps_slow ? LAP_FORMAT_YES : LAP_FORMAT_NO;
}

/* By the classes, which are our own memory: others may write to the switches. What ctl must know is told before it can see that
 * there was a change, and that before the switches: see lap_switchboard_order. */
static void switch_all(void)
{
    const struct lap_sites *const sites = &lap_process.sites;
    int tries = MAIL_TRIES; /* somebody who writes for ever does not hold us */
    do {
        lap_sites_tell();
        __atomic_add_fetch(&lap_process.control->changes, 1, __ATOMIC_SEQ_CST);
        for (uint32_t id = LAP_FORMAT_FIRST_SITE_CLASS; id < sites->count; id++)
            if (!sites->descriptions[id].is_text)
                switch_set(id);
    } while (mail_take() && --tries > 0);
}

int lap_sites_switch(const char *terms)
{
    const char *where;
    mail_take(); /* it was there before */
    const int error = lap_switches_add(&lap_process.settings.switches, terms, 0, &where);
    switch_all();
    return error;
}

void lap_sites_after_fork(void)
{
    struct lap_sites *const sites = &lap_process.sites;
    uint32_t used = 0;
    for (uint32_t i = 0; i < LAP_FORMAT_SWITCHES; i++) {
        struct lap_format_switch *const entry = &lap_process.switches[i];
        if (entry->class_id == 0)
            continue;
        if (entry->class_id < sites->count && sites->switch_of_class[entry->class_id] == i)
            used = i + 1;
        else
            *entry = (struct lap_format_switch){.class_id = 0};
    }
    lap_process.control->switches = used;
    sites->arena_left_bytes = 0; /* another thread may have been taking from it */
    mail_take();
    switch_all();
}

/* Makes a class known: to the metadata first, then to whoever looks at `count`. 0 where there is no room. Where the
 * metadata has failed all is off: the class is one for good, and has no events. */
static uint32_t class_add(struct lap_class class, struct lap_description description)
{
    struct lap_sites *const sites = &lap_process.sites;
    const uint32_t id = sites->count;
    if (id >= LAP_SITES_CLASSES)
        return 0;
    class.description = id;
    description.label = text_copy(sites, description.label);
    if (!description.label || !description.file || !description.function)
        return 0;
    sites->classes[id] = class;
    sites->descriptions[id] = description;
    if (lap_process.metadata.fd >= 0 && !__atomic_load_n(&lap_process.failed, __ATOMIC_RELAXED)) {
        const int error = lap_metadata_add(&lap_process.metadata, id, &class, &description);
        if (error < 0)
            lap_process_fail("cannot write", "metadata", error);
    }
    LAP_I_POINT("class described");
    __atomic_store_n(&sites->count, id + 1, __ATOMIC_RELEASE);
    return id;
}

int lap_sites_describe_all(struct lap_metadata *metadata)
{
    struct lap_sites *const sites = &lap_process.sites;
    for (uint32_t id = LAP_FORMAT_FIRST_SITE_CLASS; id < sites->count; id++) {
        const int error = lap_metadata_add(metadata, id, &sites->classes[id], &sites->descriptions[id]);
        if (error < 0)
            return error;
    }
    return 0;
}

static struct lap_class class_of_site(const struct lap_impl_site *site)
{
    static const uint8_t kinds[] = {[LAP_IMPL_KIND_MARK] = LAP_CLASS_MARK,
                                    [LAP_IMPL_KIND_BEGIN] = LAP_CLASS_BEGIN,
                                    [LAP_IMPL_KIND_BEGIN_WITH] = LAP_CLASS_BEGIN_WITH,
                                    [LAP_IMPL_KIND_HANDLE_BEGIN] = LAP_CLASS_HANDLE_BEGIN,
                                    [LAP_IMPL_KIND_HANDLE_MARK] = LAP_CLASS_HANDLE_MARK,
                                    [LAP_IMPL_KIND_CALL] = LAP_CLASS_CALL};
    struct lap_class class = {.kind = kinds[site->kind], .args = site->args};
    if (site->flags & LAP_IMPL_SITE_N)
        class.flags |= LAP_CLASS_N;
    if (site->flags & LAP_IMPL_SITE_LIBRARY)
        class.flags |= LAP_CLASS_LIBRARY;
    if (site->flags & LAP_IMPL_SITE_FOUND)
        class.flags |= LAP_CLASS_FOUND;
    if (site->flags & LAP_IMPL_SITE_TEXT)
        class.flags |= LAP_CLASS_TEXT;
    else if (site->label[0] == 0 && (class.kind == LAP_CLASS_MARK || class.kind == LAP_CLASS_HANDLE_MARK))
        class.flags |= LAP_CLASS_NUMBERED;
    if (!(site->types & LAP_IMPL_TYPES_STRING) && !(class.flags & LAP_CLASS_TEXT))
        class.words =
            (uint8_t)(lap_class_fixed_words((enum lap_class_kind) class.kind) + (class.flags & LAP_CLASS_N) + class.args);
    return class;
}

static uint32_t text_hash(uint32_t seed, const char *text, size_t length)
{
    uint64_t hash = seed * UINT64_C(0x9E3779B97F4A7C15) + length;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, 8);
        hash = (hash ^ word) * UINT64_C(0xFF51AFD7ED558CCD);
        hash ^= hash >> 32;
    }
    for (; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001B3);
    hash ^= hash >> 29;
    return (uint32_t)(hash * UINT64_C(0xC4CEB9FE1A85EC53) >> 40);
}

/* The bucket of a site: the one of its like, for it may have been loaded before, or the empty one where it belongs. */
static uint32_t *site_bucket(struct lap_sites *sites, const struct lap_impl_site *site, struct lap_class class)
{
    for (uint32_t i = text_hash(site->line, site->label, strnlen(site->label, TEXT_BYTES_MAX));; i++) {
        uint32_t *const bucket = &sites->sites[i & (SITE_BUCKETS - 1)];
        const struct lap_class *const like = &sites->classes[*bucket];
        const struct lap_description *const text = &sites->descriptions[*bucket];
        if (*bucket == 0 || (like->kind == class.kind && like->flags == class.flags && text->types == site->types &&
                             text->line == site->line && strcmp(text->label, site->label) == 0 &&
                             strcmp(text->file, site->file) == 0 && strcmp(text->function, site->function) == 0))
            return bucket;
    }
}

int lap_sites_register(struct lap_impl_site *site)
{
    struct lap_sites *const sites = &lap_process.sites;
    if (__atomic_load_n(&lap_process.control->switches, __ATOMIC_RELAXED) >= LAP_FORMAT_SWITCHES ||
        __atomic_load_n(&sites->count, __ATOMIC_RELAXED) >= LAP_SITES_CLASSES) { /* for good: no lock each time */
        lap_process_count_loss(LAP_FORMAT_LOSS_CLASS, 1);
        return -ENOSPC;
    }
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_mutex_lock(&lap_process.lock);
    if (site->state != &lap_impl_unregistered) { /* another thread was faster */
        pthread_mutex_unlock(&lap_process.lock);
        lap_guard_leave(&guard);
        return 0;
    }
    const struct lap_class class = class_of_site(site);
    uint32_t *const bucket = site_bucket(sites, site, class);
    uint32_t id = *bucket;
    const uint32_t index = lap_process.control->switches;
    if (id == 0 && index < LAP_FORMAT_SWITCHES) {
        const struct lap_description description = {
            site->label, text_copy(sites, site->file), text_copy(sites, site->function), site->types, site->line, 0};
        id = class_add(class, description);
        if (id != 0) {
            sites->switch_of_class[id] = index;
            switch_set(id);
            __atomic_store_n(&lap_process.control->switches, index + 1, __ATOMIC_RELEASE);
            *bucket = id;
            if (mail_take())
                switch_all();
        }
    }
    if (id != 0) {
        site->id = id;
        LAP_I_POINT("site without switch");
        __atomic_store_n(&site->state, &lap_process.switches[sites->switch_of_class[id]].state, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lap_process.lock);
    lap_guard_leave(&guard);
    if (id == 0)
        lap_process_count_loss(LAP_FORMAT_LOSS_CLASS, 1);
    return id == 0 ? -ENOSPC : 0;
}

/* The bucket of a label of a site: the one that holds it, or the empty one where it belongs. */
static uint32_t *text_bucket(struct lap_sites *sites, uint32_t site_class, const char *text, size_t length)
{
    for (uint32_t i = text_hash(site_class, text, length) & (TEXT_BUCKETS - 1);; i = (i + 1) & (TEXT_BUCKETS - 1)) {
        const uint32_t id = __atomic_load_n(&sites->texts[i], __ATOMIC_ACQUIRE);
        if (id == 0)
            return &sites->texts[i];
        const char *const label = sites->descriptions[id].label;
        if (sites->switch_of_class[id] == sites->switch_of_class[site_class] && strncmp(label, text, length) == 0 &&
            label[length] == 0)
            return &sites->texts[i];
    }
}

uint32_t lap_sites_text_class(uint32_t site_class, const char *text)
{
    struct lap_sites *const sites = &lap_process.sites;
    const size_t length = strnlen(text, LAP_FORMAT_STRING_BYTES - 1);
    const uint32_t known = __atomic_load_n(text_bucket(sites, site_class, text, length), __ATOMIC_ACQUIRE);
    if (known != 0)
        return known;
    if (__atomic_load_n(&sites->texts_of_site[site_class], __ATOMIC_RELAXED) >= LAP_SITES_TEXTS_EACH)
        return site_class;

    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_mutex_lock(&lap_process.lock);
    uint32_t *const bucket = text_bucket(sites, site_class, text, length);
    uint32_t id = *bucket;
    if (id == 0 && sites->texts_of_site[site_class] < LAP_SITES_TEXTS_EACH &&
        !__atomic_load_n(&lap_process.failed, __ATOMIC_RELAXED)) {
        struct lap_class class = sites->classes[site_class];
        struct lap_description description = sites->descriptions[site_class];
        char label[LAP_FORMAT_STRING_BYTES];
        memcpy(label, text, length);
        label[length] = 0;
        description.label = label;
        description.is_text = 1;
        class.flags &= (uint8_t)~LAP_CLASS_TEXT;
        class.words = (uint8_t)(lap_class_fixed_words((enum lap_class_kind) class.kind) + (class.flags & LAP_CLASS_N));
        sites->switch_of_class[sites->count] = sites->switch_of_class[site_class];
        id = class_add(class, description);
        if (__atomic_load_n(&lap_process.failed, __ATOMIC_RELAXED)) /* not in the metadata: for no event */
            id = 0;
        if (id != 0) {
            __atomic_store_n(bucket, id, __ATOMIC_RELEASE);
            __atomic_store_n(&sites->texts_of_site[site_class], (uint16_t)(sites->texts_of_site[site_class] + 1),
                             __ATOMIC_RELAXED);
        }
    }
    pthread_mutex_unlock(&lap_process.lock);
    lap_guard_leave(&guard);
    return id == 0 ? site_class : id;
}
