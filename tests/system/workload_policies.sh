#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# A workload file does exactly what it says under each policy: as many loops, steps, wake-ups and as much work as
# can be counted in the file. `bench scheduler --workload` prints the figures of all in each format and draws them; a
# mistake in the file, or a policy that there is not, is named before anything runs. Under replay a seed gives the same
# run.
# timeout: 300
source "$HELIX_ROOT/tests/system/lib.sh"
directory=$HELIX_TEST_DIRECTORY
file=$directory/counted.json

# Waits are short and their number is known: each sleep is a wake-up, and at the barrier all but the last wait.
cat >"$file" <<'JSON'
/* It's counted. */
{"tasks": {
    "sleeper": {"instance": 3, "loop": 10, "phases": {"nap": {"loop": 2, "run": 20, "sleep": 100}, "work": {"run": 60}}},
    "meeting": {"instance": 4, "loop": 20, "run": 10, "barrier": "round"},
    "passing": {"weight": 2048, "loop": 30, "lock": "door", "run": 5, "unlock": "door", "yield": ""}}}
JSON
loops=$((3 * 10 + 4 * 20 + 30))
work=$((3 * 10 * (2 * 20 + 60) + 4 * 20 * 10 + 30 * 5))
wakeups=$((3 * 10 * 2 + 3 * 20))

# bench ARGUMENT...: its status in $status, what it says in the files output and errors.
bench() {
    status=0
    "$HELIX" bench --color never "$@" >"$directory/output" 2>"$directory/errors" || status=$?
}
# number KEY LINE
number() { sed -E "s/.*\"$1\":([0-9.]+).*/\1/" <<<"$2"; }

