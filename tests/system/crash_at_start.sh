#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A module that crashes in its constructor, in init or in start, in any way, is not loaded, and leaves nothing.
# timeout: 400
source "$HELIX_ROOT/tests/system/crash_lib.sh"

# A constructor has neither a token nor handles.
happens() { [[ $1-$2 != constructor-foreign_* ]]; }
profile=$HELIX_TEST_DIRECTORY/profile
mark='in its constructor: '
mkdir "$profile"
sed 's/^name = "demo"/name = "crash"/; s/^    "crasher",/&CRASHERS/; s/^\[modules\]/&\ncall_budget = "200ms"/' "$HELIX_ROOT/profiles/demo/helix.toml" \
    >"$profile/helix.toml"

# A crasher for each case, under a name of the same length, so that one boot can load them all.
names=() hows=() files=()
for where in constructor init start; do
    for how in "${ways[@]}"; do
        happens "$where" "$how" || continue
        name=$(printf 'crash%02d' "${#names[@]}")
        file=$profile/$name.hmod
        sed "s/crasher/$name/g" "$modules/crasher.hmod" >"$file"
        if [[ $where == constructor ]]; then
            # It has no configuration: it finds what it does in the file.
            offset=$(grep -obUa "$mark" "$file" | head -1 | cut -d: -f1)
            printf '%s\0' "$how" | dd of="$file" bs=1 seek=$((offset + ${#mark})) conv=notrunc status=none
        else
            printf '\n[module.%s]\nfile = "%s"\nwhere = "%s"\nhow = "%s"\n' "$name" "$name.hmod" "$where" "$how" \
                >>"$profile/helix.toml"
            sed -i "s/CRASHERS/ \"$name\",&/" "$profile/helix.toml"
        fi
        names+=("$name") hows+=("$how") files+=(--file "$file")
    done
done
sed -i 's/CRASHERS//' "$profile/helix.toml"

# Twice each, the second time from a heap whose magazines are filled.
commands() {
    for name in "${names[@]}"; do
        printf '%s\n' "load $name" "echo $name" "memory --json" "load $name" "memory --json" "echo end of $name"
    done
    echo "modules"
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    commands | "$HELIX" run "$profile" --arch "$arch" -q --memory 64 --timeout 300 "${files[@]}" >"$output" 2>&1 || true
    grep -q 'helix-memory .*Running' "$output" || fail "$arch: the rest did not run on: $(tail -5 "$output")"
    ! grep -q '^crash.*  ' "$output" || fail "$arch: it is listed as loaded: $(grep '^crash.*  ' "$output")"
    for i in "${!names[@]}"; do
        name=${names[i]}
        [[ $(grep -cE "^error: $name.hmod: $name failed: ${causes[${hows[i]}]}" "$output") == 2 ]] ||
            fail "$arch: $name: $(grep "$name" "$output" | head)"
        sed -n "/^$name\$/,/^end of $name\$/p" "$output" >"$output.$name"
        [[ $(grep -c '^{"pages_total"' "$output.$name") == 2 ]] || fail "$arch: $name: no two memory reports"
        same_memory "$output.$name"
    done
done
