#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sources that the documentation shows whole are the ones in the tree.
set -euo pipefail
status=0

# shown DOCUMENT SOURCE: some C++ block of the document is the source, from its first #include on.
shown() {
    local document=$1 source=$2 block
    block=$(awk '/^```cpp$/ {inside = 1; text = ""; next}
        /^```$/ && inside {inside = 0; if (text ~ /HELIX_MODULE\(/ && text ~ wanted) {printf "%s", text; exit}; next}
        inside {text = text $0 "\n"}' wanted="$3" "$document" | sed -n '/^#include/,$p')
    if ! diff <(printf '%s\n' "$block") <(sed -n '/^#include/,$p' "$source"); then
        echo "$document (<) shows another text than $source (>)"
        status=1
    fi
}
shown docs/custom-scheduler.md examples/my_scheduler/my_scheduler.cpp 'my-scheduler'
shown docs/writing-modules.md modules/template/template.cpp 'ModuleInfo\{"template"\}'
exit $status
