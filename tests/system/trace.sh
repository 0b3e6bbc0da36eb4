#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# `helix trace` writes what happened: every turn of every thread on its CPU's lane, none at the same time as another,
# the swap with its phases, and the crash. The commands' output is that of `run`. Under replay the same seed gives the
# same file.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"

cd "$HELIX_TEST_DIRECTORY"
commands="load helix-workload; request helix-workload start 30; request helix-workload check; load crasher; \
swap helix.scheduler helix-scheduler-priority; request crasher ud2"

# traced FILE EXPECTED-STATUS OPTION...: runs `helix trace` and checks the file.
traced() {
    local file=$1 expected=$2 status=0
    shift 2
    "$HELIX" trace -o "$file" "$@" >"$file.output" 2>"$file.errors" || status=$?
    ((status == expected)) || fail "$file: status $status, not $expected: $(cat "$file.output" "$file.errors")"
    "$HELIX" trace -o "$file" --check >"$file.summary" 2>&1 || fail "$file: $(cat "$file.summary")"
}
# has FILE TEXT...
has() {
    local file=$1 text
    shift
    for text in "$@"; do grep -qF -- "$text" "$file" || fail "$file has no $text: $(cat "$file.summary")"; done
}
# summed FILE WHAT AT-LEAST: a number of the summary.
summed() {
    local count
    count=$(grep -oE "[0-9]+ ${2%s}" "$1.summary" | cut -d' ' -f1)
    ((count >= $3)) || fail "$1: fewer than $3 $2: $(cat "$1.summary")"
}

replay=("$HELIX_ROOT/tests/system/many_cpus_replay.toml" --file "$modules/crasher.hmod" --smp 2 --replay 7 --exec "$commands")
traced replay.json 1 "${replay[@]}" --entries 65536
has replay.json '"helix-scheduler-priority 1.0.0: committed"' '"name":"hold"' '"name":"commit"' \
    '"crasher failed: fault"' '"crasher: Running"' '"name":"CPU 1"' '"lost":0' '"name":"crasher ud2"'
summed replay.json CPUs 2
summed replay.json threads 30
summed replay.json turns 100
summed replay.json wake-ups 40
summed replay.json failures 1

# A larger ring leaves less memory to the heap, so that what happens may take another time.
timeless() { sed -E 's/^\[ *[0-9.]+\]/[TIME]/; s/[0-9.]+ (ns|us|ms)/TIME/g' "$1"; }
"$HELIX" run "${replay[@]}" >run.output 2>/dev/null || true
diff <(timeless run.output) <(timeless replay.json.output) || fail "the commands of a traced run print something else"
traced again.json 1 "${replay[@]}" --entries 65536
cmp replay.json again.json || fail "the same seed gave two files"

# What is lost is the oldest: the swap is in the newest entries of a small ring.
traced small.json 0 demo --arch hosted --entries 128 --exec "load helix-workload; request helix-workload start 20; sleep 20; swap helix.scheduler helix-scheduler-priority"
! grep -qF '"lost":0}' small.json || fail "nothing was overwritten in a ring of 128 entries"
has small.json '"helix-scheduler-priority 1.0.0: committed"'
grep -qE '^helix: warning: small.json: [1-9][0-9]* entries were overwritten, .*--entries keeps more than 128' small.json.errors ||
    fail "nobody says that entries are missing: $(<small.json.errors)"
! grep -q overwritten replay.json.errors || fail "nothing was overwritten: $(<replay.json.errors)"

traced guest.json 1 demo --smp 2 --exec "$commands" --timeout 100 --entries 65536
has guest.json '"helix-scheduler-priority 1.0.0: committed"' '"name":"hold"' '"crasher failed: fault"'
summed guest.json CPUs 2
summed guest.json threads 30

# A kernel that panics leaves its trace, in words and in the file.
printf 'load essential\n%ssettle\n' "$(printf 'request essential fail\n%.0s' 1 2 3 4)"$'\n' >commands
traced panic.json 101 "$HELIX_ROOT/tests/system/restart.toml" --arch hosted --file "$modules/essential.hmod" <commands
has panic.json '"essential failed: abort"' '"essential fail"'
sed -n '/kernel panic/,$p' panic.json.output >report
grep -qE '^ *[0-9]+\.[0-9]{6} +0 +failure +abort +[0-9]+ +essential +[0-9]+ +main$' \
    <(sed -n '/^last trace entries:$/,$p' report) || fail "the report of a panic has no trace: $(cat panic.json.output)"
