#!/bin/sh
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fails when FILE, a kernel image or a module, uses vector or floating-point registers: threads do not keep them.
set -eu
file=$1
disassembly=$(mktemp)
trap 'rm -f "$disassembly"' EXIT
llvm-objdump-19 -d --demangle --no-show-raw-insn "$file" >"$disassembly"
if ! grep -qw 'retq' "$disassembly"; then
    echo "$file: no code found to check" >&2
    exit 1
fi
# x87 instructions begin with f; most name no register.
found=$(awk '/^[0-9a-f]+ </ { function_name = $0; sub(/^[0-9a-f]+ </, "", function_name); sub(/>:$/, "", function_name) }
    /%(xmm|ymm|zmm|st|mm[0-7])/ || $2 ~ /^f(ld|ild|st|ist|add|sub|mul|div|n?stcw|ldcw|com|ucom|chs|abs|xch)/ {
        print function_name; exit
    }' "$disassembly")
if [ -n "$found" ]; then
    echo "$file: $found uses vector or floating-point registers, which Helix's threads do not have; compute in integers" >&2
    exit 1
fi
