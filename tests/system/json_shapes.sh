#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# In both ports the values of the commands have the members that docs/shell.md publishes, each element all of them and
# no others, and one of the published words where there are few. The history tells the truth: what was committed has no
# reason, the rest has one; every phase that did something took time, and the phases add up to what is said of them.
# timeout: 400
source "$HELIX_ROOT/tests/system/lib.sh"

# The demo, but the crasher stays Failed.
shell_profile=$HELIX_TEST_DIRECTORY/profile
mkdir "$shell_profile"
{
    sed 's/^name = "demo"/name = "json-shapes"/' "$HELIX_ROOT/profiles/demo/helix.toml"
    printf '\n[module."crasher"]\nrestart = "never"\n'
} >"$shell_profile/helix.toml"

commands=("load counter" "request counter add 42" "request counter restored" "request counter dance" "load crasher"
    'request crasher arm "event null"' "request helix-scheduler-round-robin statistics"
    "swap helix.scheduler helix-scheduler-priority --shadow 1ms" "event nobody" "reload counter counter-2"
    "reload counter counter-fails-in-health"
    "swap helix.scheduler helix-scheduler-priority" "swap helix.scheduler scheduler-fails-in-restore"
    "swap helix.scheduler needs-missing" "request crasher ud2" "load phoenix" "request phoenix die" settle "request absent x" modules "module counter"
    "module crasher" interfaces history threads cpus "cpu offline 1" dump locks memory metrics "metrics counter" "trace 200"
    health "config helix-memory" "config helix-scheduler-priority" "log 20" files help "help load" trial "unload counter" "echo a b" "sleep 1" poweroff)

# value COMMAND: what it printed; escaped characters become letters, so that quotes are those of JSON alone.
value() {
    local i
    for i in "${!commands[@]}"; do
        [[ ${commands[i]} == "$1" ]] && sed -n "$((i + 1)){s/\\\\./x/g;p}" "$output" && return
    done
    fail "$1 is not among the commands"
}
# Without strings, numbers and words, so that elements with the same members are the same line.
shapes() {
    elements "$1" | tr -d '<>' |
        sed -E 's/"([a-z_]+)":/<\1>/g; s/"[^"]*"|[0-9]+|true|false|null//g; s/<([a-z_]+)>/"\1":/g' | sort -u
}
elements() { value "$1" | sed 's/^\[//; s/\]$//; s/},{/}\n{/g'; }

# published COMMAND: its row of the table in docs/shell.md, without the table's marks.
published() {
    sed -n '/^| command | value |$/,/^$/p' "$HELIX_ROOT/docs/shell.md" | grep "^| [^|]*\`$1\`[^|]* |" |
        sed 's/^| [^|]* | //; s/ |$//; s/\\|/|/g'
}
# The names of members, sorted, of what comes in: a published shape, or a value.
published_names() { sed -E 's/:"[^,}]*//g' | grep -oE '"[a-z_]+"' | sort -u; }
names() { grep -oE '"[a-z_]+":' | tr -d : | sort -u; }

# same_members ELEMENT COMMAND PUBLISHED-NAMES
same_members() {
    local there
    there=$(names <<<"$1")
    [[ $there == "$3" ]] || fail "$arch: $2 has other members than docs/shell.md says: $1"$'\n'"$(diff <(echo "$3") <(echo "$there"))"
}

# shape COMMAND [ROW]: each element has the published members, and published words.
shape() {
    local row=${2:-${1%% *}} wanted element choice key
    local shape
    shape=$(published "$row" | sed 's/`;.*//; s/`,.*//')
    wanted=$(published_names <<<"$shape") || true
    [[ -n $wanted && -n $(shapes "$1") ]] || fail "$arch: nothing is published of $1, or it has no elements"
    while read -r element; do same_members "$element" "$1" "$wanted"; done < <(shapes "$1")
    while read -r choice; do
        key=${choice%%:*}
        value "$1" | grep -oE "$key:\"[^\"]*\"" | sort -u | while read -r element; do
            [[ "|${choice#*:}|" == *"|${element#*:}|"* ]] || fail "$arch: $1 has $element, published is $choice"
        done
    done < <(grep -oE '"[a-z_]+":"[a-z-]+"(\|"[a-z-]+")*' <<<"$shape")
}

# is COMMAND VALUE
is() { [[ $(value "$1") == "$2" ]] || fail "$arch: $1 gave $(value "$1"), not $2"; }
# has_words COMMAND KEY WORD...: exactly these words occur.
has_words() {
    local command=$1 key=$2
    shift 2
    [[ $(value "$command" | grep -oE "\"$key\":\"[^\"]*\"" | cut -d'"' -f4 | sort -u | xargs) == "$*" ]] ||
        fail "$arch: $command has for $key $(value "$command" | grep -oE "\"$key\":\"[^\"]*\"" | sort | uniq -c)"
}
number() { sed -E "s/.*\"$2\":([0-9]+)[,}].*/\1/" <<<"$1"; }

