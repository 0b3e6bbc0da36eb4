#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The x86_64 port keeps the promises of the seam with one CPU and with many, on every machine and both kinds of APIC.
# timeout: 600
set -euo pipefail
image=$HELIX_BUILD_DIRECTORY/bin/helix-port-test-x86_64.elf
[[ -e $image ]] || { echo "$image is not built"; exit 77; }
count=0

fail() {
    echo "port test with $1:"
    cat "$2"
    exit 1
}

# run CPUS WORDS OPTION...: boots the port's test with that many CPUs to find and these words on its command line.
run() {
    local cpus=$1 words=$2
    shift 2
    count=$((count + 1))
    local output=$HELIX_TEST_DIRECTORY/$count status=0
    timeout 240 qemu-system-x86_64 -m 64 -nodefaults -display none -no-reboot -serial stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$image" -append "cpus_expected=$cpus $words" "$@" \
        </dev/null >"$output" 2>&1 || status=$?
    # The device turns the status that the kernel writes into twice that and one.
    ((status == 1)) && grep -q '^all checks passed' "$output" || fail "$cpus $words $*: status $status" "$output"
    # Texts of several CPUs do not mix: so many whole lines, and no other that has a part of one.
    local whole
    whole=$(grep -cE '^CPU [0-9]{2} says abcdefghijklmnopqrstuvwxyz.?$' "$output" || true)
    ((whole == 20 * (cpus - 1) && whole == $(grep -c says "$output" || true))) || fail "$cpus $words $*: lines" "$output"
}

# Deadlines are checked in the emulator's own time, by instructions: a busy host takes emulated CPUs away for longer than
# the checks allow. In real time: `HELIX_REAL_TIME=1`, on a quiet machine.
virtual_time=(-icount "shift=0,sleep=off")
run 1 "" -M q35 -accel tcg -cpu max "${virtual_time[@]}"
run 1 "" -M pc -accel tcg -cpu qemu64,-x2apic "${virtual_time[@]}"
run 1 "" -M microvm,acpi=off -accel tcg -cpu max "${virtual_time[@]}"
run 2 only_cpus -M pc -accel tcg -cpu qemu64,-x2apic -smp 2
run 4 only_cpus -M q35 -accel tcg -cpu max -smp 4
run 16 only_cpus -M pc -accel tcg -cpu max -smp 16
run 3 "only_cpus cpus=3" -M q35 -accel tcg -cpu max -smp 4
run 4 only_cpus -M microvm -accel tcg -cpu max -smp 4
if [[ -n ${HELIX_REAL_TIME:-} ]]; then
    run 1 "" -M q35 -accel tcg -cpu max
    run 2 "" -M pc -accel tcg -cpu qemu64,-x2apic -smp 2
    run 4 "" -M q35 -accel tcg -cpu max -smp 4
    run 1 "" -M microvm,acpi=off -accel tcg -cpu max -smp 4
fi
if grep -qwE 'vmx|svm' /proc/cpuinfo && [[ -w /dev/kvm ]]; then
    run 4 only_cpus -M q35 -accel kvm -cpu max,-arch-capabilities,+x2apic -smp 4
    run 4 only_cpus -M q35 -accel kvm -cpu max,-arch-capabilities,-x2apic -smp 4
    grep -q x2APIC "$HELIX_TEST_DIRECTORY/$((count - 1))" || fail "x2APIC" "$HELIX_TEST_DIRECTORY/$((count - 1))"
fi
