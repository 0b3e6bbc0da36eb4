#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# With --json every line on standard output is the value of a command, in the order of the commands, even when modules
# fail at boot and crash meanwhile; the log's lines are kept for `log`. Every command that is used wrongly gives
# {"error":…}.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

profile=$HELIX_TEST_DIRECTORY/profile
mkdir "$profile"
{
    sed 's/^name = "demo"/name = "json"/; s/^static = \[/static = ["fails-in-init", /' \
        "$HELIX_ROOT/profiles/demo/helix.toml"
} >"$profile/helix.toml"
grep -q '"fails-in-init"' "$profile/helix.toml" || fail "the profile has no module that fails"

good=("load crasher" "request crasher ud2" settle modules "module crasher" "unload crasher" "module fails-in-init" interfaces
    history health threads cpus memory "config helix-workload" "log 20" files "echo a b" "sleep 1" "cpu online 0" help
    "help load" "event nobody")
wrong=(frobnicate 'echo "unclosed' "help nothing" "modules x" "module absent" "load absent" "unload absent"
    "reload absent" "swap helix.nothing absent" "swap helix.scheduler absent" "interfaces x" "request absent x"
    "request crasher nothing" "event" "health x" "history x" "threads x" "cpus --what" "cpu sideways 0"
    "cpu online 99" "memory x" "config absent" "config helix-workload absent" "log many" "files x" "sleep long"
    "settle x" "poweroff 300" "unload fails-in-init")

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    printf '%s\n' "${good[@]}" "load crasher" "${wrong[@]}" poweroff |
        "$HELIX" run "$profile" --arch "$arch" -q --json --smp 2 --memory 64 --timeout 90 \
            --file "$modules/crasher.hmod" --file "$modules/fails-in-init.hmod" >"$output" 2>"$output.errors" || true
    wanted=$((${#good[@]} + 1 + ${#wrong[@]} + 1))
    [[ $(wc -l <"$output") == "$wanted" ]] || fail "$arch: $wanted values were due: $(cat "$output")"
    ! grep -vqE '^(\{.*\}|\[.*\])$' "$output" || fail "$arch: no JSON: $(grep -vE '^(\{.*\}|\[.*\])$' "$output")"
    ! grep -qE '^\[ *[0-9]+\.[0-9]+\]' "$output" || fail "$arch: a line of the log: $(cat "$output")"
    for i in "${!wrong[@]}"; do
        line=$(sed -n "$((${#good[@]} + 2 + i))p" "$output")
        [[ $line == '{"error":"'*'"}' ]] || fail "$arch: ${wrong[i]} gave $line"
    done
    # Only request crasher ud2 is wrong among the others.
    [[ $(head -${#good[@]} "$output" | grep -n '^{"error":') == '2:{"error":"crasher failed: '* ]] ||
        fail "$arch: $(head -${#good[@]} "$output" | grep '^{"error":')"
    grep -q '"source":"supervisor","text":"crasher failed: ' "$output" || fail "$arch: the log has no word of the crash"
    grep -q '"source":"kernel","text":"not started: .*fails-in-init' "$output" || fail "$arch: nor of the boot"
    tail -2 "$output" | grep -q 'fails-in-init is loaded: it was not started at boot' || fail "$arch: $(tail -2 "$output")"
done

# Each of them makes --exec fail.
for command in "${wrong[@]}"; do
    status=0
    "$HELIX" run --arch hosted -q --json --exec "$command" >"$HELIX_TEST_DIRECTORY/one" 2>&1 || status=$?
    ((status == 1)) && grep -q '^{"error":' "$HELIX_TEST_DIRECTORY/one" ||
        fail "$command ended with $status: $(cat "$HELIX_TEST_DIRECTORY/one")"
done
