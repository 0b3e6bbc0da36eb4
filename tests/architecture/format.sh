#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every C++ file is as clang-format leaves it. `clang-format-19 -i FILE` mends one.
set -euo pipefail
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cpp' '*.hpp' | sort -u | while read -r file; do
    [[ -e $file ]] && echo "$file"
done)
((${#files[@]} > 20)) || { echo "only ${#files[@]} files were found: this check checks nothing"; exit 1; }
# One line a file is enough; the whole list of places would bury it.
printf '%s\n' "${files[@]}" | xargs clang-format-19 --dry-run --Werror 2>&1 |
    sed -n 's/^\([^:]*\):\([0-9]*\):.*error: .*/\1/p' | sort | uniq -c | awk '{print $2 ": " $1 ($1 == 1 ? " place" : " places"); bad = 1} END {exit bad}'
