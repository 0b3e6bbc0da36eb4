#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Bad input gets one clear line and changes nothing: files and shell commands in both ports, profiles.
# timeout: 200
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
cp /bin/true foreign.hmod
printf 'not a module\n' >text.hmod

# damage NAME OFFSET BYTES: a copy of the template with other bytes at an offset, written as for printf.
damage() {
    cp "$modules/template.hmod" "$1.hmod"
    printf "$3" | dd of="$1.hmod" bs=1 seek="$2" conv=notrunc status=none
}
# segment N: where in the file the program header of the Nth segment to load is.
segment() {
    local offset=64 seen=0
    while :; do
        [[ $(od -An -tu4 -j $offset -N 4 "$modules/template.hmod") -eq 1 ]] && seen=$((seen + 1))
        ((seen == $1)) && break
        offset=$((offset + 56))
    done
    echo $offset
}
damage writable-code $(($(segment 2) + 4)) '\007'      # its flags: read, write and execute
address=$(od -An -tu8 -j $(($(segment 3) + 16)) -N 8 "$modules/template.hmod")
damage overlapping $(($(segment 3) + 16)) "\\x$(printf %02x $((address & 255)))\\x$(printf %02x $(((address >> 8) - 16)))"  # a page lower: where the second ends
damage other-machine 18 '\267\000'                     # AArch64
damage wrong-magic "$(grep -obUa HELIXMOD "$modules/template.hmod" | head -1 | cut -d: -f1)" 'X'
# Cut in the identification, the header, the program headers, constants, code, debug information, and by a byte.
sizes=(0 3 40 100 400 3000 6000 20000 $(($(stat -c %s "$modules/template.hmod") - 1)))
for size in "${sizes[@]}"; do head -c "$size" "$modules/template.hmod" >"cut-$size.hmod"; done

refused=(foreign text wrong-abi undefined-symbol exports-more thread-local-data writable-code overlapping other-machine wrong-magic
    "${sizes[@]/#/cut-}")
options=(--file "$modules/template.hmod")
for file in "${refused[@]}"; do
    [[ -e $file.hmod ]] || cp "$modules/$file.hmod" .
    options+=(--file "$file.hmod")
done

# line TEXT: exactly this line is in the file `output`.
line() { grep -qxF -- "$1" output || fail "$arch: no line \"$1\": $(grep '^error' output)"; }

for arch in hosted x86_64; do
    {
        echo "load template"
        for round in 1 2; do
            echo "memory --json"
            for file in "${refused[@]}" template absent; do echo "load $file"; done
        done
        echo "frobnicate"
        echo "modles"
        echo "load"
        echo "unload helix-memory"
        echo "unload absent"
        echo "unload ''"
        echo "swap helix.scheduler template"
        echo "swap helix.nothing template"
        echo "request template nonsense"
        echo "memory --json"
        echo "modules"
    } | helix_shell $arch "${options[@]}" >output 2>&1
    wanted=$((2 * (${#refused[@]} + 2) + 9))
    [[ $(grep -c '^error: ' output) == "$wanted" ]] || fail "$arch: $wanted errors were due: $(cat output)"
    # The file, the reason, the remedy.
    for file in "${refused[@]}"; do
        [[ $(grep -cE "^error: $file\.hmod: [^;]+; [^;]+$" output) == 2 ]] ||
            fail "$arch: no line names $file, the reason and the remedy: $(grep '^error' output)"
    done
    line "error: writable-code.hmod: a segment is both writable and executable; link it as helix_add_module does"
    line "error: overlapping.hmod: its segments overlap or share a page; link it as helix_add_module does"
    line "error: other-machine.hmod: built for ELF machine 183, not for x86_64 (62); build it for x86_64"
    line "error: thread-local-data.hmod: it has thread-local variables; keep such data in the module's class"
    line "error: undefined-symbol.hmod: the symbol function_of_nobody is undefined; define it in the module, or reach it through Context"
    line "error: exports-more.hmod: it exports function_for_all beside helix_module; link it with the version script of the SDK"
    line 'error: "" is no name; usage: unload NAME [--cascade]'
    line "error: template.hmod: a module template is loaded already; use reload to replace it, or load it as another"
    line "error: wrong-magic.hmod: its descriptor does not begin with HELIXMOD; build it with helix_add_module"
    grep -q '^error: wrong-abi.hmod: .*ABI' output || fail "$arch: $(grep '^error: wrong-abi' output)"
    ! grep '^error: cut-' output | grep -qv 'not an ELF file\|truncated' || fail "$arch: $(grep '^error: cut-' output)"
    grep -q '^error: .*absent' output || fail "$arch: no line names absent: $(cat output)"
    grep -q 'modules' <(grep 'modles' output) || fail "$arch: no suggestion for a mistyped command"
    [[ $(grep -c ' Running ' output) == 6 ]] || fail "$arch: other modules run than should: $(grep ' Running ' output)"
    same_memory output
done
for file in "${refused[@]}"; do
    ! "$HELIX" module inspect "$file.hmod" >refused 2>&1 || fail "inspect accepted $file: $(cat refused)"
    grep -qF "$file.hmod: " refused || fail "inspect does not name $file: $(cat refused)"
done

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
"$HELIX" module inspect cut-3000.hmod >refused 2>&1 && fail "inspect accepted a truncated file"
grep -q 'cut-3000.hmod' refused || fail "inspect does not name the file: $(cat refused)"
"$HELIX" run no-such-profile --exec modules >refused 2>&1 && fail "ran a profile that does not exist"
grep -q 'no-such-profile' refused || fail "run does not name the profile: $(cat refused)"
