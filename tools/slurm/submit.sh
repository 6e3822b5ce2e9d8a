#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Submits a campaign to Slurm: a job array with one task for each shard, and a job that merges their
# results.
#
# usage: tools/slurm/submit.sh [--wait] SHARDS FOLDER OPTION...
#   SHARDS   the number of tasks
#   FOLDER   a new folder, seen by all nodes, for results, logs and failures
#   OPTION   options of `nestwalk fuzz`: --seed, and usually --profile and --count
#   --wait   return when everything has ended; the exit code is then that of `nestwalk merge`
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
'' | *[!0-9]* | 0*) fail "SHARDS is \"$shards\": a number from 1 on is wanted" ;;
esac
case " $* " in
*" --seed "* | *" --seed="*) ;;
*) fail "no --seed: each shard would take another one" ;;
esac
program=${NESTWALK:-${CARGO_TARGET_DIR:-$root/target}/release/nestwalk}
[ -x "$program" ] || fail "there is no program $program: \`make build\` makes it, or NESTWALK names another"
command -v sbatch >/dev/null || fail "there is no sbatch on PATH: this is for machines with Slurm"
# The results of an earlier campaign would be merged with those of this one.
mkdir -p "$(dirname "$folder")" && mkdir "$folder" || fail "the folder has to be a new one: $folder"
folder=$(cd "$folder" && pwd)

array=$(sbatch --parsable --array="0-$((shards - 1))" --output="$folder/shard-%a.log" \
    "$root/tools/slurm/shard.sbatch" "$program" "$folder" "$@")
array=${array%%;*}
echo "shards: job $array, tasks 0 to $((shards - 1))"
echo "results: $folder/results.json, $folder/junit.xml and $folder/merge.log, when all tasks are over"
# A shard that finds a failure ends with exit code 1, and is merged all the same.
exec sbatch $wait --dependency="afterany:$array" --output="$folder/merge.log" \
    "$root/tools/slurm/merge.sbatch" "$program" "$folder"
