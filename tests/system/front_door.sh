#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# ./helix says at once, before it installs or builds anything, that there is no such command, and names those that there
# are: the same as the tool.
source "$HELIX_ROOT/tests/system/lib.sh"
cd "$HELIX_TEST_DIRECTORY"

# In a folder where nothing could be built.
cp "$HELIX_ROOT/helix" .
refuses() {
    local word=$1 status=0
    shift
    ./helix "$@" >output 2>errors </dev/null || status=$?
    ((status == 2)) && [[ ! -s output ]] || fail "helix $*: ended with $status: $(cat output errors)"
    grep -q "^helix: error: unknown command \"$word\"; the commands are: " errors || fail "helix $*: $(<errors)"
    [[ ! -e build ]] || fail "helix $*: it began to build"
}
refuses nonsense nonsense
refuses nonsense nonsense run
refuses tset -q --color never tset --list
refuses '' ''

# Every command of the tool, and nothing else.
"$HELIX" --help | sed -n '/^Subcommands:/I,/^$/s/^  \([a-z]*\) .*/\1/p' | sort >tool
sed 's/.*the commands are: //' errors | tr ' ' '\n' | sort >script
diff tool script || fail "the tool has other commands than the script"

# What the tool is asked itself blames no word that is right.
status=0
"$HELIX" -q >output 2>errors || status=$?
((status == 2)) && grep -q '^helix: error: helix needs a command: ' errors || fail "helix -q: $status, $(<errors)"
