# SPDX-License-Identifier: MIT
# uPlot, which draws the curves of the pages that --html writes. What npm has is fetched once, into the build directory, and held
# against its hash. Sets LAPMARK_UPLOT_DIRECTORY, or leaves it empty where it cannot be had: then there are no pages.
set(LAPMARK_UPLOT "" CACHE FILEPATH "uplot-1.6.32.tgz of the npm registry, where it is there already: nothing is downloaded")
set(uplot_url https://registry.npmjs.org/uplot/-/uplot-1.6.32.tgz)
set(uplot_sha512 2883159c6ebccefbb95d751b0b82d010f9e1c0ec41b8bc96d401eda66e882935c89a46cb824332fa369b8cb8122cc6ac36e186cd09bf7a9ded3a4c93c6989023)

# lapmark_uplot_matches(VARIABLE FILE)
function(lapmark_uplot_matches variable file)
    set(${variable} FALSE PARENT_SCOPE)
    if(EXISTS "${file}")
        file(SHA512 "${file}" found)
        if(found STREQUAL uplot_sha512)
            set(${variable} TRUE PARENT_SCOPE)
        endif()
    endif()
endfunction()

# lapmark_uplot_find(VARIABLE): the package's file, or "" after a message that says what to do.
function(lapmark_uplot_find variable)
    set(${variable} "" PARENT_SCOPE)
    set(file "${PROJECT_BINARY_DIR}/uplot/uplot-1.6.32.tgz")
    set(reason "its SHA-512 is another one")
    if(LAPMARK_UPLOT)
        set(file "${LAPMARK_UPLOT}")
    endif()
    lapmark_uplot_matches(is_here "${file}")
    if(NOT is_here AND NOT LAPMARK_UPLOT)
        message(STATUS "Downloading ${uplot_url}")
        file(DOWNLOAD ${uplot_url} "${file}" STATUS status TLS_VERIFY ON INACTIVITY_TIMEOUT 20)
        list(GET status 1 reason)
        lapmark_uplot_matches(is_here "${file}")
    elseif(NOT EXISTS "${file}")
        set(reason "there is no such file")
    endif()
    if(is_here)
        set(${variable} "${file}" PARENT_SCOPE)
    elseif(LAPMARK_UPLOT)
        message(WARNING "Without pages, so --html is refused: '${file}' is not uPlot 1.6.32 (${reason}); "
            "LAPMARK_UPLOT is to name the file of ${uplot_url}")
    else()
        file(REMOVE "${file}")
        message(WARNING "Without pages, so --html is refused: cannot download ${uplot_url} (${reason}); configure again with "
            "network and ca-certificates, or fetch that file elsewhere and give -DLAPMARK_UPLOT=FILE; -DLAPMARK_PAGES=OFF does without")
    endif()
endfunction()

lapmark_uplot_find(uplot_file)
set(LAPMARK_UPLOT_DIRECTORY "")
if(uplot_file)
    file(ARCHIVE_EXTRACT INPUT "${uplot_file}" DESTINATION "${PROJECT_BINARY_DIR}/uplot" PATTERNS
        package/LICENSE package/dist/uPlot.iife.min.js package/dist/uPlot.min.css)
    set(LAPMARK_UPLOT_DIRECTORY "${PROJECT_BINARY_DIR}/uplot/package")
endif()