check_history() {
    local record phase sum transfer time=0
    while read -r record; do
        if [[ $record == *'"result":"committed"'* ]]; then
            [[ $record == *'"reason":"",'* ]] || fail "$arch: a reason for a success: $record"
            [[ $record != *'"from":""'* && $record != *'"to":""'* ]] || continue # a load, an unload
            for phase in prepare init hold transfer verify commit state_bytes; do
                # The policy that was swapped in was loaded for that.
                (($(number "$record" $phase) > 0)) || fail "$arch: no $phase: $record"
            done
        else
            [[ $record != *'"reason":""'* ]] || fail "$arch: no reason: $record"
        fi
        (($(number "$record" time_ns) >= time)) || fail "$arch: out of order: $record"
        time=$(number "$record" time_ns)
        transfer=$(number "$record" transfer)
        sum=$(($(number "$record" prepare) + $(number "$record" init)))
        if [[ $record == *'"interface":"helix.scheduler"'* ]]; then # it gets its state before the hold
            sum=$((sum + transfer)) transfer=0
        fi
        (($(number "$record" prepare_ns) == sum)) || fail "$arch: prepare_ns is not the sum $sum: $record"
        # Each phase is rounded down to a nanosecond.
        [[ $record == *'"result":"restarted"'* ]] || sum=0 # callers of a failed module are held in its preparation too
        sum=$(($(number "$record" pause_ns) - sum - $(number "$record" hold) - transfer - \
            $(number "$record" verify) - $(number "$record" commit)))
        ((sum >= 0 && sum <= 5)) || fail "$arch: pause_ns is not the sum of its phases: $record"
    done < <(elements history)
}

# `module` is published as `modules` and more.
check_module() {
    local wanted
    wanted=$(published modules; published module | sed 's/`\([a-z_]*\)`/"\1"/g; s/`\([a-z_]*\):/"\1",/g')
    wanted=$(published_names <<<"$wanted" | grep -v '"modules"')
    # The one failed for good and keeps no memory, the other serves and keeps some.
    same_members "$(value "module crasher")" "module crasher" "$(grep -v '"size"' <<<"$wanted")"
    same_members "$(value "module counter")" "module counter" "$(grep -v '"failure"' <<<"$wanted")"
}

# Of a trial, all but the picks that it shows: there may be none.
check_trial() {
    local trial="swap helix.scheduler helix-scheduler-priority --shadow 1ms"
    same_members "$(value "$trial" | sed 's/"first":.*/"first":[]}/')" "$trial" \
        "$(published "swap --shadow" | sed 's/`;.*//; s/"first":.*/"first"/' | published_names)"
}

for arch in hosted x86_64; do
    output=$HELIX_TEST_DIRECTORY/$arch
    options=()
    [[ $arch == x86_64 ]] && options=(--icount)
    for file in counter counter-2 counter-fails-in-health crasher phoenix scheduler-fails-in-restore needs-missing; do
        options+=(--file "$modules/$file.hmod")
    done
    printf '%s\n' "${commands[@]}" |
        helix_shell $arch --json --smp 2 "${options[@]}" --timeout 90 >"$output" 2>"$output.errors"
    [[ $(wc -l <"$output") == "${#commands[@]}" ]] || fail "$arch: ${#commands[@]} values were due: $(cat "$output")"

    for command in modules interfaces history threads cpus "cpu offline 1" dump locks memory metrics "metrics counter" "trace 200" \
        health "log 20" files help \
        "help load" "config helix-scheduler-priority" "event nobody" "unload counter"; do
        shape "$command"
    done
    shape "load counter" modules
    shape "load phoenix" modules
    shape "reload counter counter-2" history
    shape "swap helix.scheduler helix-scheduler-priority" history
    check_module
    check_history
    check_trial
    has_words history result committed failed refused restarted rolled-back
    has_words modules link dynamic static
    has_words modules state Failed Running
    has_words threads class kernel policy
    is "request counter add 42" 42
    is "request counter restored" '"no"'
    is 'request crasher arm "event null"' null
    [[ $(value "request helix-scheduler-round-robin statistics") == '{"time_slice_ms":10,'*'}' ]] || fail "$arch: no object"
    is "echo a b" '["a","b"]'
    is settle '{}'
    is trial '[]'
    is "sleep 1" '{"slept_ms":1}'
    is poweroff '{"poweroff":true}'
    for command in "request counter dance" "swap helix.scheduler scheduler-fails-in-restore" \
        "swap helix.scheduler needs-missing" "request crasher ud2" "request phoenix die" "request absent x"; do
        [[ $(value "$command") =~ ^\{\"error\":\"[^\"]+\"\}$ ]] || fail "$arch: $command gave $(value "$command")"
    done
    ! grep -qE '"(id|[a-z]+_ns|state_bytes|pause_cycles|generation|priority|switches)":[^0-9{]' "$output" ||
        fail "$arch: no number: $(grep -oE '"(id|[a-z]+_ns|state_bytes|pause_cycles|generation|priority|switches)":[^0-9{].{9}' "$output")"
done
