#!/usr/bin/env bash
# SPDX-FileCopyrightText: Helix contributors
# SPDX-License-Identifier: MIT OR Apache-2.0
# The torture for ten minutes with 4 CPUs and as long with 16, one seed after the other.
# long
# timeout: 3600
source "$HELIX_ROOT/tests/system/torture_lib.sh"

# A seed that failed is all that is repeated.
for cpus in ${HELIX_CPUS:-4 16}; do
    seed=${HELIX_SEED:-$SRANDOM}
    for ((begin = SECONDS; SECONDS - begin < 600; ++seed)); do
        torture system/torture_long "$seed" "$cpus" 100 4 20 900
        [[ -z ${HELIX_SEED:-} ]] || break
    done
done
