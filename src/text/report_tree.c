/* SPDX-License-Identifier: MIT */
#include "report_tree.h"

#include "lapmark/format.h"

#include <errno.h>
#include <string.h>

static_assert(LAP_TREE_UNITS <= UINT16_MAX, "an index is 16 bits");
static_assert(LAP_TREE_BUCKETS == 1u << (64 - 52), "what the hash gives");
static_assert(sizeof(union lap_tree_unit) == 80, "a unit");

/* ---- units ------------------------------------------------------------------------------------------------------- */

void lap_tree_init(struct lap_tree *tree)
{
    tree->fresh = 1;
    tree->free = 0;
    tree->free_count = LAP_TREE_UNITS - 1;
    memset(tree->buckets, 0, sizeof tree->buckets);
}

void lap_tree_clear(struct lap_tree *tree)
{
    if (tree->free_count != LAP_TREE_UNITS - 1)
        lap_tree_init(tree);
}

static uint16_t unit_take(struct lap_tree *tree)
{
    uint32_t index = tree->free;
    if (index != 0)
        tree->free = tree->units[index].chunk.next;
    else if (tree->fresh < LAP_TREE_UNITS)
        index = tree->fresh++;
    else
        return 0;
    tree->free_count--;
    memset(&tree->units[index], 0, sizeof tree->units[index]);
    return (uint16_t)index;
}

static void unit_give(struct lap_tree *tree, uint16_t index)
{
    tree->units[index].chunk.next = tree->free;
    tree->free = index;
    tree->free_count++;
}

/* ---- copies of events -------------------------------------------------------------------------------------------- */

uint32_t lap_tree_copy_units(uint64_t bytes)
{
    return (uint32_t)((bytes + 8 * LAP_TREE_PAYLOAD_WORDS - 1) / (8 * LAP_TREE_PAYLOAD_WORDS));
}

uint16_t lap_tree_copy(struct lap_tree *tree, const uint64_t *words, uint64_t bytes)
{
    if (bytes == 0 || bytes > LAP_FORMAT_EVENT_BYTES_MAX || lap_tree_copy_units(bytes) > tree->free_count)
        return 0;
    uint16_t first = 0;
    uint16_t *link = &first;
    for (uint64_t done = 0; done < bytes; done += 8 * LAP_TREE_PAYLOAD_WORDS) {
        const uint64_t left = bytes - done;
        const uint16_t index = unit_take(tree);
        struct lap_tree_chunk *const chunk = &tree->units[index].chunk;
        memcpy(chunk->words, (const char *)words + done, left < sizeof chunk->words ? left : sizeof chunk->words);
        *link = index;
        link = &chunk->next;
    }
    return first;
}

const uint64_t *lap_tree_copied(const struct lap_tree *tree, uint16_t copy, uint64_t *scratch)
{
    size_t words = 0;
    for (; copy != 0 && words < LAP_FORMAT_EVENT_BYTES_MAX / 8; copy = tree->units[copy].chunk.next) {
        memcpy(scratch + words, tree->units[copy].chunk.words, sizeof tree->units[copy].chunk.words);
        words += LAP_TREE_PAYLOAD_WORDS;
    }
    return words == 0 ? NULL : scratch;
}

