/* SPDX-License-Identifier: MIT
 *
 * The page without its data, as cmake/page.cmake joins it from src/page/ and uPlot: what comes before the data, and after.
 */
#ifndef LAP_PAGE_PARTS_H
#define LAP_PAGE_PARTS_H

#include <stddef.h>

extern const unsigned char lap_page_before[], lap_page_after[];
extern const size_t lap_page_before_bytes, lap_page_after_bytes;

#endif
