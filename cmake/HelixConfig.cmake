# find_package(Helix): makes helix_add_module available, from an installed Helix or from a source tree.
#
# Source tree: configure with -DHelix_DIR=TREE/cmake. Installed under PREFIX: -DCMAKE_PREFIX_PATH=PREFIX.
# The project enables C++ before it calls find_package.
get_filename_component(HELIX_SDK ${CMAKE_CURRENT_LIST_DIR}/../include ABSOLUTE)
if(NOT EXISTS ${HELIX_SDK}/helix/module.hpp)  # installed: PREFIX/lib/cmake/Helix, headers in PREFIX/include
  get_filename_component(HELIX_SDK ${CMAKE_CURRENT_LIST_DIR}/../../../include ABSOLUTE)
endif()
if(NOT EXISTS ${HELIX_SDK}/helix/module.hpp)
  set(Helix_FOUND FALSE)
  set(Helix_NOT_FOUND_MESSAGE "helix/module.hpp is neither in ../include nor in ../../../include of ${CMAKE_CURRENT_LIST_DIR}")
  return()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/HelixModule.cmake)
