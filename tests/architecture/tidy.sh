#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# timeout: 3600
# long
# clang-tidy finds nothing in any source of the build. A file that passed is checked again only when something that it
# may include, or the rules, changed.
set -euo pipefail
database=$HELIX_BUILD_DIRECTORY/compile_commands.json
export stamps=$HELIX_BUILD_DIRECTORY/tidy HELIX_BUILD_DIRECTORY
mkdir -p "$stamps"

list() { git ls-files --cached --others --exclude-standard -- "$@" | sort -u; }
existing() { while read -r file; do if [[ -e $file ]]; then echo "$file"; fi; done; }
# What every source may include; the compiler and the flags.
common=$({ list '*.hpp' '*.h' | existing | xargs cat; cat .clang-tidy; clang-tidy-19 --version; } | sha256sum | cut -c1-16)
export common

tidy() {
    local file=$1 stamp
    stamp=$stamps/$(sha256sum <<<"$file" | cut -c1-16)
    local content
    content="$common $(sha256sum <"$file")"
    [[ -e $stamp && $(<"$stamp") == "$content" ]] && return
    if ! output=$(clang-tidy-19 --quiet --warnings-as-errors='*' -p "$HELIX_BUILD_DIRECTORY" "$file" 2>/dev/null); then
        printf '%s\n' "$output" | grep -E 'error:|warning:' | head -5
        echo "clang-tidy: $file"
        return 1
    fi
    printf '%s' "$content" >"$stamp"
}
export -f tidy

mapfile -t files < <(list 'kernel/*.cpp' 'modules/*.cpp' 'arch/*.cpp' 'tools/*.cpp' | existing | while read -r file; do
    grep -qF "\"file\": \"$HELIX_ROOT/$file\"" "$database" && echo "$file"
done)
((${#files[@]} > 20)) || { echo "only ${#files[@]} sources were found: this check checks nothing"; exit 1; }
printf '%s\n' "${files[@]}" | xargs -P2 -I{} bash -c 'tidy {}'
