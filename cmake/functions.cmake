# SPDX-License-Identifier: MIT

# lapmark_glob(VARIABLE DIRECTORY): the C files of a directory, or an empty one where there is none yet, since CMake
# refuses a library without sources.
function(lapmark_glob variable directory)
    file(GLOB files CONFIGURE_DEPENDS "${directory}/*.c")
    if(NOT files)
        set(files "${PROJECT_BINARY_DIR}/no_source.c")
        file(CONFIGURE OUTPUT "${files}" CONTENT "typedef int lapmark_no_source;\n")
    endif()
    set(${variable} "${files}" PARENT_SCOPE)
endfunction()

# lapmark_component(NAME USED...): src/NAME as a static library that sees its own headers, the public ones and those of
# what it uses: the layering is enforced by what an #include can find.
function(lapmark_component name)
    lapmark_glob(sources "${PROJECT_SOURCE_DIR}/src/${name}")
    add_library(lapmark_${name} STATIC ${sources})
    target_include_directories(lapmark_${name} PUBLIC
        "${PROJECT_SOURCE_DIR}/src/${name}" "${PROJECT_SOURCE_DIR}/include")
    list(TRANSFORM ARGN PREPEND lapmark_ OUTPUT_VARIABLE used)
    target_link_libraries(lapmark_${name} PUBLIC ${used})
endfunction()

# lapmark_program(PREFIX SOURCE LINKED...): one program from one file, beside its CMakeLists.txt's build directory, named
# as the file. The target is PREFIX_NAME, so that an example and a test may share a name.
function(lapmark_program prefix source)
    get_filename_component(name "${source}" NAME_WE)
    add_executable(${prefix}_${name} "${source}")
    set_target_properties(${prefix}_${name} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
    target_link_libraries(${prefix}_${name} PRIVATE ${ARGN})
endfunction()
