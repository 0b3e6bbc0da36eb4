#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The README's transcript is what the command above it prints, numbers, lines and units aside.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

readme=$HELIX_ROOT/README.md
# The last block of commands before the transcript.
command=$(awk '/^```sh$/ { command = ""; inside = 1; next } /^```text transcript$/ { print command; exit }
    /^```$/ { inside = 0 } inside { command = command $0 "\n" }' "$readme")
[[ $command == ./helix\ * ]] || fail "the README has no transcript with its command"
sed -n '/^```text transcript$/,/^```$/p' "$readme" | sed '1d;$d' >"$HELIX_TEST_DIRECTORY/written"
[[ $(wc -l <"$HELIX_TEST_DIRECTORY/written") -ge 8 ]] || fail "the README's transcript is too short"

declare -a arguments
eval "arguments=(${command#./helix})"
"$HELIX" "${arguments[@]}" >"$HELIX_TEST_DIRECTORY/printed" || fail "the command failed: $(cat "$HELIX_TEST_DIRECTORY/printed")"

normalised() {
    sed -E 's/\+0x[0-9a-f]+/+OFFSET/g; s/(\.cpp):[0-9]+/\1:LINE/g; s/^\[ *[0-9.]+\]/[TIME]/; s/[0-9]+(\.[0-9]+)* (ns|us|ms|s)\b/DURATION/g;
        s/"(slowest_id|slowest_ms|ended_as_planned|progress)":[0-9]+/"\1":N/g; s/[0-9]+ bytes of state/N bytes of state/;
        s/failed on thread [0-9]+ \(.*\)/failed on THREAD/' "$1"
}
diff <(normalised "$HELIX_TEST_DIRECTORY/written") <(normalised "$HELIX_TEST_DIRECTORY/printed") ||
    fail "README.md (<) and reality (>) differ"
