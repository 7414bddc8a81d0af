/* SPDX-License-Identifier: MIT
 *
 * Where the name of a file that is to be written leads. Threads: any, no state.
 */
#ifndef LAP_OUT_PLACE_H
#define LAP_OUT_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

struct lap_out_place {
    char *name;        /* where links lead, be there something or not */
    int own_fd;        /* a descriptor of ours is that very file; -1: none */
    bool is_open_file; /* what another process has open: its name is in /proc */
    bool is_there;
    struct stat status; /* if it is there */
};

/* Returns 0 or a negative errno. Caller frees place->name. */
int lap_out_place_find(struct lap_out_place *place, const char *file);
/* Is it written as it comes: no regular file, or one that is open already? */
bool lap_out_place_is_direct(const struct lap_out_place *place);
/* The directory that a name is in, without links. Caller frees; NULL: there is none. */
char *lap_out_place_directory(const char *name);

#endif
