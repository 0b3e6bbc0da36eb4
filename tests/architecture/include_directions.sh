#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Arrows run one way: modules -> include/helix, kernel -> include/helix + the seam, arch -> the seam. The kernel and the
# SDK know the instruction set only where that is said.
set -euo pipefail
status=0

# What includes something of the tree's own, in quotes or in angle brackets.
includes='^[[:space:]]*#[[:space:]]*include[[:space:]]*("|<(helix|kernel|arch|modules|tools|tests|benchmarks|examples)/)'

# violations NAME FOLDER ALLOWED: such includes in FOLDER whose path does not match the pattern ALLOWED.
violations() {
    local what=$1 folder=$2 allowed=$3 found
    [[ -d $folder ]] || { echo "$folder is gone: this check checks nothing"; status=1; return; }
    found=$(grep -rnE "$includes" "$folder" --include='*.hpp' --include='*.cpp' \
        --include='*.S' --include='*.h' | grep -v '_test\.cpp:' | grep -vE "/test/" |
        grep -vE "include[[:space:]]*[\"<]($allowed)" || true)
    if [[ -n $found ]]; then
        printf '%s:\n%s\n' "$what" "$found"
        status=1
    fi
}

# A path without a slash, or with ../, lies in the same part of the tree.
near='[a-z0-9_]+\.(hpp|h)"|\.\./'
violations "the SDK may include only itself" include 'helix/'
violations "a module may include only the SDK and what lies beside it" modules "helix/|$near"
violations "the kernel may include only the SDK, the seam and itself" kernel 'helix/|arch/seam\.hpp|kernel/'
violations "a port may include only the SDK, the seam and itself" arch/x86_64 'helix/|arch/seam\.hpp|arch/x86_64/'
violations "a port may include only the SDK, the seam and itself" arch/hosted 'helix/|arch/seam\.hpp|arch/hosted/'
violations "the tool may include only the SDK, itself and the pure parts of kernel/module and modules/workload" tools/helix \
    "helix/|kernel/module/(elf|options|resolver|text_rules|version_range|profile|archive)\.hpp|modules/workload/(plan|plan_parser|histogram)\.hpp|$near"

# ../ must not lead out of modules/.
for file in $(grep -rlE 'include[[:space:]]+"(\.\./)+' modules --include='*.hpp' --include='*.cpp' |
    grep -v '_test\.cpp$' || true); do
    for include in $(grep -oE 'include[[:space:]]+"(\.\./)[^"]*' "$file" | sed 's/.*"//'); do
        target=$(realpath -m --relative-to=. "$(dirname "$file")/$include")
        [[ $target == modules/* ]] || { echo "$file includes $target, outside of modules/"; status=1; }
    done
done

# What depends on the instruction set stands in few places (docs/porting.md).
found=$(grep -rnE '\<(asm|__asm__|__builtin_ia32_[a-z0-9_]+)\>' include kernel --include='*.hpp' --include='*.cpp' |
    grep -v '_test\.cpp:' |
    grep -vE '^(include/helix/(gate|handle)\.hpp|include/helix/runtime/[a-z_]+\.cpp|kernel/(thread/cpu|trace/trace_ring)\.hpp|kernel/module/tap\.cpp):' || true)
if [[ -n $found ]]; then
    printf 'assembler in a file that should be portable:\n%s\n' "$found"
    status=1
fi
exit $status
