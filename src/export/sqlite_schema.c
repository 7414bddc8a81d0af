/* SPDX-License-Identifier: MIT */
#include "sqlite_schema.h"

/* SQLite keeps the statements as they are here, comments too. What export_sqlite.c writes has these columns in this order. */
const struct lap_sqlite_statement lap_sqlite_tables[LAP_SQLITE_TABLES] = {
    [LAP_SQLITE_PROCESS] = {"process", "CREATE TABLE process(\n"
                                       "  id INTEGER PRIMARY KEY,\n"
                                       "  name TEXT,       -- of its directory in the recording\n"
                                       "  pid INTEGER,\n"
                                       "  program TEXT, host TEXT, command TEXT,\n"
                                       "  state TEXT,      -- ended, running, replaced, died, snapshot, unknown\n"
                                       "  start_ns INTEGER, end_ns INTEGER,\n"
                                       "  lost INTEGER     -- events; see loss\n"
                                       ")"},
    [LAP_SQLITE_THREAD] = {"thread", "CREATE TABLE thread(\n"
                                     "  id INTEGER PRIMARY KEY,\n"
                                     "  process_id INTEGER,\n"
                                     "  tid INTEGER,     -- the kernel's\n"
                                     "  number INTEGER,  -- in the process, from 0\n"
                                     "  name TEXT\n"
                                     ")"},
    [LAP_SQLITE_SITE] = {"site", "CREATE TABLE site(\n"
                                 "  id INTEGER PRIMARY KEY,\n"
                                 "  process_id INTEGER,\n"
                                 "  kind TEXT,       -- profiler, checkpoint, call\n"
                                 "  label TEXT,\n"
                                 "  function TEXT, file TEXT, line INTEGER\n"
                                 ")"},
    [LAP_SQLITE_SPAN] = {"span", "CREATE TABLE span(\n"
                                 "  id INTEGER PRIMARY KEY, -- a profiler's is less than those of what is in it\n"
                                 "  parent_id INTEGER,      -- the profiler that it is a lap of, or that is around it\n"
                                 "  process_id INTEGER,\n"
                                 "  thread_id INTEGER,\n"
                                 "  site_id INTEGER,        -- NULL: the rest\n"
                                 "  kind TEXT,              -- profiler, lap, rest\n"
                                 "  begin_ns INTEGER,       -- since 1970\n"
                                 "  end_ns INTEGER,\n"
                                 "  duration_ns INTEGER,    -- without the recorder's pauses\n"
                                 "  self_ns INTEGER,        -- of that, not in profilers inside\n"
                                 "  state INTEGER,          -- 0 ended, 1 abandoned, 2 unfinished, 3 its end is lost\n"
                                 "  cut INTEGER,            -- 1: its begin is lost, or some of its laps\n"
                                 "  handle INTEGER,         -- 1: bound to no thread\n"
                                 "  number INTEGER,         -- of a lap in its profiler, from 0\n"
                                 "  n INTEGER,              -- the problem size\n"
                                 "  threshold_ns INTEGER,\n"
                                 "  label TEXT,             -- where it is not the site's\n"
                                 "  message TEXT            -- the label with its arguments, where it has some\n"
                                 ")"},
    [LAP_SQLITE_CALL] = {"call", "CREATE TABLE call(\n"
                                 "  id INTEGER PRIMARY KEY,\n"
                                 "  span_id INTEGER,        -- the profiler that awaited it\n"
                                 "  process_id INTEGER,\n"
                                 "  thread_id INTEGER,\n"
                                 "  site_id INTEGER,\n"
                                 "  begin_ns INTEGER,       -- the request is sent\n"
                                 "  end_ns INTEGER,         -- the reply is there\n"
                                 "  duration_ns INTEGER,\n"
                                 "  server_ns INTEGER,      -- NULL, as the next two: the server did not say\n"
                                 "  queue_ns INTEGER,       -- of server_ns\n"
                                 "  between_ns INTEGER,     -- duration_ns - server_ns\n"
                                 "  there_ns INTEGER,       -- of between_ns; NULL: the sides do not read one clock\n"
                                 "  back_ns INTEGER,\n"
                                 "  one_way INTEGER,        -- 1: no reply was to come\n"
                                 "  refused INTEGER,        -- 1: the reply's trailer was another's\n"
                                 "  trace_id TEXT,          -- 32 hexadecimal digits\n"
                                 "  context_id TEXT,        -- 16: the call's own span id\n"
                                 "  label TEXT\n"
                                 ")"},
    [LAP_SQLITE_SERVE] = {"serve", "CREATE TABLE serve(\n"
                                   "  id INTEGER PRIMARY KEY,\n"
                                   "  span_id INTEGER,        -- the profiler that serves\n"
                                   "  trace_id TEXT,\n"
                                   "  context_id TEXT         -- the call's\n"
                                   ")"},
    [LAP_SQLITE_LINK] = {"link", "CREATE TABLE link(\n"
                                 "  id INTEGER PRIMARY KEY,\n"
                                 "  span_id INTEGER,        -- the profiler\n"
                                 "  call_context_id TEXT,   -- where it is one of its calls that is linked\n"
                                 "  relation TEXT,          -- is, child of, follows\n"
                                 "  trace_id TEXT,\n"
                                 "  context_id TEXT\n"
                                 ")"},
    [LAP_SQLITE_PAUSE] = {"pause", "CREATE TABLE pause(\n"
                                   "  id INTEGER PRIMARY KEY,\n"
                                   "  span_id INTEGER,        -- the profiler in which the recorder worked\n"
                                   "  process_id INTEGER,\n"
                                   "  thread_id INTEGER,\n"
                                   "  begin_ns INTEGER,\n"
                                   "  duration_ns INTEGER\n"
                                   ")"},
    [LAP_SQLITE_LOSS] = {"loss", "CREATE TABLE loss(\n"
                                 "  id INTEGER PRIMARY KEY,\n"
                                 "  process_id INTEGER,\n"
                                 "  kind TEXT,              -- signal, memory, disk ...; segment: rings were used again\n"
                                 "  count INTEGER\n"
                                 ")"},
    [LAP_SQLITE_CLOCK] = {"clock",
                          "CREATE TABLE clock(\n"
                          "  process_id INTEGER PRIMARY KEY,\n"
                          "  source TEXT,            -- tsc, cntvct, monotonic\n"
                          "  domain TEXT,            -- 16 hexadecimal digits: equal where one clock is read\n"
                          "  ticks_per_second REAL,\n"
                          "  how TEXT,               -- own, calls, wall: how its times came onto the one clock\n"
                          "  root_id INTEGER,        -- the process whose clock its times are by\n"
                          "  shift_ns REAL,          -- by how much its own was ahead of that one\n"
                          "  error_ns REAL           -- at most, by that one; NULL: not known\n"
                          ")"},
};

