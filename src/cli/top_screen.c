/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_screen.h"

#include "message.h"
#include "top_frame.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PANE_LINES = 8, PANE_FROM_LINES = 20, DEPTH_MAX = 64, ESCAPE_MS = 25 };
enum { PAIR_HOT = 1, PAIR_WARM, PAIR_GOOD };
enum { KEY_ESCAPE_CODE = 27, KEY_DELETE_CODE = 127, KEY_CONTROL_L = 12 };

struct screen {
    struct lap_top_watch *watch;
    struct lap_top_view view;
    uint64_t interval_ns;
    uint32_t came_from[DEPTH_MAX]; /* the focus before, of each level */
    size_t depth;
    uint32_t selected; /* a node; LAP_LIVE_NONE: whichever is the first row */
    size_t first;      /* row that is shown at the top */
    size_t page;       /* rows that there is room for */
    struct lap_top_row *rows;
    size_t row_count;
    bool is_paused, is_typing, is_quit;
    char filter_before[sizeof((struct lap_top_view *)0)->filter];
};

static volatile sig_atomic_t ended_by;
static volatile sig_atomic_t is_resized;

static void on_end(int number) { ended_by = number; }
static void on_resize(int number) { is_resized = number; }

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const struct lap_live_tree *tree_of(const struct screen *screen)
{
    return lap_top_watch_tree(screen->watch, screen->view.is_by_process);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

static void rows_make(struct screen *screen)
{
    const struct lap_top_watch *const watch = screen->watch;
    free(screen->rows);
    screen->rows = lap_top_rows_make(tree_of(screen), &screen->view,
                                     screen->view.is_recent ? watch->recent_s : lap_top_watch_span_ns(watch) / 1e9,
                                     &screen->row_count);
}

/* The selected node's row: 0 where it is not shown. */
static size_t selected_row(const struct screen *screen)
{
    for (size_t i = 0; i < screen->row_count; i++)
        if (screen->rows[i].node == screen->selected)
            return i;
    return 0;
}

static void select_row(struct screen *screen, size_t row)
{
    if (screen->row_count > 0)
        screen->selected = screen->rows[row < screen->row_count ? row : screen->row_count - 1].node;
}

static void move_by(struct screen *screen, long rows)
{
    const long to = (long)selected_row(screen) + rows;
    select_row(screen, to > 0 ? (size_t)to : 0);
}

/* Another tree, whose nodes are others. */
static void start_anew(struct screen *screen)
{
    screen->view.focus = screen->selected = LAP_LIVE_NONE;
    screen->depth = 0;
    screen->first = 0;
}

static void enter(struct screen *screen)
{
    if (screen->row_count == 0 || screen->depth == DEPTH_MAX)
        return;
    const uint32_t node = screen->rows[selected_row(screen)].node;
    if (node == screen->view.focus || tree_of(screen)->nodes[node].first_child == LAP_LIVE_NONE)
        return;
    screen->came_from[screen->depth++] = screen->view.focus;
    screen->view.focus = screen->selected = node;
    screen->first = 0;
}

static void leave(struct screen *screen)
{
    if (screen->depth == 0)
        return;
    screen->selected = screen->view.focus;
    screen->view.focus = screen->came_from[--screen->depth];
}

/* ---- drawing --------------------------------------------------------------------------------------------------------- */

static chtype attributes_of(enum lap_style style)
{
    const bool has_colour = lap_terminal_get()->has_colour;
    switch (style) {
    case LAP_STYLE_BOLD: return A_BOLD;
    case LAP_STYLE_DIM: return A_DIM;
    case LAP_STYLE_HOT:
    case LAP_STYLE_BAD: return has_colour ? (chtype)COLOR_PAIR(PAIR_HOT) : 0;
    case LAP_STYLE_WARM: return has_colour ? (chtype)COLOR_PAIR(PAIR_WARM) : 0;
    case LAP_STYLE_GOOD: return has_colour ? (chtype)COLOR_PAIR(PAIR_GOOD) : 0;
    case LAP_STYLE_PLAIN: break;
    }
    return 0;
}

static void draw_line(int y, const struct lap_top_line *line, chtype further)
{
    const chtype attributes = attributes_of(line->style) | further;
    move(y, 0);
    attron((int)attributes);
    addstr(line->text);
    if (further)
        for (int x = getcurx(stdscr); getcury(stdscr) == y && x < COLS - 1; x++)
            addch(' ');
    attroff((int)attributes);
}

static void draw_help(const struct screen *screen)
{
    char text[256];
    struct lap_top_lines lines = {0};
    if (screen->is_typing)
        snprintf(text, sizeof text, "only: %s_   Enter keep  Esc back", screen->view.filter);
    else
        snprintf(text, sizeof text, "q quit  %s  < > sort by  r reverse  Enter/Bksp in/out  / only  f %s  p %s  Space %s",
                 screen->view.is_recent ? "i since start" : "i interval", screen->view.is_flat ? "tree" : "flat",
                 screen->view.is_by_process ? "all" : "processes", screen->is_paused ? "go on" : "pause");
    lap_top_lines_add(&lines, LAP_STYLE_PLAIN, (size_t)COLS - 1, text);
    draw_line(LINES - 1, &lines.lines[0], A_REVERSE);
    lap_top_lines_done(&lines);
}

static void draw_rows(struct screen *screen, int top)
{
    const size_t selected = selected_row(screen);
    if (selected < screen->first)
        screen->first = selected;
    if (screen->page > 0 && selected >= screen->first + screen->page)
        screen->first = selected - screen->page + 1;
    if (screen->first + screen->page > screen->row_count)
        screen->first = screen->row_count > screen->page ? screen->row_count - screen->page : 0;
    const size_t rest = screen->row_count - screen->first;
    struct lap_top_lines lines = {0};
    lap_top_frame_table(&lines, tree_of(screen), &screen->view, screen->rows + screen->first,
                        rest < screen->page ? rest : screen->page, (size_t)COLS - 1);
    for (size_t i = 0; i < lines.count; i++)
        draw_line(top + (int)i, &lines.lines[i], i > 0 && screen->first + i - 1 == selected ? A_REVERSE : 0);
    lap_top_lines_done(&lines);
}

static void draw(struct screen *screen)
{
    erase();
    rows_make(screen);
    struct lap_top_lines head = {0}, pane = {0};
    const size_t columns = COLS > 1 ? (size_t)COLS - 1 : 1;
    lap_top_frame_head(&head, screen->watch, &screen->view, columns, (double)screen->interval_ns / 1e9,
                       screen->is_paused);
    const bool has_pane = LINES >= PANE_FROM_LINES && screen->row_count > 0;
    const int below = 1 + (has_pane ? PANE_LINES + 1 : 0);
    int y = 0;
    for (size_t i = 0; i < head.count && y < LINES - below - 2; i++)
        draw_line(y++, &head.lines[i], 0);
    screen->page = LINES - below - y > 1 ? (size_t)(LINES - below - y - 1) : 0;
    if (screen->page > 0)
        draw_rows(screen, y);
    if (has_pane) {
        lap_top_frame_histogram(&pane, tree_of(screen), &screen->rows[selected_row(screen)], columns, PANE_LINES);
        for (size_t i = 0; i < pane.count; i++)
            draw_line(LINES - 1 - PANE_LINES + (int)i, &pane.lines[i], 0);
    }
    draw_help(screen);
    lap_top_lines_done(&head);
    lap_top_lines_done(&pane);
    refresh();
}

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

static void type(struct screen *screen, int key)
{
    char *const filter = screen->view.filter;
    size_t length = strlen(filter);
    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        screen->is_typing = false;
    } else if (key == KEY_ESCAPE_CODE) {
        memcpy(filter, screen->filter_before, sizeof screen->filter_before);
        screen->is_typing = false;
    } else if (key == KEY_BACKSPACE || key == KEY_DELETE_CODE || key == '\b') {
        while (length > 0 && ((unsigned char)filter[--length] & 0xC0) == 0x80)
            continue;
        filter[length] = 0;
    } else if (key >= ' ' && key < 256 && length + 1 < sizeof screen->view.filter) {
        filter[length] = (char)key;
        filter[length + 1] = 0;
    }
}

