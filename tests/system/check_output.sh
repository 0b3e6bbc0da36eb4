#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# `check` prints the order in which the modules then start and who needs whom, as text, for Graphviz and as JSON; and
# `module inspect` what stands in the file.
source "$HELIX_ROOT/tests/system/lib.sh"
cd "$HELIX_TEST_DIRECTORY"

"$HELIX" check minimal >text && "$HELIX" check minimal --dot >dot && "$HELIX" check minimal --json >json || fail "check failed"
sed -n '/^start order/,/^$/s/^ *[0-9][0-9]*  \([a-z-]*\) .*/\1/p' text >order
"$HELIX" run minimal --arch hosted -q --exec modules | awk 'NR > 1 {print $1}' >started
diff started order || fail "the kernel starts (<) in another order than check says (>)"
grep -q '^        needs helix-execution >=1.0 → helix-execution$' text || fail "$(<text)"
[[ $(grep -- '->' dot) == '    "helix-scheduler-round-robin" -> "helix-execution" [label="helix-execution >=1.0"];' ]] || fail "$(<dot)"
[[ $(head -1 dot) == 'digraph "minimal" {' && $(tail -1 dot) == '}' ]] || fail "$(<dot)"
grep -o '{"name":"[a-z-]*"' json | cut -d'"' -f4 | diff order - || fail "$(<json)"
grep -q '"needs":\[{"requirement":"helix-execution >=1.0","module":"helix-execution","optional":false}\]' json || fail "$(<json)"
"$HELIX" module inspect --json helix-scheduler-round-robin >json || fail "inspect failed"
for member in '"name":"helix-scheduler-round-robin"' '"provides":\["helix.scheduler"\]' '"flags":\["HotReloadable","Scheduler"\]' \
    '"dependencies":\["helix-execution >=1.0"\]' '"key":"time_slice_ms","type":"integer","default":"10","minimum":1,"maximum":1000' \
    '"undefined_symbols":\[\]' '"loadable":true'; do
    grep -q "$member" json || fail "no $member: $(<json)"
done
"$HELIX" module inspect helix-scheduler-round-robin >text || fail "inspect failed"
for line in '^module  *helix-scheduler-round-robin 1.0.0$' '^flags  *HotReloadable, Scheduler$' 'time_slice_ms'; do
    grep -q "$line" text || fail "no $line: $(<text)"
done
