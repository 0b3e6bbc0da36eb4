#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# In both ports a scheduler that is tried in the shadow of the ruling one is said to differ where it would pick others, and
# another instance of the ruling one differs only until everybody had a turn. One that fails is dropped, with the reason;
# nothing is swapped, nothing stays, and a swap commits afterwards.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

files=()
for file in scheduler-newest scheduler-fails-in-restore scheduler-unhealthy scheduler-returns-garbage; do
    files+=(--file "$modules/$file.hmod")
done

commands() {
    echo "load helix-workload"
    echo "request helix-workload start_equals 8"
    echo "swap helix.scheduler scheduler-newest --shadow 400ms --json"
    echo "swap helix.scheduler helix-scheduler-round-robin --shadow 1 --json"
    # The first round fills the heap's magazines, so the second one starts where it ends.
    for round in 1 2; do
        for bad in scheduler-crashes scheduler-returns-garbage scheduler-fails-in-restore scheduler-unhealthy; do
            echo "swap helix.scheduler $bad --shadow 60"
        done
        echo "memory --json"
    done
    echo "swap helix.allocator helix-allocator-bump --shadow 1"
    echo "swap helix.scheduler nobody --shadow 1"
    echo "swap helix.scheduler scheduler-newest --shadow soon"
    echo "swap helix.scheduler scheduler-newest --shadow"
    echo "interfaces --json"
    echo "swap helix.scheduler scheduler-newest --shadow 100ms"
    echo "swap helix.scheduler helix-scheduler-priority"
    echo "swap helix.scheduler scheduler-newest --shadow 1"
    echo "history --json"
}

# number LINE KEY: the first number of that name.
number() { sed -E "s/^[^[]*\"$2\":([0-9]+)[,}].*/\1/" <<<"$1"; }

check() {
    local arch=$1 output=$2 newest same error
    mapfile -t trials < <(grep '^{"interface":"helix.scheduler","ruling":"helix-scheduler-round-robin 1.0.0"' "$output")
    ((${#trials[@]} == 2)) || fail "$arch: not two reports: $(cat "$output")"
    newest=${trials[0]} same=${trials[1]}
    [[ $newest == *'"shadow":"scheduler-newest 1.0.0"'* && $same == *'"shadow":"helix-scheduler-round-robin 1.0.0"'* ]] ||
        fail "$arch: reports of others: ${trials[*]}"
    # With eight equals on two CPUs there is a choice, and who came last is not who waits longest; unless it does not know.
    (($(number "$newest" choices) > 8 && $(number "$newest" other_picks) * 4 >= 3 * $(number "$newest" choices))) ||
        fail "$arch: whoever takes the newest agrees with who takes turns: $newest"
    [[ $newest =~ \"first\":\[\{\"time_ns\":[0-9]+,\"cpu\":[01],\"picked\":([0-9]+),\"picked_name\":\"workload-[0-9]+\",\"other\":([0-9]+),\"other_name\":\"workload-[0-9]+\" ]] ||
        fail "$arch: it does not say where: $newest"
    [[ ${BASH_REMATCH[1]} != "${BASH_REMATCH[2]}" ]] || fail "$arch: that is no difference: $newest"
    # It was shown them in another order; after a turn of each the orders agree.
    (($(number "$same" choices) > 16 && $(number "$same" other_picks) * 4 <= $(number "$same" choices))) || fail "$arch: it differs from itself: $same"
    (($(number "$same" ticks) > 16 && $(number "$same" other_ticks) * 4 <= $(number "$same" ticks))) ||
        fail "$arch: its ticks differ from themselves: $same"
    for error in '/scheduler-crashes failed: invalid instruction in .*; the trial ended after/' \
        '/scheduler-returns-garbage failed: .*; the trial ended/' 'scheduler-fails-in-restore: restore fails on purpose' \
        '/scheduler-unhealthy .*not healthy/' 'helix-allocator-bump: only schedulers can be tried in the shadow of another' \
        'no module and no file nobody' '"soon" is no time' 'swap needs more arguments; usage: swap INTERFACE NAME ' \
        'helix-scheduler-round-robin stands by for helix-scheduler-priority, which is on probation'; do
        if [[ $error == /*/ ]]; then
            grep -qE "^error: .*${error:1:-1}" "$output" || fail "$arch: no error $error: $(grep '^error' "$output")"
        else
            grep -qF "$error" <(grep '^error: ' "$output") || fail "$arch: no error $error: $(grep '^error' "$output")"
        fi
    done
    [[ $(grep -c '^error: ' "$output") == 13 ]] || fail "$arch: more errors: $(grep '^error' "$output")"
    grep -q '^\[.*"name":"helix.scheduler","primary":"helix-scheduler-round-robin","implementors":\["helix-scheduler-round-robin"\],"generation":1' "$output" ||
        fail "$arch: something was swapped, or stayed: $(grep '"primary"' "$output")"
    grep -qE '^helix.scheduler: scheduler-newest 1.0.0 in the shadow of helix-scheduler-round-robin 1.0.0 for .* differ; nothing was swapped' "$output" ||
        fail "$arch: no sentence: $(cat "$output")"
    grep -q 'helix-scheduler-round-robin 1.0.0 -> helix-scheduler-priority 1.0.0, committed' "$output" || fail "$arch: no swap afterwards"
    grep -q '"from":"scheduler-returns-garbage 1.0.0","to":"","result":"failed","phase":"serving",[^}]*"rule":"' "$output" ||
        fail "$arch: the failure is not in the history: $(tail -1 "$output")"
    same_memory "$output"
}

for arch in hosted x86_64; do
    commands | helix_shell "$arch" --smp 2 "${files[@]}" --timeout 90 >"$HELIX_TEST_DIRECTORY/$arch" 2>&1
    check "$arch" "$HELIX_TEST_DIRECTORY/$arch"
done
