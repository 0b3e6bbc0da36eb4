#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# timeout: 600
# Every header compiles alone, so nobody has to know what to include before it.
set -euo pipefail
export flags="-std=c++23 -fsyntax-only -x c++ -Wall -Wextra -Werror -Wno-pragma-once-outside-header -Wno-unused-const-variable \
 -Wno-unused-function -Wno-delete-non-abstract-non-virtual-dtor -mno-red-zone -I include -I ."

check() {
    local header=$1 extra=""
    case $header in
        tools/*) extra="-I tools/helix" ;;
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
printf '%s\n' "${headers[@]}" | xargs -P2 -I{} bash -c 'check {}'
echo "${#headers[@]} headers"
