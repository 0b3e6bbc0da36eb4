# `cmake --install BUILD --prefix PREFIX`: what out-of-tree modules need, and nothing else.
include(CMakePackageConfigHelpers)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/helix DESTINATION include COMPONENT sdk)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/HelixConfigVersion.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_SOURCE_DIR}/cmake/HelixConfig.cmake ${CMAKE_SOURCE_DIR}/cmake/HelixModule.cmake
  ${CMAKE_BINARY_DIR}/HelixConfigVersion.cmake DESTINATION lib/cmake/Helix COMPONENT sdk)
install(PROGRAMS ${CMAKE_SOURCE_DIR}/cmake/check_no_vector_code.sh DESTINATION lib/cmake/Helix COMPONENT sdk)
