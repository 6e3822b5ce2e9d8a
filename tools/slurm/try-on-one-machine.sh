#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Starts a Slurm of this one machine, runs a campaign of 8 shards on it as a job array, and compares
# the merged results with those of a run without shards, byte for byte. Slurm and its munge use a
# folder and ports of their own, and are stopped at the end. Nothing of the system is changed. Needs
# slurmctld, slurmd and munged (Debian: slurm-wlm and munge), and no cluster.
#
# usage: tools/slurm/try-on-one-machine.sh [OPTION...]
#   OPTION           options of `nestwalk fuzz` (default: --profile rv64 --seed 1 --count 100000)
#   NESTWALK         the program (default: the one that `make build` has built)
#   NESTWALK_SHARDS  number of shards (default 8)
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
program=${NESTWALK:-${CARGO_TARGET_DIR:-$root/target}/release/nestwalk}
shards=${NESTWALK_SHARDS:-8}
unset NESTWALK_SHARDS
[ $# -gt 0 ] || set -- --profile rv64 --seed 1 --count 100000
# Daemons are in a folder that is only on the PATH of root.
PATH=$PATH:/usr/sbin:/sbin
for needed in munged slurmctld slurmd sbatch sinfo; do
    command -v "$needed" >/dev/null || {
        echo "try-on-one-machine.sh: $needed is missing: run tools/setup.sh --with-slurm" >&2
        exit 2
    }
done

work=$(mktemp -d)
pids=
stop() {
    # The last one first.
    for pid in $pids; do
        kill "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

start() {
    log=$work/$1.log
    "$@" >"$log" 2>&1 &
    pids="$! $pids"
}

# until_works COMMAND: repeats COMMAND until it succeeds. It is an error if it does not within some
# seconds.
until_works() {
    left=100
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ "$left" -eq 0 ]; then
            echo "try-on-one-machine.sh: this keeps failing: $*" >&2
            tail -n 5 "$work"/*.log >&2
            exit 2
        fi
        sleep 0.2
    done
}

user=$(id -un)
host=$(hostname -s)
chmod 755 "$work"
mkdir "$work/state" "$work/spool"
(umask 077 && head -c 1024 /dev/urandom >"$work/munge.key")
cat >"$work/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
AuthInfo=socket=$work/munge.socket
SlurmUser=$user
SlurmdUser=$user
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
MailProg=/bin/true
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmdSpoolDir=$work/spool
StateSaveLocation=$work/state
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
SLURM_CONF=$work/slurm.conf
export SLURM_CONF

start munged --foreground --key-file="$work/munge.key" --socket="$work/munge.socket" \
    --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge.seed"
until_works munge --socket="$work/munge.socket" --no-input
start slurmctld -D
start slurmd -D
is_idle() {
    sinfo --noheader --format=%t | grep -qx idle
}
until_works is_idle
sinfo

NESTWALK=$program
export NESTWALK
code=0
"$root/tools/slurm/submit.sh" --wait "$shards" "$work/results" "$@" || code=$?
cat "$work/results/merge.log"

whole=0
"$program" fuzz "$@" --results "$work/whole.json" -o "$work/whole" >/dev/null || whole=$?
if [ "$code" -ne "$whole" ]; then
    echo "try-on-one-machine.sh: the shards end with exit code $code, one run with $whole" >&2
    tail -n 5 "$work"/*.log "$work"/results/*.log >&2
    exit 1
fi
cmp "$work/results/results.json" "$work/whole.json"
echo "$shards shards, merged: the same $(wc -c <"$work/whole.json") bytes as one run"
exit "$whole"
