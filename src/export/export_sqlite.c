/* SPDX-License-Identifier: MIT */
#include "export.h"
#include "sqlite_fill.h"
#include "sqlite_index.h"

#include <errno.h>

int lap_export_sqlite(const struct lap_export *export, const char *file)
{
    struct lap_out out;
    int code = lap_out_open_named(&out, file);
    if (code < 0)
        return code;
    if (!out.temporary) /* a pipe, a terminal */
        code = -ESPIPE;
    if (code == 0)
        code = lap_sqlite_fill(export, out.fd, true);
    if (code == 0)
        code = lap_sqlite_index_file(out.temporary);
    const int closed = lap_out_close(&out, code == 0);
    return code < 0 ? code : closed;
}
