#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one campaign in rounds, each of which leans toward what those before have not reached, until every reachable bin of the
# profile's format is reached.
#
# usage: tools/reach.sh PROFILE [ROUNDS]      default: 24 rounds. SEED, COUNT: of the first round (default 1 and 1000000)
#
# It leaves the coverage of each round in out/reach/PROFILE. Exit code 0: all is reached; 1: not yet, and the report says what.
set -eu

cd "$(dirname "$0")/.."
profile=${1:?usage: tools/reach.sh PROFILE [ROUNDS]}
rounds=${2:-24}
seed=${SEED:-1}
count=${COUNT:-1000000}
nestwalk=${CARGO_TARGET_DIR:-target}/release/nestwalk
out=out/reach/$profile
rm -rf "$out"
mkdir -p "$out"

"$nestwalk" fuzz --profile "$profile" --seed "$seed" --count "$count" -o "$out" --coverage "$out/round-0.json"
files=$out/round-0.json
round=1
while ! "$nestwalk" cover $(echo "$files" | tr , ' ') --complete --most 0 >"$out/report.txt"; do
    if [ "$round" -gt "$rounds" ]; then
        "$nestwalk" cover $(echo "$files" | tr , ' ') --complete --most 20
        exit 1
    fi
    # Half as long as the first: it wastes nothing on what has been reached.
    "$nestwalk" fuzz --profile "$profile" --seed $((seed + round)) --count $((count / 2)) -o "$out" \
        --lean "$files" --coverage "$out/round-$round.json"
    files=$files,$out/round-$round.json
    round=$((round + 1))
done
grep 'reachable bins reached' "$out/report.txt"
echo "$profile: in $round rounds, $((count + (round - 1) * count / 2)) accesses"
