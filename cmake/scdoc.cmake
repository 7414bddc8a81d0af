# SPDX-License-Identifier: MIT
# Run at build time: SOURCE through scdoc into OUTPUT; a failure leaves no half page behind.
get_filename_component(directory "${OUTPUT}" DIRECTORY)
file(MAKE_DIRECTORY "${directory}")
execute_process(COMMAND "${SCDOC}" INPUT_FILE "${SOURCE}" OUTPUT_FILE "${OUTPUT}" RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    file(REMOVE "${OUTPUT}")
    message(FATAL_ERROR "scdoc cannot read '${SOURCE}'")
endif()
