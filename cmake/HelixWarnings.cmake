# Warnings, as errors, for everything of ours.
set(HELIX_WARNINGS -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wno-delete-non-abstract-non-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND HELIX_WARNINGS -Wthread-safety -Wthread-safety-beta)
endif()
