#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# timeout: 600
# Every header compiles alone, so nobody has to know what to include before it.
#
# The build has compiled those that come first in a source of the kernel, a port or a module: such a source, with all
# warnings as errors, and nothing precompiled, is the proof. The others are compiled here.
set -euo pipefail
export flags="-std=c++23 -fsyntax-only -x c++ -Wall -Wextra -Werror -Wno-pragma-once-outside-header -Wno-unused-const-variable \
 -Wno-unused-function -Wno-delete-non-abstract-non-virtual-dtor -mno-red-zone -I include -I ."

check() {
    local header=$1 extra=""
    case $header in
        tools/* | benchmarks/*) extra="-I tools/helix" ;;
        tests/unit/*) extra="-DHELIX_MODULE_DIRECTORY=\"\"" ;;
        # The kernel's and the modules' headers must do without exceptions.
        include/* | kernel/* | arch/* | modules/*) extra="-fno-exceptions -fno-rtti -fno-threadsafe-statics" ;;
    esac
    # shellcheck disable=SC2086
    clang++-19 $flags $extra "$header" || { echo "does not compile alone: $header"; return 1; }
}
export -f check

mapfile -t headers < <(git ls-files --cached --others --exclude-standard -- '*.hpp' | sort -u | while read -r file; do
    [[ -e $file ]] && echo "$file"
done)
((${#headers[@]} > 20)) || { echo "only ${#headers[@]} headers were found: this check checks nothing"; exit 1; }

# The header in the first line of preprocessor in each such source of the build.
sources_of_build() {
    sed -n "s|^ *\"file\": \"$HELIX_ROOT/\(.*\.cpp\)\",*\$|\1|p" "$HELIX_BUILD_DIRECTORY/compile_commands.json" |
        grep -E '^(kernel|arch|modules)/' | grep -v '_test\.cpp$' | sort -u
}
first_headers() {
    local source name
    sources_of_build | xargs awk '/^#/ { print FILENAME, $0; nextfile }' |
        sed -nE 's|^([^ ]+) #include "([^"]+)"$|\1 \2|p' | while read -r source name; do
        for file in "${source%/*}/$name" "include/$name" "$name"; do
            if [[ -e $file ]]; then
                echo "$file"
                break
            fi
        done
    done | sort -u
}
mapfile -t left < <(comm -23 <(printf '%s\n' "${headers[@]}") <(first_headers))
printf '%s\n' "${left[@]}" | xargs -P2 -I{} bash -c 'check {}'
echo "${#headers[@]} headers, of which ${#left[@]} are first in no source"
