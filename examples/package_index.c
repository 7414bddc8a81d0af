/* SPDX-License-Identifier: MIT
 *
 * A real job on a file that every Debian machine has: reads the package database, sorts and indexes it, resolves every
 * package's dependencies, works out what installing a sample of the packages would take, and writes a table.
 *
 * One step of it is slow, in a way that its source does not show at first sight; the profilers do. --fixed goes the
 * other way and gives the same table.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include "package_database.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APT_LISTS "/var/lib/apt/lists/*_Packages"
#define DPKG_STATUS "/var/lib/dpkg/status"

struct job {
    char **inputs;
    size_t input_count;
    size_t input_capacity;
    const char *output;
    size_t limit;
    size_t lookups;
    bool fixed;
    bool recommends;
};

static void load(struct database *db, const struct job *job)
{
    LAP_PROFILE("load %zu files", job->input_count);
    for (size_t i = 0; i < job->input_count && db->count < job->limit; i++)
        database_load(db, job->inputs[i], job->limit);
    if (db->count == 0)
        fail("no package in '%s'%s", job->inputs[0], job->input_count > 1 ? " and the other inputs" : "");
}

static int by_name(const void *left, const void *right)
{
    const struct package *const a = left;
    const struct package *const b = right;
    const int order = strcmp(a->name, b->name);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void sort_packages(struct database *db)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)db->count), "sort %zu packages", db->count);
    qsort(db->packages, db->count, sizeof *db->packages, by_name);
}

static void index_packages(struct database *db)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)db->count), "index %zu packages", db->count);
    for (uint32_t i = 0; i < db->count; i++) {
        const struct package *const package = &db->packages[i];
        index_add(&db->names, package->name, strlen(package->name), i);
        LAP_MARK("name");
        if (!package->provides)
            continue;
        const char *at = package->provides;
        size_t bytes;
        char separator;
        int64_t n = 0;
        for (const char *name; (name = next_name(&at, &bytes, &separator)); n++)
            index_add(&db->provides, name, bytes, i);
        LAP_MARK_N(n, "provides");
    }
}

/* Each clause of the list is met by the first of its alternatives that is there, by its own name or provided. */
static int64_t resolve_list(struct database *db, struct package *package, const char *list)
{
    int64_t names = 0;
    uint32_t found = NOT_FOUND;
    size_t bytes;
    char separator;
    for (const char *name; list && (name = next_name(&list, &bytes, &separator)); names++) {
        if (found == NOT_FOUND)
            found = index_find(&db->names, name, bytes);
        if (found == NOT_FOUND)
            found = index_find(&db->provides, name, bytes);
        if (separator == '|')
            continue;
        if (found == NOT_FOUND) {
            package->unresolved++;
        } else {
            db->edges = grown(db->edges, db->edge_count, &db->edge_capacity, sizeof *db->edges);
            db->edges[db->edge_count++] = found;
            package->resolved++;
        }
        found = NOT_FOUND;
    }
    return names;
}

static void resolve_packages(struct database *db, bool recommends)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)db->count), "resolve %zu packages", db->count);
    for (size_t i = 0; i < db->count; i++) {
        struct package *const package = &db->packages[i];
        package->first_edge = (uint32_t)db->edge_count;
        int64_t names = resolve_list(db, package, package->pre_depends);
        names += resolve_list(db, package, package->depends);
        if (recommends)
            names += resolve_list(db, package, package->recommends);
        LAP_MARK_N(names, "package");
    }
    LAP_MARK("%zu dependencies", db->edge_count);
}

/* A package can stand in several lists, such as a security update beside the release, and the index knows one of each
 * name: so the versions are compared. */
static const struct package *newest_version(const struct database *db, const char *name)
{
    const struct package *newest = NULL;
    for (size_t i = 0; i < db->count; i++) {
        const struct package *const package = &db->packages[i];
        if (strcmp(package->name, name) == 0 && (!newest || version_compare(package->version, newest->version) > 0))
            newest = package;
    }
    return newest;
}