void lap_tree_copy_free(struct lap_tree *tree, uint16_t copy)
{
    while (copy != 0) {
        const uint16_t next = tree->units[copy].chunk.next;
        unit_give(tree, copy);
        copy = next;
    }
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void lap_tree_peer_laps_free(struct lap_tree *tree, uint16_t index)
{
    while (index != 0) {
        const uint16_t next = tree->units[index].peer_lap.next;
        unit_give(tree, index);
        index = next;
    }
}

void lap_tree_calls_free(struct lap_tree *tree, uint16_t *sum)
{
    if (*sum != 0) {
        lap_tree_peer_laps_free(tree, tree->units[*sum].calls.laps);
        unit_give(tree, *sum);
    }
    *sum = 0;
}

void lap_tree_calls_add(struct lap_tree *tree, uint16_t *sum, const struct lap_call_times *times)
{
    if (*sum == 0)
        *sum = unit_take(tree);
    if (*sum == 0)
        return;
    struct lap_line_calls *const calls = &tree->units[*sum].calls.sum;
    calls->count++;
    calls->answered += times->has_server != 0;
    calls->ways += times->has_ways != 0;
    if (!times->has_server)
        return;
    calls->server_ns += times->server_ns;
    calls->queue_ns += times->queue_ns;
    calls->between_ns += times->between_ns;
    calls->there_ns += times->there_ns;
    calls->back_ns += times->back_ns;
}

void lap_tree_calls_join(struct lap_tree *tree, uint16_t *sum, uint16_t from)
{
    if (*sum == 0 || from == 0) {
        *sum = *sum == 0 ? from : *sum;
        return;
    }
    lap_line_calls_join(&tree->units[*sum].calls.sum, &tree->units[from].calls.sum);
    for (uint16_t at = tree->units[from].calls.laps; at != 0; at = tree->units[at].peer_lap.next)
        lap_tree_calls_add_lap(tree, *sum, &tree->units[at].peer_lap.lap);
    lap_tree_calls_free(tree, &from);
}

void lap_tree_calls_add_lap(struct lap_tree *tree, uint16_t sum, const struct lap_peer_lap *lap)
{
    uint16_t *link = &tree->units[sum].calls.laps;
    uint32_t count = 0;
    for (; *link != 0; link = &tree->units[*link].peer_lap.next, count++)
        if (strcmp(tree->units[*link].peer_lap.lap.label, lap->label) == 0) {
            lap_peer_lap_join(&tree->units[*link].peer_lap.lap, lap);
            return;
        }
    *link = count < LAP_PEER_LAPS_HELD ? unit_take(tree) : 0;
    if (*link != 0)
        tree->units[*link].peer_lap.lap = *lap;
}

uint32_t lap_tree_calls_laps(const struct lap_tree *tree, uint16_t sum, struct lap_peer_lap laps[LAP_PEER_LAPS_HELD])
{
    uint32_t count = 0;
    for (uint16_t at = tree->units[sum].calls.laps; at != 0 && count < LAP_PEER_LAPS_HELD;
         at = tree->units[at].peer_lap.next)
        laps[count++] = tree->units[at].peer_lap.lap;
    lap_peer_laps_sort(laps, count);
    return count;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

uint16_t lap_tree_line_make(struct lap_tree *tree, uint16_t owner, uint64_t key, uint16_t head)
{
    const uint16_t index = unit_take(tree);
    if (index == 0)
        return 0;
    struct lap_tree_line *const line = lap_tree_line(tree, index);
    struct lap_tree_node *const node = lap_tree_node(tree, owner);
    line->key = key;
    line->owner = owner;
    line->prev = node->last;
    if (node->last != 0)
        lap_tree_line(tree, node->last)->next = index;
    else
        node->first = index;
    node->last = index;
    if (head != 0)
        return index;
    uint16_t *const bucket = &tree->buckets[lap_tree_bucket(owner, key)];
    line->flags = LAP_TREE_HEAD;
    line->hash_next = *bucket;
    *bucket = index;
    node->groups++;
    return index;
}

/* Out of its owner's lines and the hash; what hangs on it stays. */
static void line_remove(struct lap_tree *tree, uint16_t index)
{
    struct lap_tree_line *const line = lap_tree_line(tree, index);
    struct lap_tree_node *const node = lap_tree_node(tree, line->owner);
    if (line->prev != 0)
        lap_tree_line(tree, line->prev)->next = line->next;
    else
        node->first = line->next;
    if (line->next != 0)
        lap_tree_line(tree, line->next)->prev = line->prev;
    else
        node->last = line->prev;
    if (line->flags & LAP_TREE_HEAD) {
        uint16_t *link = &tree->buckets[lap_tree_bucket(line->owner, line->key)];
        while (*link != index)
            link = &lap_tree_line(tree, *link)->hash_next;
        *link = line->hash_next;
        node->groups--;
    }
    lap_tree_calls_free(tree, &line->calls);
    unit_give(tree, index);
}

void lap_tree_line_free(struct lap_tree *tree, uint16_t index)
{
    struct lap_tree_line *const line = lap_tree_line(tree, index);
    const uint16_t detail = line->detail;
    line->detail = 0;
    if (line->flags & LAP_TREE_NESTED)
        lap_tree_node_free(tree, detail);
    else
        lap_tree_copy_free(tree, detail);
    line_remove(tree, index);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

uint16_t lap_tree_node_make(struct lap_tree *tree) { return unit_take(tree); }

uint32_t lap_tree_node_lines(const struct lap_tree_node *node)
{
    return node->flags & LAP_TREE_PRINTED ? 0 : node->flags & LAP_TREE_REST ? 3 : 2;
}

/* Deepest first, by the links upward: nesting costs no stack. */
uint64_t lap_tree_node_clear(struct lap_tree *tree, uint16_t root)
{
    uint64_t lines = 0;
    uint16_t index = root;
    for (;;) {
        struct lap_tree_node *const node = lap_tree_node(tree, index);
        const uint16_t first = node->first;
        if (first != 0) {
            struct lap_tree_line *const line = lap_tree_line(tree, first);
            if (line->flags & LAP_TREE_NESTED && line->detail != 0) {
                index = line->detail;
                lines += lap_tree_node_lines(lap_tree_node(tree, index));
                continue;
            }
            lines += !(line->flags & LAP_TREE_NESTED) || line->flags & LAP_TREE_FOLDED;
            lap_tree_copy_free(tree, line->flags & LAP_TREE_NESTED ? 0 : line->detail);
            line_remove(tree, first);
            continue;
        }
        if (index == root)
            return lines;
        struct lap_tree_line *const line = lap_tree_line(tree, node->line);
        lines += node->more;
        lap_tree_copy_free(tree, node->payload);
        lap_tree_calls_free(tree, &node->calls);
        unit_give(tree, index);
        line->detail = 0;
        index = line->owner;
    }
}

void lap_tree_node_free(struct lap_tree *tree, uint16_t node)
{
    if (node == 0)
        return;
    lap_tree_node_clear(tree, node);
    lap_tree_copy_free(tree, lap_tree_node(tree, node)->payload);
    lap_tree_calls_free(tree, &lap_tree_node(tree, node)->calls);
    unit_give(tree, node);
}

/* ---- folding ----------------------------------------------------------------------------------------------------- */

static void sizes_add(struct lap_tree_line *head, int64_t least, int64_t greatest)
{
    if (!(head->flags & LAP_TREE_N)) {
        head->flags |= LAP_TREE_N;
        head->n = least;
        head->n_greatest = greatest;
        return;
    }
    head->n = least < head->n ? least : head->n;
    head->n_greatest = greatest > head->n_greatest ? greatest : head->n_greatest;
}

void lap_tree_fold_add(struct lap_tree_line *head, uint64_t ticks, uint64_t tot, int has_n, int64_t n)
{
    head->count++;
    head->ticks += ticks;
    head->max = ticks > head->max ? ticks : head->max;
    head->tot = tot;
    if (has_n)
        sizes_add(head, n, n);
}

/* A line that stays behind its folded head. */
static void line_keep(struct lap_tree *tree, uint16_t index, uint16_t head)
{
    struct lap_tree_line *const line = lap_tree_line(tree, index);
    line->flags |= LAP_TREE_KEPT;
    line->second = head;
    line->third = 0;
}

static void node_hang(struct lap_tree *tree, uint16_t node, uint16_t line)
{
    lap_tree_node(tree, node)->line = line;
    lap_tree_line(tree, line)->detail = node;
}

/* Should `node` not be shown in the head's place, nor thrown away? */
static int must_keep(struct lap_tree *tree, uint16_t head, uint16_t node, int is_keeping)
{
    if (!is_keeping)
        return 0;
    const uint16_t shown = lap_tree_line(tree, head)->detail;
    if (lap_tree_node(tree, node)->flags & LAP_TREE_SPEAKS)
        return 1;
    return shown != 0 && lap_tree_node(tree, shown)->flags & LAP_TREE_SPEAKS &&
           lap_tree_node(tree, node)->total > lap_tree_node(tree, shown)->total;
}

static void detail_choose(struct lap_tree *tree, uint16_t head, uint16_t node)
{
    const uint16_t shown = lap_tree_line(tree, head)->detail;
    if (shown != 0 && lap_tree_node(tree, node)->total <= lap_tree_node(tree, shown)->total) {
        lap_tree_node_free(tree, node);
        return;
    }
    lap_tree_node_free(tree, shown);
    node_hang(tree, node, head);
}

int lap_tree_fold_detail(struct lap_tree *tree, uint16_t head, uint16_t node, int is_keeping)
{
    if (!must_keep(tree, head, node, is_keeping)) {
        detail_choose(tree, head, node);
        return 0;
    }
    struct lap_tree_line *const of = lap_tree_line(tree, head);
    const uint16_t index = lap_tree_line_make(tree, of->owner, of->key, head);
    if (index == 0)
        return -ENOMEM;
    lap_tree_line(tree, index)->flags = LAP_TREE_NESTED;
    line_keep(tree, index, head);
    node_hang(tree, node, index);
    return 0;
}

/* One of the lines behind a head that is being folded. */
static void fold_line(struct lap_tree *tree, uint16_t head, uint16_t index, int is_keeping)
{
    struct lap_tree_line *const to = lap_tree_line(tree, head);
    struct lap_tree_line *const line = lap_tree_line(tree, index);
    to->ticks += line->ticks;
    to->max = line->ticks > to->max ? line->ticks : to->max;
    to->tot = line->tot;
    if (line->flags & LAP_TREE_N)
        sizes_add(to, line->n, line->n_greatest);
    lap_tree_calls_join(tree, &to->calls, line->calls);
    line->calls = 0;
    if (line->flags & LAP_TREE_NESTED && line->detail != 0) {
        if (must_keep(tree, head, line->detail, is_keeping)) {
            line_keep(tree, index, head);
            return;
        }
        const uint16_t detail = line->detail;
        line->detail = 0;
        detail_choose(tree, head, detail);
    }
    lap_tree_line_free(tree, index);
}

void lap_tree_fold(struct lap_tree *tree, uint16_t head, int is_keeping)
{
    struct lap_tree_line *const line = lap_tree_line(tree, head);
    const uint16_t others[] = {line->second, line->third};
    line->flags |= LAP_TREE_FOLDED;
    line->max = line->ticks;
    line->second = line->third = 0;
    for (unsigned i = 0; i < 2; i++)
        if (others[i] != 0)
            fold_line(tree, head, others[i], is_keeping);
}

void lap_tree_settle(struct lap_tree *tree, uint16_t node)
{
    for (uint16_t index = lap_tree_node(tree, node)->first, next; index != 0; index = next) {
        struct lap_tree_line *const line = lap_tree_line(tree, index);
        next = line->next;
        if (!(line->flags & LAP_TREE_KEPT))
            continue;
        const uint16_t head = line->second, detail = line->detail;
        line->detail = 0;
        lap_tree_line_free(tree, index);
        if (detail != 0)
            detail_choose(tree, head, detail);
    }
}
