#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Submits a campaign to Slurm: a job array with one task for each shard, and a job that merges their
# results.
#
# usage: tools/slurm/submit.sh [--wait] SHARDS FOLDER OPTION...
#   SHARDS   the number of tasks
#   FOLDER   a new folder, seen by all nodes, for results, logs and failures
#   OPTION   options of `nestwalk fuzz`: --seed, and usually --profile and --count
#   --wait   return when everything has ended, with the exit code of `nestwalk merge`
#
#   NESTWALK       the program, seen by all nodes (default: the one that `make build` has built)
#   SBATCH_...     variables of sbatch: SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_ACCOUNT
set -eu

fail() {
    echo "submit.sh: $1" >&2
    exit 2
}

root=$(cd "$(dirname "$0")/../.." && pwd)
wait=
if [ "${1-}" = --wait ]; then
    wait=--wait
    shift
fi
[ $# -ge 2 ] || fail "usage: tools/slurm/submit.sh [--wait] SHARDS FOLDER OPTION..."
shards=$1
folder=$2
shift 2
case $shards in
'' | *[!0-9]* | 0*) fail "SHARDS is \"$shards\": give a number from 1 on" ;;
esac
case " $* " in
*" --seed "* | *" --seed="*) ;;
*) fail "--seed is missing: each shard would use another seed" ;;
esac
program=${NESTWALK:-${CARGO_TARGET_DIR:-$root/target}/release/nestwalk}
[ -x "$program" ] ||
    fail "$program is not a program: run \`make build\`, or set NESTWALK to another"
command -v sbatch >/dev/null || fail "sbatch is not on PATH: this script needs Slurm"
# The results of an earlier campaign would be merged with those of this one.
mkdir -p "$(dirname "$folder")" && mkdir "$folder" || fail "$folder exists already: name a new folder"
folder=$(cd "$folder" && pwd)

array=$(sbatch --parsable --array="0-$((shards - 1))" --output="$folder/shard-%a.log" \
    "$root/tools/slurm/shard.sbatch" "$program" "$folder" "$@")
array=${array%%;*}
echo "shards: job $array, tasks 0 to $((shards - 1))"
echo "results, when all tasks have ended: $folder/results.json, junit.xml and merge.log"
# A shard that finds a failure ends with exit code 1, and is merged too.
exec sbatch $wait --dependency="afterany:$array" --output="$folder/merge.log" \
    "$root/tools/slurm/merge.sbatch" "$program" "$folder"
