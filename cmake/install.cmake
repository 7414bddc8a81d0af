# SPDX-License-Identifier: MIT
# The installed tree: headers, libraries, command, pkg-config file, CMake package. Manual pages: doc/CMakeLists.txt.
include(CMakePackageConfigHelpers)
set(package_directory "${CMAKE_INSTALL_LIBDIR}/cmake/lapmark")

install(FILES include/lapmark.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY include/lapmark DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
set_target_properties(lapmark PROPERTIES EXPORT_NAME lapmark)
set_target_properties(lapmark_static PROPERTIES EXPORT_NAME lapmark_static)
install(TARGETS lapmark lapmark_static EXPORT lapmark
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT lapmark NAMESPACE lapmark:: FILE lapmark-targets.cmake DESTINATION "${package_directory}")
file(CONFIGURE OUTPUT lapmark-config.cmake @ONLY
    CONTENT "include(\"\${CMAKE_CURRENT_LIST_DIR}/lapmark-targets.cmake\")\n")
write_basic_package_version_file(lapmark-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/lapmark-config.cmake" "${PROJECT_BINARY_DIR}/lapmark-config-version.cmake"
    DESTINATION "${package_directory}")

# The prefix is told from the file's own place, so that an installed tree may be moved.
cmake_path(SET pc_directory NORMALIZE "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH pc_to_prefix "${pc_directory}" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
configure_file(cmake/lapmark.pc.in lapmark.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/lapmark.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

if(TARGET lapmark_cli)
    install(TARGETS lapmark_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    install(FILES "${PROJECT_BINARY_DIR}/completion/bash/lapmark" OPTIONAL
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
    install(FILES "${PROJECT_BINARY_DIR}/completion/zsh/_lapmark" OPTIONAL
        DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
    if(LAPMARK_UPLOT_DIRECTORY)
        install(FILES "${LAPMARK_UPLOT_DIRECTORY}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" RENAME LICENSE.uPlot)
    endif()
endif()
