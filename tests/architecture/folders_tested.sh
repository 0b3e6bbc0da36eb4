#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# No folder of code, no module and no profile exists without a test that uses it.
set -euo pipefail
status=0
list() { git ls-files --cached --others --exclude-standard -- "$@" | sort -u; }

# What tests say: unit tests, scripts, and whatever lies under tests/ but these checks themselves.
texts=$HELIX_TEST_DIRECTORY/texts
list '*_test.cpp' '*.test' 'tests/*' | grep -vE '^tests/architecture/|\.md$' | while read -r file; do
    if [[ -e $file ]]; then cat "$file"; fi
done >"$texts"

# Tests that lie beside what they test.
list '*_test.cpp' '*.test' '*/test/*' >"$HELIX_TEST_DIRECTORY/tests"

# used FOLDER NAME...: a test lies in FOLDER (or in its folder test/), or some test names FOLDER or one of the names.
used() {
    local folder=$1 name
    shift
    grep -qE "^$folder/(.*_test\.cpp$|.*\.test$|test/)" "$HELIX_TEST_DIRECTORY/tests" && return
    for name in "$folder" "$@"; do grep -qF -- "$name" "$texts" && return; done
    return 1
}

count=0
for folder in $(list 'kernel/*' 'arch/*' 'tools/*' 'examples/*' | grep -E '\.(cpp|hpp|S)$' | sed 's|/[^/]*$||' | sort -u); do
    count=$((count + 1))
    used "$folder" || { echo "no test uses the folder $folder"; status=1; }
done
# A module is used by its name, in a test or in a profile that a test boots.
for file in $(list 'modules/*CMakeLists.txt'); do
    [[ -e $file ]] || continue
    folder=${file%/*}
    for module in $(sed -n 's/^[[:space:]]*helix_add_module(\([^ ]*\).*/\1/p' "$file"); do
        count=$((count + 1))
        used "$folder" "$module" || { echo "no test uses the module $module"; status=1; }
    done
done
for file in $(list 'profiles/*/helix.toml'); do
    count=$((count + 1))
    profile=$(basename "$(dirname "$file")")
    grep -qE "^profile: $profile\$|profiles/$profile|run $profile\b" "$texts" ||
        { echo "no test boots the profile $profile"; status=1; }
done
((count > 20)) || { echo "only $count folders and modules were found: this check checks nothing"; exit 1; }
exit $status
