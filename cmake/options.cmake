# SPDX-License-Identifier: MIT
# Languages, warnings, build type and sanitizers, for every target of the tree.

# The usual RelWithDebInfo defines NDEBUG, which would empty the tests' asserts; src/ defines it for itself.
if(PROJECT_IS_TOP_LEVEL)
    if(NOT CMAKE_BUILD_TYPE)
        set(CMAKE_BUILD_TYPE RelWithDebInfo)
    endif()
    set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
    set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")
endif()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(lapmark_warnings -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
add_compile_options(${lapmark_warnings})
if(LAPMARK_WERROR)
    add_compile_options(-Werror)
endif()

string(REPLACE "," ";" lapmark_sanitizers "${LAPMARK_SANITIZE}")
foreach(sanitizer IN LISTS lapmark_sanitizers)
    if(NOT sanitizer MATCHES "^(address|undefined|thread)$")
        message(FATAL_ERROR "LAPMARK_SANITIZE: '${sanitizer}' is not address, undefined or thread")
    endif()
endforeach()
if(lapmark_sanitizers)
    # What is watched is slow in any case: less is optimised, and half as long built.
    add_compile_options(-fsanitize=${LAPMARK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
    add_link_options(-fsanitize=${LAPMARK_SANITIZE})
endif()
if(LAPMARK_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
