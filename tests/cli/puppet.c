/* SPDX-License-Identifier: MIT
 *
 * A program that does what its standard input says, a line at a time, and answers each with a line: for tests that look
 * into a process while it runs.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3 };

static int turn(void)
{
    LAP_PROFILE("turn");
    const int is_on = LAP_ELAPSED_NS() != 0;
    LAP_MARK("step");
    return is_on;
}

#define LATE(number)                                                                                                     \
    static void late_##number(void) { LAP_PROFILE("late " #number); }
LATE(0)
LATE(1)
LATE(2)
LATE(3)
LATE(4)
LATE(5)
LATE(6)
LATE(7)

static void late(long number)
{
    static void (*const functions[])(void) = {late_0, late_1, late_2, late_3, late_4, late_5, late_6, late_7};
    functions[number & 7]();
}

static void *turns(void *count)
{
    for (long i = 0; i < *(const long *)count; i++)
        turn();
    return NULL;
}

static pthread_barrier_t all_have_begun;

/* Turns until the profiler is switched to the other state. */
static void *until(void *is_wanted)
{
    for (unsigned long i = 0;; i++) {
        const int is_on = turn();
        if (i == 0)
            pthread_barrier_wait(&all_have_begun);
        else if (is_on == *(const int *)is_wanted)
            return NULL;
    }
}

/* Turns of all threads until the standard input has something to say. */
static int must_stop;
static void *load(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&must_stop, __ATOMIC_RELAXED))
        turn();
    return NULL;
}

static void in_threads(void *(*function)(void *), void *argument, const char *begun)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, function, argument);
    if (function == until)
        pthread_barrier_wait(&all_have_begun);
    if (begun)
        puts(begun);
    if (function == load) {
        char line[8];
        (void)!fgets(line, sizeof line, stdin);
        __atomic_store_n(&must_stop, 1, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    must_stop = 0;
}

/* The child goes on with the input, then the parent ends. */
static void split(void)
{
    const pid_t child = fork();
    if (child == 0)
        return;
    int status;
    waitpid(child, &status, 0);
    exit(status != 0);
}

static void obey(const char *command, const char *argument)
{
    long number = strtol(argument, NULL, 10);
    int is_wanted = number != 0;
    if (strcmp(command, "turns") == 0)
        in_threads(turns, &number, NULL);
    else if (strcmp(command, "until") == 0)
        in_threads(until, &is_wanted, "begun");
    else if (strcmp(command, "load") == 0)
        in_threads(load, NULL, "begun");
    else if (strcmp(command, "late") == 0)
        late(number);
    else if (strcmp(command, "set") == 0)
        lap_set(argument);
    else if (strcmp(command, "sets") == 0)
        for (long i = 0; i < number; i++)
            lap_set(i % 2 ? "-other*" : "other*");
    else if (strcmp(command, "fork") == 0)
        split();
    else if (strcmp(command, "stop") == 0)
        lap_record_stop();
    else
        exit(3);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* a child must not have the parent's next line */
    pthread_barrier_init(&all_have_begun, NULL, THREADS + 1);
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *argument = strchr(line, ' ');
        if (argument)
            *argument++ = 0;
        obey(line, argument ? argument : "0");
        printf("%d\n", (int)getpid());
    }
    return 0;
}
