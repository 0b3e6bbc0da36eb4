#!/bin/sh
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fails when the image FILE names a vector or x87 register: threads do not keep them.
set -eu
file=$1
disassembly=$(mktemp)
trap 'rm -f "$disassembly"' EXIT
llvm-objdump-19 -d --no-show-raw-insn "$file" >"$disassembly"
if ! grep -q 'iretq' "$disassembly"; then
    echo "$file: no kernel code found to check" >&2
    exit 1
fi
if grep -nE '%(xmm|ymm|zmm|st|mm[0-7])' "$disassembly" | head -5 | grep . >&2; then
    echo "$file: the kernel uses vector or x87 registers" >&2
    exit 1
fi
