#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The long campaign: every profile, more than 200 million cycles in all. It fails at a mismatch, and
# if the memory in use grows between the first tenth of a campaign and its end.
#
# usage: tools/soak.sh [OPTION...]      options of `nestwalk fuzz`, such as --jobs 1
#   NESTWALK         the program (default: the one that `make build` has built)
#   NESTWALK_SEED    the seed (default 1)
#   NESTWALK_FACTOR  factor on the number of accesses (default 1)
#
# Each profile runs on the devices that have a name, and then for a shorter time on four devices
# that are drawn from all legal parameters.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
nestwalk=${NESTWALK:-${CARGO_TARGET_DIR:-$root/target}/release/nestwalk}
seed=${NESTWALK_SEED:-1}
factor=${NESTWALK_FACTOR:-1}
# In MiB: memory that allocators may keep. A leak of one byte per access would be 3 MiB.
allowed=2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
total=0
begun=$(date +%s)
soak() { # PROFILE THOUSANDS OPTION...
    profile=$1
    count=$(($2 * 1000 * factor))
    shift 2
    code=0
    "$nestwalk" fuzz --profile "$profile" --seed "$seed" --count "$count" --memory "$@" \
        >"$work/out" || code=$?
    cat "$work/out"
    [ "$code" -eq 0 ] || exit "$code"
    cycles=$(sed -n 's/^[0-9]* access[es]* in \([0-9]*\) cycles:.*/\1/p' "$work/out")
    total=$((total + cycles))
    # If the memory is not known, the check fails.
    sed -n 's/^memory in use after each tenth, in MiB: //p' "$work/out" | awk -v allowed="$allowed" '
        { tenths = NF; grown = $NF - $1 }
        END {
            if (tenths != 10) { print "soak: the memory in use is not known"; exit 2 }
            printf "soak: memory in use grew by %.1f MiB between the first tenth and the end\n\n", grown
            if (grown > allowed) { printf "soak: more than %d MiB\n", allowed; exit 1 }
        }'
}

# Thousands of accesses, so that each profile has 28 million cycles or more, and RV64 twice that.
for campaign in handout:3400 handout-rights:3000 classic32:3000 classic32-rights:3000 rv32:4500 rv64:3500; do
    soak "${campaign%:*}" "${campaign#*:}" "$@"
    soak "${campaign%:*}" 500 --devices 4 "$@"
done
echo "soak: $total cycles in $(($(date +%s) - begun)) s, no mismatch, no memory growth"
if [ "$total" -lt 200000000 ]; then
    echo "soak: fewer than 200 million cycles: give the profiles more accesses (tools/soak.sh)" >&2
    exit 1
fi