/* The same by the index: the packages are sorted, so those of one name follow its first. */
static const struct package *newest_version_indexed(const struct database *db, const char *name)
{
    const uint32_t first = index_find(&db->names, name, strlen(name));
    if (first == NOT_FOUND)
        return NULL;
    const struct package *newest = &db->packages[first];
    for (const struct package *package = newest + 1;
         package < db->packages + db->count && strcmp(package->name, name) == 0; package++)
        if (version_compare(package->version, newest->version) > 0)
            newest = package;
    return newest;
}

/* All that the package needs, itself included: `members` has room for every package. Returns how many there are. */
static size_t closure_walk(struct database *db, uint32_t root, uint32_t visit, uint32_t *members)
{
    size_t count = 0;
    members[count++] = root;
    db->packages[root].visited_by = visit;
    for (size_t next = 0; next < count; next++) {
        const struct package *const package = &db->packages[members[next]];
        for (uint32_t i = 0; i < package->resolved; i++) {
            const uint32_t needed = db->edges[package->first_edge + i];
            if (db->packages[needed].visited_by != visit) {
                db->packages[needed].visited_by = visit;
                members[count++] = needed;
            }
        }
    }
    return count;
}

/* What it takes to install the package and all that it needs. */
static void look_up_closure(struct database *db, uint32_t root, uint32_t visit, uint32_t *members, bool fixed)
{
    struct package *const package = &db->packages[root];
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)db->count), "closure of %s", package->name);
    const size_t count = closure_walk(db, root, visit, members);
    LAP_MARK_N(count, "walked");
    for (size_t i = 0; i < count; i++) {
        const char *const name = db->packages[members[i]].name;
        const struct package *const newest = fixed ? newest_version_indexed(db, name) : newest_version(db, name);
        if (newest->installed_size)
            package->closure_kib += strtoull(newest->installed_size, NULL, 10);
        LAP_MARK("newest version found");
    }
    package->closure_size = (uint32_t)count;
}

/* A sample, spread over the database: the step is a prime above any count, so no package comes twice. */
static void look_up_packages(struct database *db, size_t lookups, bool fixed)
{
    const uint64_t step = 2654435761;
    LAP_PROFILE("look up %zu packages", lookups);
    uint32_t *const members = malloc(db->count * sizeof *members);
    if (!members)
        fail("no memory for a closure of %zu packages", db->count);
    size_t done = 0;
    for (uint32_t i = 0; i < db->count && done < lookups; i++) {
        const uint32_t root = (uint32_t)(i * step % db->count);
        look_up_closure(db, root, i + 1, members, fixed);
        done += db->packages[root].closure_size;
        LAP_MARK_N(db->packages[root].closure_size, "closure");
    }
    free(members);
}

static void write_table(const struct database *db, const char *path)
{
    LAP_PROFILE("write %s", path);
    FILE *const stream = fopen(path, "w");
    if (!stream)
        fail("cannot create '%s': %s", path, strerror(errno));
    fputs("package\tversion\tarchitecture\tsection\tresolved\tunresolved\tclosure\tclosure_kib\tdescription\n", stream);
    LAP_MARK("created");
    for (size_t i = 0; i < db->count; i++) {
        const struct package *const package = &db->packages[i];
        fprintf(stream, "%s\t%s\t%s\t%s\t%u\t%u\t", package->name, package->version, package->architecture,
                package->section, package->resolved, package->unresolved);
        if (package->closure_size)
            fprintf(stream, "%u\t%llu\t", package->closure_size, (unsigned long long)package->closure_kib);
        else
            fputs("\t\t", stream);
        fprintf(stream, "%.*s\n", (int)strcspn(package->description, "\n"), package->description);
        LAP_MARK("row");
    }
    const bool written = !ferror(stream);
    if (fclose(stream) != 0 || !written)
        fail("cannot write '%s': %s", path, strerror(errno));
    LAP_MARK("closed");
}

