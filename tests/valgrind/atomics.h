/* SPDX-License-Identifier: MIT
 *
 * Included before all else where the recorder is built for DRD, which takes an atomic access for a plain one, as the compiler
 * makes most of them. They are told: none of them is a race, a release happens before the acquire of the same place that reads
 * what it wrote, and a relaxed one orders nothing. Plain accesses are left as they are, so that races among those are found.
 *
 * With TEST_PLANTED_RACE, releases order nothing: what they publish must then be found to be a race.
 */
#ifndef TEST_VALGRIND_ATOMICS_H
#define TEST_VALGRIND_ATOMICS_H

#include <valgrind/drd.h>

#define ATOMICS_IS_ACQUIRE(order) ((order) != __ATOMIC_RELAXED && (order) != __ATOMIC_RELEASE)
#if defined(TEST_PLANTED_RACE)
#define ATOMICS_IS_RELEASE(order) 0
#else
#define ATOMICS_IS_RELEASE(order) ((order) != __ATOMIC_RELAXED && (order) != __ATOMIC_ACQUIRE)
#endif
#define ATOMICS_BEGIN(place, order)                                                                                      \
    do {                                                                                                                 \
        if (ATOMICS_IS_RELEASE(order))                                                                                   \
            ANNOTATE_HAPPENS_BEFORE(place);                                                                              \
        ANNOTATE_IGNORE_READS_BEGIN();                                                                                   \
        ANNOTATE_IGNORE_WRITES_BEGIN();                                                                                  \
    } while (0)
#define ATOMICS_END(place, order)                                                                                        \
    do {                                                                                                                 \
        ANNOTATE_IGNORE_WRITES_END();                                                                                    \
        ANNOTATE_IGNORE_READS_END();                                                                                     \
        if (ATOMICS_IS_ACQUIRE(order))                                                                                   \
            ANNOTATE_HAPPENS_AFTER(place);                                                                               \
    } while (0)
#define ATOMICS_VALUE(pointer, order, expression)                                                                        \
    __extension__({                                                                                                      \
        const volatile void *const atomics_place = (pointer);                                                            \
        ATOMICS_BEGIN(atomics_place, order);                                                                             \
        __auto_type atomics_value = (expression);                                                                        \
        ATOMICS_END(atomics_place, order);                                                                               \
        atomics_value;                                                                                                   \
    })

#define __atomic_load_n(pointer, order) ATOMICS_VALUE(pointer, order, __atomic_load_n(pointer, order))
#define __atomic_exchange_n(pointer, value, order)                                                                       \
    ATOMICS_VALUE(pointer, order, __atomic_exchange_n(pointer, value, order))
#define __atomic_add_fetch(pointer, value, order) ATOMICS_VALUE(pointer, order, __atomic_add_fetch(pointer, value, order))
#define __atomic_sub_fetch(pointer, value, order) ATOMICS_VALUE(pointer, order, __atomic_sub_fetch(pointer, value, order))
#define __atomic_fetch_add(pointer, value, order) ATOMICS_VALUE(pointer, order, __atomic_fetch_add(pointer, value, order))
#define __atomic_compare_exchange_n(pointer, expected, value, is_weak, order, failure_order)                             \
    ATOMICS_VALUE(pointer, order, __atomic_compare_exchange_n(pointer, expected, value, is_weak, order, failure_order))
#define __atomic_store_n(pointer, value, order)                                                                          \
    __extension__({                                                                                                      \
        const volatile void *const atomics_place = (pointer);                                                            \
        __typeof__(__atomic_load_n(pointer, __ATOMIC_RELAXED)) atomics_stored = (value);                                 \
        ATOMICS_BEGIN(atomics_place, order);                                                                             \
        __atomic_store_n(pointer, atomics_stored, order);                                                                \
        ATOMICS_END(atomics_place, __ATOMIC_RELAXED);                                                                    \
    })

#endif
