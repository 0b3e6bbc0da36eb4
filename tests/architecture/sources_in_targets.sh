#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every source file belongs to a target of the build, so none can rot unseen.
set -euo pipefail
database=$HELIX_BUILD_DIRECTORY/compile_commands.json
[[ -s $database ]] || { echo "$database is missing"; exit 1; }

sources() {
    # Examples are projects of their own; the runtime is compiled into every module.
    git ls-files --cached --others --exclude-standard -- '*.cpp' '*.S' '*.c' |
        grep -vE '^(examples|include/helix/runtime)/' | while read -r file; do if [[ -e $file ]]; then echo "$file"; fi; done
}
count=$(sources | wc -l)
((count > 20)) || { echo "only $count sources were found: this check checks nothing"; exit 1; }
missing=$(comm -23 <(sources | sort -u) <(sed -n "s|^ *\"file\": \"$HELIX_ROOT/\(.*\)\",*\$|\1|p" "$database" | sort -u))
[[ -z $missing ]] || { sed 's/^/in no target: /' <<<"$missing"; exit 1; }