static void run_job(const struct job *job)
{
    LAP_PROFILE("package index");
    struct database db = {0};
    load(&db, job);
    LAP_MARK("loaded %zu packages", db.count);
    sort_packages(&db);
    LAP_MARK("sorted");
    index_packages(&db);
    LAP_MARK("indexed %u names, %u provided", db.names.count, db.provides.count);
    resolve_packages(&db, job->recommends);
    LAP_MARK("resolved %zu dependencies", db.edge_count);
    look_up_packages(&db, job->lookups, job->fixed);
    LAP_MARK("looked up");
    write_table(&db, job->output);
    LAP_MARK("written");
    printf("%zu packages, %zu dependencies, %u provided names: table in '%s'\n", db.count, db.edge_count,
           db.provides.count, job->output);
    database_done(&db);
    LAP_MARK("freed");
}

static const char usage[] =
    "Usage: package_index [OPTION]...\n"
    "Resolves the dependencies of every package of this machine's package lists and writes a table.\n"
    "\n"
    "  -i, --input FILE    read FILE, plain or packed; may be repeated (default: apt's\n"
    "                      lists, or dpkg's status where there are none)\n"
    "  -o, --output FILE   write the table to FILE (default: package_index.tsv)\n"
    "  -l, --limit N       take only the first N packages\n"
    "  -n, --lookups N     go on to the next package until N were looked up (default: 3000)\n"
    "  -r, --recommends    recommended packages count as dependencies\n"
    "  -f, --fixed         look packages up by the index\n"
    "  -h, --help          this text\n";

static void job_add_input(struct job *job, const char *path)
{
    job->inputs = grown(job->inputs, job->input_count, &job->input_capacity, sizeof *job->inputs);
    job->inputs[job->input_count] = strdup(path);
    if (!job->inputs[job->input_count++])
        fail("no memory for the name '%s'", path);
}

static void job_find_inputs(struct job *job)
{
    static const char *const endings[] = {"", ".lz4", ".gz", ".xz", ".zst"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "%s%s", APT_LISTS, endings[i]);
        glob_t found;
        if (glob(pattern, 0, NULL, &found) != 0)
            continue;
        for (size_t j = 0; j < found.gl_pathc; j++)
            job_add_input(job, found.gl_pathv[j]);
        globfree(&found);
    }
    if (job->input_count == 0)
        job_add_input(job, DPKG_STATUS);
}

static size_t parse_count(const char *option, const char *text)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value == 0 || value > UINT32_MAX / 2)
        fail("%s wants a number from 1 up, not '%s'", option, text);
    return (size_t)value;
}

static void parse_options(struct job *job, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"input", required_argument, NULL, 'i'}, {"output", required_argument, NULL, 'o'},
        {"limit", required_argument, NULL, 'l'}, {"lookups", required_argument, NULL, 'n'},
        {"recommends", no_argument, NULL, 'r'},  {"fixed", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "i:o:l:n:rfh", long_options, NULL)) != -1;) {
        switch (option) {
        case 'i': job_add_input(job, optarg); break;
        case 'o': job->output = optarg; break;
        case 'l': job->limit = parse_count("--limit", optarg); break;
        case 'n': job->lookups = parse_count("--lookups", optarg); break;
        case 'r': job->recommends = true; break;
        case 'f': job->fixed = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fail("try 'package_index --help'");
        }
    }
    if (optind < argc)
        fail("unexpected argument '%s'", argv[optind]);
}

int main(int argc, char **argv)
{
    struct job job = {.output = "package_index.tsv", .limit = UINT32_MAX / 2, .lookups = 3000};
    parse_options(&job, argc, argv);
    if (job.input_count == 0)
        job_find_inputs(&job);
    run_job(&job);
    for (size_t i = 0; i < job.input_count; i++)
        free(job.inputs[i]);
    free(job.inputs);
    return 0;
}
