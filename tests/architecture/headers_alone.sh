#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# timeout: 600
# Every header compiles alone, so nobody has to know what to include before it.
#
# Each is made a Clang module of its own: that is compiled with nothing before it, and once, however many others include
# it. What did not change since is not compiled again.
set -euo pipefail

modules=$HELIX_TEST_DIRECTORY/module.modulemap source=$HELIX_TEST_DIRECTORY/all.cpp count=0
while read -r header; do
    [[ -e $header ]] || continue
    echo "module ${header//[^a-z0-9]/_} { header \"$PWD/$header\" export * }" >>"$modules"
    echo "#include \"$header\"" >>"$source"
    count=$((count + 1))
done < <(git ls-files --cached --others --exclude-standard -- '*.hpp' | sort -u)
((count > 20)) || { echo "only $count headers were found: this check checks nothing"; exit 1; }

clang++-19 -std=c++23 -stdlib=libc++ -fsyntax-only -mno-red-zone -I include -I . -I tools/helix \
    -Wall -Wextra -Werror -Wno-pragma-once-outside-header -Wno-unused-const-variable -Wno-unused-function \
    -Wno-delete-non-abstract-non-virtual-dtor -DHELIX_MODULE_DIRECTORY='""' \
    -fmodules -fimplicit-module-maps "-fmodules-cache-path=$HELIX_BUILD_DIRECTORY/header_modules" \
    "-fmodule-map-file=$modules" "$source"
echo "$count headers"
