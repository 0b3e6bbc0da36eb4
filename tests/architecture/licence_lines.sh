#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every source file begins with the two licence lines, then says in one line what it is.
set -euo pipefail
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cpp' '*.hpp' '*.S' '*.h' '*.c' '*.sh' |
    sort -u | while read -r file; do if [[ -e $file ]]; then echo "$file"; fi; done)
((${#files[@]} > 20)) || { echo "only ${#files[@]} files were found: this check checks nothing"; exit 1; }
awk '
    function verdict() {
        if (name == "") return
        if (!copyright || !licence) { print "the licence lines are missing: " name; bad = 1 }
        else if (!purpose) { print "no line says what the file is: " name; bad = 1 }
    }
    FNR == 1 { verdict(); name = FILENAME; copyright = licence = purpose = 0 }
    FNR > 4 { next }
    /SPDX-FileCopyrightText: Helix contributors/ { copyright = 1; next }
    /SPDX-License-Identifier: MIT OR Apache-2\.0/ { licence = 1; next }
    /^ *(\/\/|\/\*|#|\*) ?[^!]/ { purpose = 1 }
    END { verdict(); exit bad }
' "${files[@]}"
