/* SPDX-License-Identifier: MIT
 *
 * Is anything slower? Judged by pairs of runs, of the base and of the new, one right after the other and in an order that a coin
 * decides for each pair. So, if nothing is slower, each ratio of a pair is as likely to be turned over as not, whatever the noise
 * is: heavy tails, drift, a neighbour that comes and goes (Fisher, The Design of Experiments, 1935). That is all the test needs.
 *
 * Pairs are taken until the answer is clear. After 20, 30, 45, ... of them there is a look: the k-th may err with
 * LAP_GATE_FAMILY_ERROR / (k (k + 1)), which is LAP_GATE_FAMILY_ERROR for all looks there will ever be, shared by the nodes as in
 * Holm (1979). What a look finds is suspected, and must be found again in a second round, of as many fresh pairs, with
 * LAP_GATE_SECOND_ERROR; where it is not, the first round goes on. So identical code fails in at most the product of the two.
 *
 * Numbers in, numbers out: who runs the pairs asks how many are wanted, and adds them. One thread.
 */
#ifndef LAP_GATE_DECIDE_H
#define LAP_GATE_DECIDE_H

#include <stdbool.h>
#include <stddef.h>

#define LAP_GATE_FAMILY_ERROR 0.05
#define LAP_GATE_SECOND_ERROR 0.05
#define LAP_GATE_POWER 0.95
enum { LAP_GATE_FIRST_LOOK = 20 };

struct lap_gate_rules {
    double max_slowdown;  /* 0.05: a node that is 5 % slower, or more, fails */
    double min_effect_ns; /* and adds so much to a run, or more */
    /* the pairs are all there will be: one look and no second round, at the level that both have together */
    bool is_once;
};

enum lap_gate_state {
    LAP_GATE_OPEN = 0,  /* neither is shown: that it is slower, nor that it is not by so much */
    LAP_GATE_CLEAR,     /* surely not slower by the limit */
    LAP_GATE_SUSPECTED, /* in the second round */
    LAP_GATE_FAILED
};

/* Differences are logarithms of ratios, new / base. */
struct lap_gate_node {
    double *base_ns, *new_ns; /* the mean cost of an instance in each run of the first round, by pairs */
    double *differences;
    double *second; /* of the last second round in which it was, if there was one */
    size_t second_count;
    double run_ns; /* of the base: what it takes in a run, in the mean of the first look's */
    enum lap_gate_state state;
    /* When it is decided: */
    double base_median_ns, new_median_ns;
    double ratio, ratio_low, ratio_high; /* with a 95 % interval */
    double second_ratio;                 /* 0: there was no second round */
    double detectable; /* the slowdown that would have been found in LAP_GATE_POWER of such gates; 0.07 is 7 % */
    bool is_blind;     /* a slowdown at the limit could not have been told from none so surely */
};

struct lap_gate {
    struct lap_gate_rules rules;
    struct lap_gate_node *nodes;
    size_t node_count;
    size_t pairs, second_pairs; /* taken: in the first round, in the last second one */
    size_t pairs_possible;      /* set by whoever runs them: for how many in the first round there was time */
    unsigned looks;
    bool is_second, is_stopped, is_decided;
    bool failed;       /* decided, and a node has failed */
    double detectable; /* the greatest of the nodes' */
    bool is_blind;     /* one of the nodes is */
    size_t target, room;
    double *sorted;
};

/* `run_ns[]` is what each node takes in a run of the base, for min_effect_ns. Returns 0 or -ENOMEM. */
int lap_gate_init(struct lap_gate *gate, const struct lap_gate_rules *rules, const double *run_ns, size_t node_count);
void lap_gate_done(struct lap_gate *gate);

/* How many more pairs are wanted before something can be said. 0: it is decided, and what follows from the pairs is worked out.
 * Returns 0 or -ENOMEM. */
int lap_gate_wants(struct lap_gate *gate, size_t *ret_pairs);
/* Adds a pair: of each node the mean cost of an instance; 0 where a run has none, and then the pair speaks for neither side. Returns
 * 0 or -ENOMEM. */
int lap_gate_add(struct lap_gate *gate, const double *base_ns, const double *new_ns);
/* The time is used, or these are all pairs: the next look is the last. A second round still goes to its end, since what is
 * suspected must be known. */
void lap_gate_stop(struct lap_gate *gate);

/* The fewest pairs by which a node could fail in a single look, were all of them slower. */
size_t lap_gate_least_pairs(size_t node_count);

#endif
