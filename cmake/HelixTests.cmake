# helix_make_tests_cheap(TARGET HEADER...): tests take longer to compile than to run.
#
# Checks are many and run once, so they are not optimised, and described by lines only; the code under test is in
# libraries of its own. The headers, which cost more than most files that include them, are compiled once. Compiler
# caches cannot do that: where one is used, it does the same in its own way.
function(helix_precompile target)
  if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

function(helix_make_tests_cheap target)
  target_compile_options(${target} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O0> $<$<NOT:$<CONFIG:Debug>>:-gline-tables-only>)
  helix_precompile(${target} ${ARGN})
endfunction()
