# SPDX-License-Identifier: MIT
# Run at build time: asks COMMAND for its completions and leaves them beside STAMP, named as the shells want them.
get_filename_component(directory "${STAMP}" DIRECTORY)
file(REMOVE_RECURSE "${directory}")
foreach(shell_and_file bash:lapmark zsh:_lapmark)
    string(REPLACE ":" ";" shell_and_file "${shell_and_file}")
    list(GET shell_and_file 0 shell)
    list(GET shell_and_file 1 file)
    execute_process(COMMAND "${COMMAND}" completion ${shell}
        RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE errors)
    if(result EQUAL 0)
        file(WRITE "${directory}/${shell}/${file}" "${text}")
    else()
        message(WARNING "no completion for ${shell}: ${errors}")
    endif()
endforeach()
file(WRITE "${STAMP}" "")
