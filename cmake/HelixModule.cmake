# helix_add_module(NAME SOURCE...): builds NAME.hmod, a position-independent module for every port.
#
# The same function serves this tree and projects that use find_package(Helix). HELIX_SDK is the folder that
# holds helix/module.hpp. Works with clang++ (19 or later, with libc++) and g++ (12 or later).
if(NOT DEFINED HELIX_SDK)
  set(HELIX_SDK ${CMAKE_CURRENT_LIST_DIR}/../include)
endif()
cmake_path(NORMAL_PATH HELIX_SDK)

set(HELIX_CHECK_NO_VECTOR_CODE ${CMAKE_CURRENT_LIST_DIR}/check_no_vector_code.sh)

# Code that runs in ring 0 uses no vector registers, no red zone and no runtime of the host.
set(HELIX_FREESTANDING_OPTIONS
    -fno-exceptions -fno-rtti -mno-red-zone -fno-threadsafe-statics -fno-stack-protector -fno-omit-frame-pointer
    -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND HELIX_FREESTANDING_OPTIONS -mno-mmx -mno-sse -mno-sse2)
  find_path(HELIX_LIBCXX_INCLUDE __config PATHS /usr/lib/llvm-19/include/c++/v1 NO_DEFAULT_PATH REQUIRED)
  set(HELIX_FREESTANDING_CXX_OPTIONS
      -nostdinc++ "SHELL:-isystem ${HELIX_SDK}/helix/runtime/libcxx" "SHELL:-isystem ${HELIX_LIBCXX_INCLUDE}")
else()
  list(APPEND HELIX_FREESTANDING_OPTIONS -mgeneral-regs-only)
  set(HELIX_FREESTANDING_CXX_OPTIONS)
endif()

# Compiles a target as code of modules.
function(helix_compile_as_module name)
  set_target_properties(${name} PROPERTIES CXX_STANDARD 23 CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${name} PRIVATE ${HELIX_SDK})
  target_compile_options(${name} PRIVATE ${HELIX_FREESTANDING_OPTIONS} ${HELIX_FREESTANDING_CXX_OPTIONS} ${HELIX_WARNINGS} -O2 -g)
  target_compile_options(${name} PRIVATE -fPIC)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${name} PRIVATE -Werror=global-constructors -Werror=exit-time-destructors)
  else()
    target_compile_options(${name} PRIVATE -fno-gnu-unique)
  endif()
endfunction()

function(helix_add_module name)
  # The runtime is compiled once for all modules.
  if(NOT TARGET helix_module_runtime)
    add_library(helix_module_runtime OBJECT ${HELIX_SDK}/helix/runtime/module_runtime.cpp)
    helix_compile_as_module(helix_module_runtime)
  endif()
  add_library(${name} MODULE ${ARGN} $<TARGET_OBJECTS:helix_module_runtime>)
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".hmod" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/modules)
  helix_compile_as_module(${name})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_link_options(${name} PRIVATE --ld-path=ld.lld-19)
  endif()
  target_link_options(${name} PRIVATE
    -nostdlib -Wl,--no-undefined -Wl,-Bsymbolic -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,noseparate-code
    -Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,--hash-style=sysv -Wl,--gc-sections -Wl,--build-id=none
    -Wl,--version-script=${HELIX_SDK}/helix/runtime/module.version)
  # clang++ would do floating point in registers of the x87 without a word.
  find_program(HELIX_OBJDUMP llvm-objdump-19)
  if(HELIX_OBJDUMP)
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND ${HELIX_CHECK_NO_VECTOR_CODE} $<TARGET_FILE:${name}> VERBATIM)
  endif()
  set_property(GLOBAL APPEND PROPERTY HELIX_MODULES ${name})
endfunction()
