#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every source file belongs to a target of the build, so none can rot unseen.
set -euo pipefail
database=$HELIX_BUILD_DIRECTORY/compile_commands.json
[[ -s $database ]] || { echo "$database is missing"; exit 1; }
status=0
count=0
while read -r file; do
    [[ -e $file ]] || continue
    case $file in
        examples/* | include/helix/runtime/*) continue ;; # projects of their own; compiled into every module
    esac
    count=$((count + 1))
    if ! grep -qF "\"file\": \"$HELIX_ROOT/$file\"" "$database"; then
        echo "in no target: $file"
        status=1
    fi
done < <(git ls-files --cached --others --exclude-standard -- '*.cpp' '*.S' '*.c' | sort -u)
((count > 20)) || { echo "only $count sources were found: this check checks nothing"; exit 1; }
exit $status
