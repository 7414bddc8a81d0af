/* SPDX-License-Identifier: MIT
 *
 * A spool of many tracks: what was added, and what was said of it later, comes back track by track, with more tracks than have a
 * place in memory, and where a file cannot be had there is an error.
 */
#include "track_spool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TRACKS = 5000, RECORDS = 100000, UNSET_EVERY = 3 };

struct added {
    uint32_t track, frame;
    uint64_t at, where;
    const struct added *next; /* of its track */
};

static uint32_t blocks_seen;

static void see(void *user, const struct lap_spool_record *records, size_t count)
{
    const struct added **const next = user;
    for (size_t i = 0; i < count; i++) {
        assert_non_null(*next);
        assert_int_equal(records[i].frame, (*next)->frame);
        assert_int_equal(lap_spool_at(&records[i]), (*next)->at);
        *next = (*next)->next;
    }
    blocks_seen++;
}

/* As many records on a few tracks as on all others: some take several blocks, some a part of one. */
static uint32_t some_track(uint32_t tracks) { return (uint32_t)rand() % (rand() % 2 ? tracks : (tracks + 99) / 100); }

static void check_tracks(struct lap_spool *spool, struct added *added, uint32_t tracks)
{
    static struct added *first[TRACKS], *last[TRACKS];
    for (uint32_t track = 0; track < tracks; track++) {
        assert_int_equal(lap_spool_track_make(spool), track);
        first[track] = last[track] = NULL;
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        const uint32_t track = some_track(tracks), other = (uint32_t)rand() % (i + 1);
        added[i] = (struct added){track, i % UNSET_EVERY ? i : LAP_SPOOL_UNSET, ((uint64_t)i << 20) + 1, 0, NULL};
        added[i].where = lap_spool_add(spool, track, added[i].at, added[i].frame);
        *(last[track] ? (struct added **)&last[track]->next : &first[track]) = &added[i];
        last[track] = &added[i];
        if (added[other].frame == LAP_SPOOL_UNSET) {
            added[other].frame = other;
            lap_spool_set(spool, added[other].track, added[other].where, other);
        }
    }
    uint32_t empty = 0;
    blocks_seen = 0;
    for (uint32_t track = 0; track < tracks; track++) {
        const struct added *next = first[track];
        empty += next == NULL;
        lap_spool_read(spool, track, see, &next);
        assert_null(next);
    }
    assert_int_equal(blocks_seen + empty, spool->block_count);
    assert_int_equal(spool->error, 0);
    lap_spool_clear(spool);
}

static void all_comes_back(void **state)
{
    struct lap_spool spool;
    struct added *const added = malloc(RECORDS * sizeof *added);
    (void)state;
    srand(1);
    assert_non_null(added);
    assert_int_equal(lap_spool_init(&spool, "/var/tmp"), 0);
    check_tracks(&spool, added, 1);
    check_tracks(&spool, added, TRACKS);
    check_tracks(&spool, added, 3);
    lap_spool_done(&spool);
    free(added);
}

static void time_does_not_go_back(void **state)
{
    struct lap_spool spool;
    (void)state;
    assert_int_equal(lap_spool_init(&spool, "/var/tmp"), 0);
    const uint32_t track = lap_spool_track_make(&spool);
    lap_spool_add(&spool, track, 7, 1);
    lap_spool_add(&spool, track, 5, LAP_SPOOL_CLOSE);
    assert_int_equal(spool.tracks[track].at, 7);
    lap_spool_done(&spool);
}

static void no_file(void **state)
{
    struct lap_spool spool;
    (void)state;
    assert_int_equal(lap_spool_init(&spool, "/dev/null"), 0);
    const uint32_t track = lap_spool_track_make(&spool);
    for (int i = 0; i < 10000; i++)
        lap_spool_set(&spool, track, lap_spool_add(&spool, track, 1, 1), 2);
    assert_int_equal(spool.error, -ENOTDIR);
    lap_spool_read(&spool, track, NULL, NULL);
    lap_spool_done(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_comes_back), cmocka_unit_test(time_does_not_go_back),
                                       cmocka_unit_test(no_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
