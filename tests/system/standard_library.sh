#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# What modules may use of the standard library links with clang and g++; where it would throw, the call ends with the
# library's reason.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

project=$HELIX_TEST_DIRECTORY/project
mkdir -p "$project"
cat >"$project/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.25)
project(standard_library CXX)
find_package(Helix REQUIRED)
helix_add_module(standard-library $HELIX_ROOT/modules/test/standard_library/standard_library.cpp)
EOF
for compiler in clang++-19 g++; do
    build=$HELIX_TEST_DIRECTORY/$compiler
    cmake -S "$project" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DHelix_DIR="$HELIX_ROOT/cmake" \
        >"$build.log" 2>&1 && cmake --build "$build" >>"$build.log" 2>&1 || fail "$compiler: $(tail -20 "$build.log")"
    case $compiler in
        g++) wrong='std::length_error: std::out_of_range: std::bad_function_call' ;;
        *) wrong='length_error.*vector out_of_range.*vector bad_function_call' ;;
    esac
    read -r length range function <<<"$wrong"
    for arch in hosted x86_64; do
        output=$build/$arch
        helix_shell "$arch" --file "$build/modules/standard-library.hmod" >"$output" 2>&1 <<'EOF'
load standard-library.hmod
request standard-library count 18446744069414584321
request standard-library collect 1000
request standard-library find abcxyz
request standard-library half 84
request standard-library half 7
request standard-library length
settle
unload standard-library
load standard-library.hmod
request standard-library range 5
settle
unload standard-library
load standard-library.hmod
request standard-library function
poweroff
EOF
        for line in '^33 1 33$' '^500500$' '^3$' '^42$' '^error: it is odd$' "failed: .*$length" "failed: .*$range" "failed: .*$function"; do
            grep -q "$line" "$output" || fail "$compiler, $arch: no line like $line: $(cat "$output")"
        done
    done
done
