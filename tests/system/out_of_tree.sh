#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A scheduler built outside the tree, by clang and by g++, passes the conformance suite and is swapped in live, the same
# file in every port. Clang would compute in x87 registers, which threads do not keep: such a module is not built.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

for compiler in clang++-19 g++; do
    build=$HELIX_TEST_DIRECTORY/$compiler
    cmake -S "$HELIX_ROOT/examples/my_scheduler" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
        -DHelix_DIR="$HELIX_ROOT/cmake" >"$build.log" 2>&1 && cmake --build "$build" >>"$build.log" 2>&1 ||
        fail "$compiler: $(tail -20 "$build.log")"
    module=$build/modules/my-scheduler.hmod
    "$HELIX" module inspect "$module" | grep -q 'my-scheduler' || fail "$compiler: inspect does not know it"
    for arch in hosted x86_64; do
        output=$build/$arch
        "$HELIX" run demo --arch "$arch" -q --file "$module" --exec "
            load helix-conformance; load my-scheduler; request helix-conformance scheduler my-scheduler;
            load helix-workload; request helix-workload start 200; swap helix.scheduler my-scheduler;
            request helix-workload check; interfaces --json" >"$output" 2>&1 ||
            fail "$compiler, $arch: $(tail -5 "$output")"
        grep -q '"module":"my-scheduler".*"failures":\[\]' "$output" || fail "$compiler, $arch: $(cat "$output")"
        grep -q '"progressed":200,"lost":0,"run_twice":0,"starved":0' "$output" || fail "$compiler, $arch: $(cat "$output")"
        grep -q '"name":"helix.scheduler","primary":"my-scheduler"' "$output" || fail "$compiler, $arch: it does not rule"
    done
done

project=$HELIX_TEST_DIRECTORY/floating
mkdir "$project"
sed 's/#include "helix\/module.hpp"/&\nvolatile double number = 1;/; s/context_->info("hello");/number = number * 1.5;/' \
    "$HELIX_ROOT/modules/template/template.cpp" >"$project/floating.cpp"
printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(floating CXX)' 'find_package(Helix REQUIRED)' \
    'helix_add_module(floating floating.cpp)' >"$project/CMakeLists.txt"
cmake -S "$project" -B "$project/build" -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DHelix_DIR="$HELIX_ROOT/cmake" \
    >"$project/log" 2>&1 || fail "$(tail -5 "$project/log")"
! cmake --build "$project/build" >"$project/log" 2>&1 || fail "a module with floating point was built"
grep -q 'Template::start() uses vector or floating-point registers' "$project/log" || fail "$(tail -5 "$project/log")"
