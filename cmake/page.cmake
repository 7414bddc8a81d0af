# SPDX-License-Identifier: MIT
# Run at build time: joins the files of the page in SOURCE and of UPLOT's package, and writes the result to OUTPUT as bytes in C, in
# two parts, as the data come between them. page.html says where each file comes: "@page.css@".
file(READ "${SOURCE}/page.html" page)
string(REPLACE "@version@" "${VERSION}" page "${page}")
string(REGEX MATCHALL "@[a-zA-Z_.]+[.](css|js)@|@LICENSE@" places "${page}")
foreach(place IN LISTS places)
    string(REPLACE "@" "" name "${place}")
    if(EXISTS "${SOURCE}/${name}")
        file(READ "${SOURCE}/${name}" text)
    elseif(EXISTS "${UPLOT}/dist/${name}")
        file(READ "${UPLOT}/dist/${name}" text)
    else()
        file(READ "${UPLOT}/${name}" text)
    endif()
    string(REPLACE "${place}" "${text}" page "${page}")
endforeach()

# lapmark_bytes(NAME TEXT): appends TEXT to `code` as an array.
function(lapmark_bytes name text)
    string(HEX "${text}" hex)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    set(code "${code}const unsigned char ${name}[] = {${bytes}};\nconst size_t ${name}_bytes = sizeof ${name};\n" PARENT_SCOPE)
endfunction()

string(FIND "${page}" "@data@" middle)
string(SUBSTRING "${page}" 0 ${middle} before)
math(EXPR middle "${middle} + 6")
string(SUBSTRING "${page}" ${middle} -1 after)
set(code "#include \"page_parts.h\"\n")
lapmark_bytes(lap_page_before "${before}")
lapmark_bytes(lap_page_after "${after}")
file(WRITE "${OUTPUT}" "${code}")
