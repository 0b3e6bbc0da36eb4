#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# `helix new module` refuses a name that is taken, by a module, a folder, a program or the build itself, and writes
# nothing then.
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_ROOT"
before=$(find modules -type f | sort)

# refused STATUS PATTERN ARGUMENTS...: ends so, with one line.
refused() {
    local wanted=$1 pattern=$2 status=0 output=$HELIX_TEST_DIRECTORY/output
    shift 2
    "$HELIX" new module "$@" >"$output" 2>&1 || status=$?
    ((status == wanted)) || fail "new module $*: ended with $status: $(cat "$output")"
    [[ $(wc -l <"$output") == 1 ]] && grep -qE "$pattern" "$output" || fail "new module $*: $(cat "$output")"
    [[ $(find modules -type f | sort) == "$before" ]] || fail "new module $*: wrote something"
}

refused 1 'counter is taken, in modules/test/counter/CMakeLists.txt' counter
refused 1 'helix-scheduler-priority is taken|is there already' helix-scheduler-priority --interface helix.scheduler
refused 1 'modules/template: is there already' template
refused 1 'helix-kernel is taken' helix-kernel
refused 1 'my-scheduler is taken' my-scheduler --interface helix.scheduler
refused 2 '"all" means something else' all
refused 2 '"test" means something else' test --directory "$HELIX_TEST_DIRECTORY"
refused 2 'no name for a module' Counter

# A project of its own has names of its own.
"$HELIX" new module counter --directory "$HELIX_TEST_DIRECTORY" >/dev/null 2>&1 || fail "refused outside of the tree"
