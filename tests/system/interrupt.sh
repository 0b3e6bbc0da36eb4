#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Ctrl-C stops what the shell waits for, whatever it is, and the shell goes on; what was typed ahead is dropped, and at
# the prompt the line.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

profile=$HELIX_TEST_DIRECTORY/profile
mkdir "$profile"
{
    sed 's/^name = "demo"/name = "interrupt"/; s/^dynamic = \[/dynamic = ["hangs-in-stop", "oracle", /' "$HELIX_ROOT/profiles/demo/helix.toml"
    printf '\n[module.hangs-in-stop]\nhow = "wait"\n'
} >"$profile/helix.toml"

type_in() { printf "$1" >&3; }
# await TEXT: reads the shell's output up to the line TEXT.
await() {
    local text
    while IFS= read -r -u 4 text; do
        printf '%s\n' "$text" >>"$output"
        [[ $text == "$1" ]] && return
    done
    fail "$arch: no line \"$1\" came: $(tail -8 "$output")"
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    mkfifo "$output.in" "$output.out"
    # The shell believes that a person sits there.
    "$HELIX" run "$profile" --arch "$arch" -q --timeout 100 --append interactive=1 \
        <"$output.in" >"$output.out" 2>&1 &
    exec 3>"$output.in" 4<"$output.out"
    # The first command of each line tells when Ctrl-C may come: the whole line is interrupted.
    type_in 'load crasher; load hangs-in-stop; request crasher thread loop; echo ready; sleep 80000000; echo not this\n'
    await ready
    type_in 'echo nor this, typed ahead\n\003'
    await interrupted
    type_in 'echo waiting; request crasher join\n'
    await waiting
    type_in '\003'
    await interrupted
    type_in 'echo stopping; unload hangs-in-stop --json\n'
    await stopping
    type_in '\003'
    await '{"error":"interrupted: hangs-in-stop was removed, but did not stop cleanly: cancelled"}'
    type_in 'load oracle; echo trying; reload oracle oracle --shadow 9 80000000 --json\n'
    await trying
    type_in '\003'
    await '{"error":"interrupted"}'
    type_in 'echo a canary; swap helix.scheduler helix-scheduler-fair --canary 0 80000 --json; echo nor after it\n'
    await 'a canary'
    type_in '\003'
    await '{"error":"interrupted"}'
    type_in 'echo who rules; interfaces --json\n'
    await 'who rules'
    # At the prompt it drops the line; afterwards waits last as long as ever.
    type_in 'echo nor a line dropped\003sleep 1; echo done; poweroff 3\n'
    await done
    exec 3>&-
    cat <&4 >>"$output"
    status=0
    wait $! || status=$?
    ((status == 3)) || fail "$arch: ended with $status"
    ! grep -qx 'not this\|nor this, typed ahead\|nor after it\|nor a line dropped' "$output" || fail "$arch: $(cat "$output")"
    grep -q '"name":"helix.scheduler","primary":"helix-scheduler-round-robin","implementors":\["helix-scheduler-round-robin"\]' \
        "$output" || fail "$arch: the canary did not go back: $(grep '"primary"' "$output")"
done
