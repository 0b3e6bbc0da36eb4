#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Every lock says at its declaration which rank it has, and guards something: a field names it, or the data lie inside
# of it (Locked). So the compiler checks its order and its data.
set -euo pipefail
status=0

mapfile -t files < <(git ls-files --cached --others --exclude-standard -- 'kernel/*.[ch]pp' 'arch/*.[ch]pp' | sort -u |
    grep -vE '_test\.cpp$|/test/' | while read -r file; do
    if [[ -e $file ]]; then echo "$file"; fi
done)

# The kinds of locks there are. A class that Clang is told to be one, and that is not among them, is not looked at below.
known='AllCpuLocks CpuLock InheritanceLock Locked LogLock Mark Mutex RwLock SpinLock'
found=$(grep -hoE 'class HELIX_CAPABILITY\("[^"]*"\) [A-Za-z]+' "${files[@]}" | sed 's/.* //' | sort | tr '\n' ' ')
[[ $found == "$known " ]] || { echo "kinds of locks: $found; this check knows $known"; status=1; }

# named LOCK FILE: whether a field beside it names it, or a name that functions there give it and fields elsewhere use.
named() {
    local lock=$1 file=$2 token
    grep -qE "HELIX_(PT_)?GUARDED_BY\(([A-Za-z_, ]*, )?$lock[,)]" "$file" && return
    token=$(sed -nE "s/.*HELIX_RETURN_CAPABILITY\(([a-z_]+)\) \{ return $lock; \}.*/\1/p" "$file")
    [[ -n $token ]] && grep -qE "HELIX_(PT_)?GUARDED_BY\($token\)" "${files[@]}"
}

count=0
while IFS=: read -r file line declaration; do
    count=$((count + 1))
    read -r kind name <<<"$(sed -nE 's/^ *(mutable |static |const )*([A-Za-z]+)(<.*>)? ([a-z_]+)( .*)?[;{].*/\2 \4/p' <<<"$declaration")"
    [[ $declaration == *HELIX_RANK* ]] || { echo "$file:$line: $name does not say its rank (HELIX_RANK)"; status=1; }
    [[ $kind == Locked ]] || named "$name" "$file" ||
        { echo "$file:$line: no field says that $name guards it (HELIX_GUARDED_BY), and no data lie inside of it"; status=1; }
done < <(grep -nE '^ *(mutable |static |const )*(CpuLock|Locked<.*>|LogLock|Mutex|RwLock|SpinLock) [a-z_]+( HELIX_[A-Z_]+\(.*\))?( ?\{.*\})?( =.*)?;' "${files[@]}")
((count > 15)) || { echo "only $count locks were found: this check checks nothing"; exit 1; }
exit $status
