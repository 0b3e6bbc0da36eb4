#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A static module that is essential and fails in init or start at boot is a panic that names it and its reason.
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
for where in nothing init start; do
    sed 's/"template",/"template", "essential",/' "$HELIX_ROOT/tests/system/boot_failures.toml" >essential.toml
    printf '\n[module.essential]\nfails_in = "%s"\n' $where >>essential.toml
    for arch in hosted x86_64; do
        status=0
        "$HELIX" run essential.toml --arch $arch -q --exec "echo the system is up" >output 2>&1 || status=$?
        if [[ $where == nothing ]]; then
            ((status == 0)) && grep -qx 'the system is up' output || fail "$arch: status $status: $(cat output)"
            continue
        fi
        ((status == 101)) || fail "$arch, $where: status $status, not 101: $(cat output)"
        ! grep -qx 'the system is up' output || fail "$arch, $where: boot went on: $(cat output)"
        # In this order: what happened, where, how it came there, and what was logged before.
        grep -o "^kernel panic: boot: essential.hmod: $where fails on purpose\$\|^cpu 0, thread [0-9]* main\$\|^backtrace\|^last log lines:\|not started: fails-in-init.hmod" \
            <(sed -n '/panic/,$p' output) >report || true
        [[ $(wc -l <report) == 5 && $(head -1 report) == kernel* && $(tail -1 report) == not* ]] ||
            fail "$arch, $where: no readable report: $(cat output)"
    done
done
