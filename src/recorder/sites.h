/* SPDX-License-Identifier: MIT
 *
 * The event classes of the process: one for each site that was met, and one for each of a site's run-time labels, up to
 * a bound. Texts are copied, so that the module they came from may be unloaded.
 */
#ifndef LAP_SITES_H
#define LAP_SITES_H

#include "class.h"
#include "lapmark/abi.h"

#include <stdint.h>

#define LAP_SITES_CLASSES 131072u
#define LAP_SITES_TEXTS_EACH 64u /* run-time labels of one site that get a class of their own */

struct lap_sites {
    struct lap_class *classes;            /* LAP_SITES_CLASSES */
    struct lap_description *descriptions; /* same index */
    uint32_t *sites;                      /* hash of sites: class id, 0 is empty */
    uint32_t *texts;                      /* the same of run-time labels */
    uint16_t *texts_of_site;              /* how many a site has, by class */
    uint32_t *switch_of_class;
    uint32_t *with_options; /* of a class of plain begins: the same as begins with options, 0: not met */
    uint32_t count;         /* of classes; stored after their entries */
    char *arena;            /* for copies */
    uint64_t arena_left_bytes;
};

/* Reserves the tables. 0 or a negative errno. */
int lap_sites_init(struct lap_sites *sites);

/* Gives a site its class and switch. Called for a site whose state says that it was not met. Returns 0, or -ENOSPC: it
 * is switched off. Takes the process's lock: not from under it. */
int lap_sites_register(struct lap_impl_site *site);

/* The class of a run-time label: its own, or the site's class, with whose events the text is stored. Warm where known. */
uint32_t lap_sites_text_class(uint32_t site_class, const char *text);

/* Adds terms and works out all switches anew. Under the process's lock. 0, or -EINVAL: they cannot be read. */
int lap_sites_switch(const char *terms);
/* Writes into the control page what `lapmark ctl` must know. Under the process's lock. */
void lap_sites_tell(void);

/* In a forked child: drops what its parent has added to the switches since, and works all out anew. */
void lap_sites_after_fork(void);

/* Writes all classes into new metadata. Under the process's lock. 0 or a negative errno. */
struct lap_metadata;
int lap_sites_describe_all(struct lap_metadata *metadata);

#endif