#define PLACE                                                                                                            \
    "  LEFT JOIN thread t ON t.id = s.thread_id\n"                                                                       \
    "  LEFT JOIN process p ON p.id = s.process_id\n"

const struct lap_sqlite_statement lap_sqlite_views[] = {
    {"profilers",
     "CREATE VIEW profilers AS SELECT\n"
     "  s.id, s.parent_id, coalesce(s.label, i.label) AS label,\n"
     "  coalesce(s.message, s.label, i.label) AS message, s.n,\n"
     "  s.begin_ns, s.end_ns, s.duration_ns, s.self_ns, s.threshold_ns,\n"
     "  CASE s.state WHEN 0 THEN 'ended' WHEN 1 THEN 'abandoned' WHEN 2 THEN 'unfinished' ELSE 'lost' END AS state,\n"
     "  s.cut, s.handle, p.program AS process, t.name AS thread, i.function, i.file, i.line\n"
     "  FROM span s LEFT JOIN site i ON i.id = s.site_id\n" PLACE "  WHERE s.kind = 'profiler'"},
    {"laps",
     "CREATE VIEW laps AS SELECT\n"
     "  s.id, s.parent_id, coalesce(s.label, i.label, '(rest)') AS label,\n"
     "  coalesce(s.message, s.label, i.label, '(rest)') AS message, s.n, s.number, s.kind,\n"
     "  s.begin_ns, s.end_ns, s.duration_ns, s.self_ns,\n"
     "  coalesce(o.label, oi.label) AS profiler, p.program AS process, t.name AS thread, i.function, i.file, i.line\n"
     "  FROM span s LEFT JOIN site i ON i.id = s.site_id\n"
     "  LEFT JOIN span o ON o.id = s.parent_id LEFT JOIN site oi ON oi.id = o.site_id\n" PLACE
     "  WHERE s.kind <> 'profiler'"},
    {"calls",
     "CREATE VIEW calls AS SELECT\n"
     "  s.id, s.span_id, coalesce(s.label, i.label) AS label, s.begin_ns, s.end_ns, s.duration_ns,\n"
     "  s.server_ns, s.queue_ns, s.between_ns, s.there_ns, s.back_ns, s.one_way, s.refused,\n"
     "  (SELECT v.span_id FROM serve v WHERE v.context_id = s.context_id AND v.trace_id = s.trace_id) AS served_by,\n"
     "  p.program AS process, t.name AS thread, i.function, i.file, i.line\n"
     "  FROM call s LEFT JOIN site i ON i.id = s.site_id\n" PLACE},
    {"slowest", "CREATE VIEW slowest AS SELECT * FROM profilers ORDER BY duration_ns DESC"},
    {"totals", "CREATE VIEW totals AS SELECT\n"
               "  kind, label, count(*) AS count, sum(duration_ns) AS total_ns, sum(self_ns) AS self_ns,\n"
               "  avg(duration_ns) AS mean_ns, min(duration_ns) AS min_ns, max(duration_ns) AS max_ns\n"
               "  FROM (SELECT s.kind, coalesce(s.label, i.label, '(rest)') AS label, s.duration_ns, s.self_ns\n"
               "        FROM span s LEFT JOIN site i ON i.id = s.site_id)\n"
               "  GROUP BY 1, 2 ORDER BY total_ns DESC"},
};
const size_t lap_sqlite_views_count = sizeof lap_sqlite_views / sizeof *lap_sqlite_views;

const struct lap_sqlite_statement lap_sqlite_indexes[] = {
    {"span_parent", "CREATE INDEX span_parent ON span(parent_id)"},
    {"call_span", "CREATE INDEX call_span ON call(span_id)"},
    {"serve_context", "CREATE INDEX serve_context ON serve(context_id)"},
    {"link_span", "CREATE INDEX link_span ON link(span_id)"},
};
const size_t lap_sqlite_indexes_count = sizeof lap_sqlite_indexes / sizeof *lap_sqlite_indexes;
