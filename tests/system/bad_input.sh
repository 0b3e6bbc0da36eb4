#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Bad input gets one clear line and changes nothing: files, profiles, shell commands.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
head -c 3000 "$modules/template.hmod" >truncated.hmod
cp /bin/true foreign.hmod
printf 'not a module\n' >text.hmod

{
    echo "load template"
    echo "memory --json"
    for file in truncated foreign text wrong-abi template absent; do echo "load $file"; done
    echo "frobnicate"
    echo "modles"
    echo "load"
    echo "unload helix-memory"
    echo "unload absent"
    echo "swap helix.scheduler template"
    echo "swap helix.nothing template"
    echo "request template nonsense"
    echo "memory --json"
} | helix_shell hosted --file "$modules/template.hmod" --file "$modules/wrong-abi.hmod" --file truncated.hmod \
    --file foreign.hmod --file text.hmod >output 2>&1
[[ $(grep -c '^error: ' output) == 14 ]] || fail "14 errors were due: $(cat output)"
for file in truncated foreign text wrong-abi template absent; do
    grep -q "^error: .*$file" output || fail "no line names $file: $(cat output)"
done
grep -q 'modules' <(grep 'modles' output) || fail "no suggestion for a mistyped command"
same_memory output

# Profiles: each mistake is named with its place.
profile() {
    sed 's/^name = "minimal"/name = "bad"/' "$HELIX_ROOT/profiles/minimal/helix.toml" >bad.toml
    "$@"
}
expect_refused() {
    local pattern=$1 status=0
    "$HELIX" check bad.toml >refused 2>&1 || status=$?
    ((status != 0)) || fail "accepted: $(tail -3 bad.toml)"
    grep -qE "$pattern" refused || fail "expected $pattern, got: $(cat refused)"
}
profile sed -i 's/time_slice_ms/time_slise_ms/' bad.toml
expect_refused 'bad.toml:[0-9]+:[0-9]+: .*time_slise_ms.*time_slice_ms'
profile sed -i 's/time_slice_ms = .*/time_slice_ms = "ten"/' bad.toml
expect_refused 'bad.toml:[0-9]+:[0-9]+: .*time_slice_ms'
profile sed -i 's/"helix-memory"/"helix-memoria"/' bad.toml
expect_refused 'helix-memoria'
profile sed -i 's/"helix-memory"/"helix-memory", "cycle-a", "cycle-b"/' bad.toml
expect_refused 'cycle-a.*cycle-b'
profile sed -i 's/"helix-memory"/"helix-memory", "needs-missing"/' bad.toml
expect_refused 'needs-missing'
profile sed -i 's/^arch.supported = .*/arch.supported = ["x86_64"]/' bad.toml
status=0
"$HELIX" run bad.toml --arch hosted --exec modules >refused 2>&1 || status=$?
((status == 2)) && grep -q 'does not support hosted' refused || fail "an unsupported port ended with $status: $(cat refused)"
"$HELIX" module inspect >refused 2>&1 && fail "inspect without a file was accepted"
grep -q 'helix module inspect --help' refused || fail "the hint names another command: $(cat refused)"
"$HELIX" module inspect truncated.hmod >refused 2>&1 && fail "inspect accepted a truncated file"
grep -q 'truncated.hmod' refused || fail "inspect does not name the file: $(cat refused)"
"$HELIX" run no-such-profile --exec modules >refused 2>&1 && fail "ran a profile that does not exist"
grep -q 'no-such-profile' refused || fail "run does not name the profile: $(cat refused)"