bench scheduler --workload "$file" --policy round-robin,helix-scheduler-fair --runs 2 --json --no-peer --svg "$directory/plot.svg"
[[ $status == 0 ]] || fail "it ended with $status: $(<"$directory/errors")"
[[ $(wc -l <"$directory/output") == 2 ]] || fail "not a line for each policy: $(<"$directory/output")"
for policy in round-robin helix-scheduler-fair; do
    line=$(grep "^{\"policy\":\"$policy\",\"runs\":2,\"elapsed_s\":" "$directory/output") || fail "no $policy: $(<"$directory/output")"
    # The first member of a name is that of the whole, behind it come those of tasks.
    whole=${line%%\"tasks\"*}
    [[ $(number loops "$whole") == $((2 * loops)) ]] || fail "not $((2 * loops)) loops: $line"
    [[ $(number wakeups "$whole") == $((2 * wakeups)) ]] || fail "not $((2 * wakeups)) wake-ups: $line"
    [[ $(number fairness "$whole") == 1* ]] || fail "the same work for all, and not fair: $line"
    for task in 'sleeper","threads":3,"least_work_ns":1000000,"most_work_ns":1000000,"loops":60,"steps":300,"work_ns":6000000,"wakeups":120,' \
        'meeting","threads":4,"least_work_ns":200000,"most_work_ns":200000,"loops":160,"steps":320,"work_ns":1600000,"wakeups":120,' \
        'passing","threads":1,"least_work_ns":150000,"most_work_ns":150000,"loops":60,"steps":240,"work_ns":300000,"wakeups":0,'; do
        [[ $line == *"{\"name\":\"$task\"latency_ns\":{\"median\":"* ]] || fail "$policy: not $task: $line"
    done
done
[[ $(head -c 5 "$directory/plot.svg") == '<svg ' && $(tail -1 "$directory/plot.svg") == '</svg>' ]] || fail "no picture"
[[ $(grep -c '<polyline' "$directory/plot.svg") == 2 ]] || fail "not a curve for each policy"
grep -q '>helix-scheduler-fair</text>' "$directory/plot.svg" || fail "the picture does not name the policies"

# Beside pthreads, which do the same; CSV has as many fields in each line, and the table a line for each as well.
bench scheduler --workload "$file" --policy cooperative --runs 1 --csv
[[ $status == 0 ]] || fail "--csv ended with $status: $(<"$directory/errors")"
[[ $(cut -d, -f1 "$directory/output" | xargs) == "policy cooperative linux" ]] || fail "other lines: $(<"$directory/output")"
[[ $(tr -cd ',\n' <"$directory/output" | sort -u | wc -l) == 1 ]] || fail "fields are missing: $(<"$directory/output")"
[[ $(cut -d, -f1,5,7 "$directory/output" | tail -2 | xargs) == "cooperative,$loops,$wakeups linux,$loops,$wakeups" ]] ||
    fail "other counts: $(<"$directory/output")"

# Another policy than those of the tree, by its file.
bench --workload "$file" --policy "$modules/scheduler-unhealthy.hmod" --runs 1 --no-peer
[[ $status == 1 && $(<"$directory/errors") == *"scheduler-unhealthy: "*"unhealthy"* ]] ||
    fail "a policy that cannot rule ended with $status: $(<"$directory/errors")"

# wrong STATUS SENTENCE ARGUMENT...
wrong() {
    local wanted=$1 sentence=$2
    shift 2
    bench "$@"
    [[ $status == "$wanted" && ! -s $directory/output ]] || fail "$*: status $status: $(<"$directory/output")"
    [[ $(<"$directory/errors") == "helix: error: $sentence"* ]] || fail "$*: $(<"$directory/errors")"
}
printf '{\n  "tasks": {"a": {"rum": 1}}}' >"$directory/bad.json"
wrong 1 "$directory/bad.json:2:19: unknown key \"rum\" in a task; it takes instance," scheduler --workload "$directory/bad.json"
wrong 2 '--policy: no module "fare" or "helix-scheduler-fare"; did you mean "fair"?' --workload "$file" --policy fare
wrong 2 '--policy: "," names no policy' --workload "$file" --policy ,
wrong 2 '--policy: "" names no policy' --workload "$file" --policy ''
wrong 2 '--workload is for `bench scheduler`, not for "boot"' boot --workload "$file"
wrong 2 'helix bench: --policy requires --workload' scheduler --policy fair
wrong 2 '--json or --csv, not both' --workload "$file" --json --csv
wrong 125 "$directory/none.json" --workload "$directory/none.json"

# A picture that is there stays until there is another; what cannot be written is found out before anything runs.
printf old >"$directory/plot.svg"
bench --workload "$file" --policy "$modules/scheduler-unhealthy.hmod" --runs 1 --no-peer --svg "$directory/plot.svg"
[[ $status == 1 && $(<"$directory/plot.svg") == old ]] || fail "status $status; the picture was lost: $(<"$directory/plot.svg")"
wrong 125 "$directory: Is a directory" --workload "$file" --policy fair --svg "$directory"
[[ -z $(find "$directory" -name 'plot.svg.*') && ! -e $directory.* ]] || fail "something stayed: $(ls "$directory"*)"

# In the shell, under replay: the same seed, the same run.
quoted=$(sed "s/'/'\\\\''/g" "$file")
for run in 1 2; do
    "$HELIX" run demo --arch hosted --replay 5 --smp 2 -q --exec "load helix-workload; request helix-workload calibrate 1000
        request helix-workload run '$quoted'; request helix-workload details; unload helix-workload" >"$directory/replay.$run" ||
        fail "under replay: $(<"$directory/replay.$run")"
done
cmp "$directory/replay.1" "$directory/replay.2" || fail "the seed gives two runs"
grep -q "^{\"ended\":\"loops\",.*\"steps_per_ms\":1000,\"loops\":$loops,\"steps\":$((2 * (60 + 15) + 160 + 120)),\"work_ns\":${work}000,\"wakeups\":$wakeups," "$directory/replay.1" ||
    fail "other counts under replay: $(<"$directory/replay.1")"