static void sort_by(struct screen *screen, int column)
{
    screen->view.sort = (enum lap_top_column)((column + LAP_TOP_COLUMNS) % LAP_TOP_COLUMNS);
    screen->selected = LAP_LIVE_NONE; /* one wants to see the greatest */
}

static void press(struct screen *screen, int key)
{
    if (screen->is_typing) {
        type(screen, key);
        return;
    }
    switch (key) {
    case 'q': screen->is_quit = true; return;
    case ' ': screen->is_paused = !screen->is_paused; return;
    case 'i': screen->view.is_recent = !screen->view.is_recent; return;
    case 'r':
        screen->view.is_reversed = !screen->view.is_reversed;
        screen->selected = LAP_LIVE_NONE;
        return;
    case '<': sort_by(screen, (int)screen->view.sort - 1); return;
    case '>': sort_by(screen, (int)screen->view.sort + 1); return;
    case 'f': screen->view.is_flat = !screen->view.is_flat; return;
    case 'p':
        screen->view.is_by_process = !screen->view.is_by_process;
        start_anew(screen);
        return;
    case '/':
        memcpy(screen->filter_before, screen->view.filter, sizeof screen->filter_before);
        screen->view.filter[0] = 0;
        screen->is_typing = true;
        return;
    case KEY_ESCAPE_CODE: screen->view.filter[0] = 0; return;
    case '\n':
    case '\r':
    case KEY_ENTER:
    case KEY_RIGHT: enter(screen); return;
    case KEY_BACKSPACE:
    case KEY_DELETE_CODE:
    case '\b':
    case KEY_LEFT: leave(screen); return;
    case KEY_UP:
    case 'k': move_by(screen, -1); return;
    case KEY_DOWN:
    case 'j': move_by(screen, 1); return;
    case KEY_PPAGE: move_by(screen, -(long)screen->page); return;
    case KEY_NPAGE: move_by(screen, (long)screen->page); return;
    case KEY_HOME: screen->selected = LAP_LIVE_NONE; return;
    case KEY_END: select_row(screen, SIZE_MAX); return;
    case KEY_CONTROL_L: clearok(stdscr, TRUE); return;
    default: break;
    }
    for (int column = 0; column < LAP_TOP_COLUMNS; column++)
        if (key == lap_top_letters[column])
            sort_by(screen, column);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

/* Waits for a key, at most until `due_ns`. Its terminal is gone: quits. */
static void wait_for_keys(struct screen *screen, uint64_t due_ns)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    const uint64_t now = now_ns();
    const int wait_ms = screen->is_paused ? -1 : due_ns > now ? (int)((due_ns - now + 999999) / 1000000) : 0;
    const int ready = poll(&input, 1, wait_ms);
    if (ready > 0 && (input.revents & (POLLERR | POLLNVAL) || (input.revents & POLLHUP && !(input.revents & POLLIN)))) {
        screen->is_quit = true;
        return;
    }
    for (int key; ready > 0 && !screen->is_quit && (key = getch()) != ERR;) {
        press(screen, key);
        rows_make(screen); /* the next key may be about these */
    }
}

