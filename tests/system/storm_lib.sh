# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the storms: swaps among policies under threads that come, go, block, move and change what they ask for,
# while CPUs go off and on, in an order drawn from a seed.
source "$HELIX_ROOT/tests/system/torture_lib.sh"

storm_profile=$HELIX_ROOT/tests/system/storm.toml
# Those that are swapped; the last one rules at boot.
storm_policies=(helix-scheduler-priority helix-scheduler-fair helix-scheduler-deadline helix-scheduler-cooperative
    helix-scheduler-round-robin)

# Each swap whose number this divides begins with a canary on some CPU; 0: none. It needs short probations.
storm_canaries=0

# storm_commands SEED CPUS THREADS SWAPS CHECKS: to any other policy each time; a CPU goes or comes with every other
# swap; so many checks, evenly.
storm_commands() {
    state=$1 cpus=$2
    local threads=$3 swaps=$4 checks=$5 swap cpu policy
    local others=$((${#storm_policies[@]} - 1)) ruler
    ruler=$others
    online=()
    for ((cpu = 0; cpu < cpus; ++cpu)); do online[cpu]=1; done
    printf 'load %s\n' "${storm_policies[@]:0:others}" helix-workload
    echo "request helix-workload start $threads"
    for ((swap = 1; swap <= swaps; ++swap)); do
        ((cpus == 1 || swap % 2)) || toggle_cpu
        draw "$others"
        policy=$((drawn < ruler ? drawn : drawn + 1))
        ruler=$policy
        if ((storm_canaries && swap % storm_canaries == 0)); then
            draw "$cpus"
            ((online[drawn])) || drawn=0
            printf '%s\n' settle "swap helix.scheduler ${storm_policies[policy]} --canary $drawn 20ms"
        else
            printf '%s\n' "swap helix.scheduler ${storm_policies[policy]}"
        fi
        echo "sleep 2"
        ((swap % (swaps / checks))) || echo "request helix-workload check"
    done
    for ((cpu = 1; cpu < cpus; ++cpu)); do ((online[cpu])) || echo "cpu online $cpu"; done
    printf '%s\n' "interfaces --json" "request helix-workload stop" "unload helix-workload" "echo the storm is over"
}

# How much less than a CPU's time threads get of it.
storm_slowness=1

# storm_patience ARCH THREADS: how many seconds all of them may take to make a round. Under the fair policy one that asks
# for 20 ms at a time has them when everybody had as many, and one CPU may be all there is.
storm_patience() {
    local seconds=$(($2 * 20 / 1000 * 2 * storm_slowness))
    [[ $1 == hosted ]] || seconds=$((seconds * 2))
    ((seconds < 600)) || seconds=600 # the most that the workload takes
    echo $((seconds > 120 ? seconds : 120))
}

# storm TEST SEED ARCH CPUS THREADS SWAPS CHECKS SECONDS [RUN OPTION...]: runs and judges it; TEST is named where it fails.
storm() {
    local test=$1 seed=$2 arch=$3 cpus=$4 threads=$5 swaps=$6 checks=$7 seconds=$8
    local output=$HELIX_TEST_DIRECTORY/$arch-$cpus-$seed
    local repeat="$arch, $cpus CPUs; repeat it with: HELIX_SEED=$seed ./helix test $test" wanted found
    local shell_profile=$output.toml
    sed "s/^check_timeout = .*/check_timeout = \"$(storm_patience "$arch" "$threads")s\"/" "$storm_profile" >"$shell_profile"
    storm_commands "$seed" "$cpus" "$threads" "$swaps" "$checks" >"$output.commands"
    helix_shell "$arch" --smp "$cpus" --timeout "$seconds" "${@:9}" <"$output.commands" >"$output" 2>&1
    ! grep -iq panic "$output" || fail "$repeat: $(grep -i -A12 panic "$output" | head -30)"
    grep -qx 'the storm is over' "$output" || fail "$repeat: it stopped after: $(tail -5 "$output")"
    found=$(grep -c ', committed' "$output" || true)
    [[ $found == "$swaps" ]] || fail "$repeat: $found of $swaps swaps were committed: $(grep '^error' "$output" | head -3)"
    found=$(grep -c "\"progressed\":$threads,\"lost\":0,\"run_twice\":0,\"starved\":0" "$output" || true)
    [[ $found == "$checks" ]] || fail "$repeat: $found of $checks checks were good: $(grep '^error' "$output" | head -3)"
    wanted=$(grep -c '^cpu o' "$output.commands" || true)
    found=$(grep -cE '^CPU [0-9]+ is (offline|online)$' "$output" || true)
    [[ $found == "$wanted" ]] || fail "$repeat: $found of $wanted CPUs came and went: $(grep '^error' "$output" | head -3)"
    # The slot counts its fillings exactly: one at boot and one for each swap.
    grep -q "\"generation\":$((swaps + 1))" "$output" || fail "$repeat: $(grep generation "$output")"
    grep -q '"threads":0,.*"run_twice":0,"cancelled":0,"not_replaced":0' "$output" || fail "$repeat: $(tail -8 "$output")"
    # Nobody was blamed.
    ! grep -q 'supervisor: .* failed' "$output" || fail "$repeat: $(grep supervisor: "$output")"
}
