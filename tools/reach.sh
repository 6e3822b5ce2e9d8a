#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one campaign in rounds, until every reachable bin of the profile's format has been hit. Each
# round is biased towards the bins that the earlier rounds did not hit.
#
# usage: tools/reach.sh PROFILE [ROUNDS]      default: 24 rounds
#   SEED, COUNT   seed and accesses of the first round (default 1 and 1000000)
#
# The coverage of each round is in out/reach/PROFILE. Exit code 0: every bin was hit; 1: some were
# not, and the report names them.
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

"$nestwalk" fuzz --profile "$profile" --seed "$seed" --count "$count" -o "$out" \
    --coverage "$out/round-0.json"
files=$out/round-0.json
round=1
while ! "$nestwalk" cover $(echo "$files" | tr , ' ') --complete --most 0 >"$out/report.txt"; do
    if [ "$round" -gt "$rounds" ]; then
        "$nestwalk" cover $(echo "$files" | tr , ' ') --complete --most 20
        exit 1
    fi
    # Half as long as the first: it needs no time for bins that have been hit.
    "$nestwalk" fuzz --profile "$profile" --seed $((seed + round)) --count $((count / 2)) \
        -o "$out" \
        --lean "$files" --coverage "$out/round-$round.json"
    files=$files,$out/round-$round.json
    round=$((round + 1))
done
grep 'reachable bins reached' "$out/report.txt"
echo "$profile: in $round rounds, $((count + (round - 1) * count / 2)) accesses"
