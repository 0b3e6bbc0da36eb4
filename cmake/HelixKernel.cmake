# How the kernel is compiled: twice, once for each kind of port.
#
# HELIX_HOSTED_OPTIONS build kernel and port as a Linux process, HELIX_GUEST_OPTIONS for bare x86_64.
set(HELIX_KERNEL_INCLUDES ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
# A backtrace needs the lines; the variables, for a debugger, cost a sixth of the build.
set(HELIX_DEBUG_INFO $<IF:$<CONFIG:Debug>,-g,-gline-tables-only>)
set(HELIX_HOSTED_OPTIONS ${HELIX_WARNINGS} -mno-red-zone -fno-exceptions -fno-rtti -fno-threadsafe-statics
    -fno-omit-frame-pointer ${HELIX_DEBUG_INFO})
set(HELIX_HOSTED_LINK_OPTIONS --ld-path=ld.lld-19)
if(HELIX_SANITIZE STREQUAL "address")
  set(HELIX_WATCH_OPTIONS -fsanitize=address,undefined -fno-sanitize=function,vptr -fno-sanitize-recover=undefined)
elseif(HELIX_SANITIZE STREQUAL "thread")
  set(HELIX_WATCH_OPTIONS -fsanitize=thread)
endif()
if(HELIX_COVERAGE)  # the counters are found through a pointer, so that they can be in a file: see tools/helix/coverage.cpp
  list(APPEND HELIX_WATCH_OPTIONS -fprofile-instr-generate -fcoverage-mapping "SHELL:-mllvm -runtime-counter-relocation")
endif()
list(APPEND HELIX_HOSTED_OPTIONS ${HELIX_WATCH_OPTIONS})
list(APPEND HELIX_HOSTED_LINK_OPTIONS ${HELIX_WATCH_OPTIONS})
set(HELIX_GUEST_OPTIONS ${HELIX_WARNINGS} ${HELIX_FREESTANDING_OPTIONS} ${HELIX_FREESTANDING_CXX_OPTIONS}
    -mcmodel=kernel -fno-pic -fno-pie -O2 ${HELIX_DEBUG_INFO})

# Boost.Intrusive without assert(3), and with what newer libc++ hides by default.
set(boost_definitions -DBOOST_DISABLE_ASSERTS -D_LIBCPP_ENABLE_CXX17_REMOVED_UNARY_BINARY_FUNCTION)
list(APPEND HELIX_HOSTED_OPTIONS ${boost_definitions})
list(APPEND HELIX_GUEST_OPTIONS ${boost_definitions})

# In debug and sanitizer builds the order of the kernel's locks is checked at run time.
if(HELIX_SANITIZE)
  list(APPEND HELIX_HOSTED_OPTIONS -DHELIX_DEBUG_LOCKS=1)
  list(APPEND HELIX_HOSTED_OPTIONS -O1)  # with their checks in it, more takes longer to compile than it saves
endif()
list(APPEND HELIX_HOSTED_OPTIONS $<$<CONFIG:Debug>:-DHELIX_DEBUG_LOCKS=1>)
list(APPEND HELIX_GUEST_OPTIONS $<$<CONFIG:Debug>:-DHELIX_DEBUG_LOCKS=1>)
