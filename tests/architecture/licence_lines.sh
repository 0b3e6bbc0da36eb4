#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every source file begins with the two SPDX lines, then says in one line what it is.
set -euo pipefail
status=0
count=0
while read -r file; do
    [[ -e $file ]] || continue
    count=$((count + 1))
    lines=$(head -n 4 "$file")
    grep -q 'SPDX-FileCopyrightText: Helix contributors' <<<"$lines" &&
        grep -q 'SPDX-License-Identifier: MIT OR Apache-2.0' <<<"$lines" || {
        echo "the SPDX lines are missing: $file"
        status=1
        continue
    }
    grep -v 'SPDX-' <<<"$lines" | grep -qE '^ *(//|/\*|#|\*) ?[^!]' || {
        echo "no line says what the file is: $file"
        status=1
    }
done < <(git ls-files --cached --others --exclude-standard -- '*.cpp' '*.hpp' '*.S' '*.h' '*.c' '*.sh' | sort -u)
((count > 20)) || { echo "only $count files were found: this check checks nothing"; exit 1; }
exit $status