/* The window's size as it is now: ncurses is not asked to catch the signal, which must also end poll(). */
static void resize(void)
{
    struct winsize size;
    is_resized = 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(stdscr, TRUE);
}

static int loop(struct screen *screen, uint64_t count)
{
    uint64_t due_ns = now_ns() + screen->interval_ns;
    int status = 0;
    for (uint64_t looks = 0; status == 0 && !screen->is_quit && !ended_by && (count == 0 || looks < count);) {
        if (is_resized)
            resize();
        draw(screen);
        wait_for_keys(screen, due_ns);
        if (screen->is_paused || now_ns() < due_ns || screen->is_quit || ended_by)
            continue;
        status = lap_top_watch_look(screen->watch);
        looks++;
        /* No hurry to catch up after a pause. */
        due_ns = due_ns + screen->interval_ns > now_ns() ? due_ns + screen->interval_ns : now_ns() + screen->interval_ns;
    }
    return status;
}

static void signals_catch(void)
{
    const struct sigaction end = {.sa_handler = on_end}, size = {.sa_handler = on_resize};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGHUP, &end, NULL);
    sigaction(SIGWINCH, &size, NULL);
}

int lap_top_screen_run(struct lap_top_watch *watch, uint64_t interval_ns, uint64_t count)
{
    struct screen screen = {
        .watch = watch,
        .view = {.is_recent = true, .sort = LAP_TOP_TOTAL, .focus = LAP_LIVE_NONE},
        .interval_ns = interval_ns,
        .selected = LAP_LIVE_NONE,
    };
    const char *const name = getenv("TERM");
    SCREEN *const terminal = newterm(NULL, stdout, stdin);
    if (!terminal)
        return lap_message_trouble("the terminal '%s' is not known here; --once prints what it would show",
                                   name ? name : "");
    signals_catch();
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    if (lap_terminal_get()->has_colour && has_colors()) {
        start_color();
        use_default_colors();
        init_pair(PAIR_HOT, COLOR_RED, -1);
        init_pair(PAIR_WARM, COLOR_YELLOW, -1);
        init_pair(PAIR_GOOD, COLOR_GREEN, -1);
    }
    const int status = loop(&screen, count);
    endwin();
    delscreen(terminal);
    free(screen.rows);
    if (ended_by) {
        signal(ended_by, SIG_DFL);
        raise(ended_by);
    }
    return status;
}
