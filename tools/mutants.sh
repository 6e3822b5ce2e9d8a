#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Plants each bug of tests/mutants (or the bugs named, by file or by name) into a copy of the
# project. Checks that a random campaign finds it with every seed, shrinks the scenario, and checks
# that the shrunk scenario fails again with the same signature when it is run from its file.
#
# usage: tools/mutants.sh [MUTANT...]
#   NESTWALK_COUNT    accesses for each profile and seed (default 200000)
#   NESTWALK_SEEDS    seeds, separated by blanks (default 1)
#   NESTWALK_LEVELS   levels of visibility below `steps` (docs/visibility.md), separated by blanks,
#                     that are tried in addition, with the first seed (default none)
#   NESTWALK_DEVICE   the one device to build and to run on, by its name in src/dut/variants.rs
#                     (default: those of the bug's formats, as campaigns draw them)
#
# A bug of the RISC-V formats, or of all formats, is tried on RV64, and on RV32 with the seeds that
# have not found it on RV64. Devices with a bug are built on first use; the program is built once.
#
# The script prints a line for each bug and seed, and a summary, and writes
# target/mutants/results.json. Exit code 1: a bug survives the level `steps`, or a shrunk scenario
# does not fail again.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
count=${NESTWALK_COUNT:-200000}
seeds=${NESTWALK_SEEDS:-1}
levels=${NESTWALK_LEVELS:-}
device=${NESTWALK_DEVICE:-}
work=$root/target/mutants
# A device is built from the RTL of this folder, into this cache.
tree=$work/tree
export NESTWALK_RTL="$tree" NESTWALK_CACHE="$work/devices"
nestwalk=$work/target/release/nestwalk
mkdir -p "$work"
lines=$work/results.jsonl
: >"$lines"
[ $# -gt 0 ] || set -- "$root"/tests/mutants/[0-9]*.toml

# The program is the same for every bug. Models of a bug run for a short time, so they are compiled
# without optimisation.
(cd "$root" && CARGO_TARGET_DIR="$work/target" NESTWALK_OBJECTS="$work/objects" \
    NESTWALK_MODEL_OPT_LEVEL=0 NESTWALK_DEVICES="$device" cargo build --release --locked --quiet)

# plant MUTANT: makes RTL with the bug.
plant() {
    rm -rf "$tree" "$work/devices/devices"
    mkdir -p "$tree/sim"
    cp -R "$root/rtl" "$tree/rtl"
    cp "$root/sim/tb_top.sv" "$tree/sim/tb_top.sv"
    "$root/tools/mutant.py" plant "$1" "$tree"
}

# profiles_of FORMATS
profiles_of() {
    case $1 in
    'handout classic32') echo handout-rights classic32-rights handout classic32 ;;
    handout | classic32) echo "$1-rights" "$1" ;;
    *) echo "$1" ;;
    esac
}

printf '%-46s %-10s %4s %-16s %8s %6s  %-42s %4s %7s  %s\n' \
    mutant level seed profile accesses s 'found by' ops 'shrink s' again
for mutant in "$@"; do
    name=$(basename "$mutant" .toml)
    # A bug of all formats is tried on RISC-V's.
    formats=$("$root/tools/mutant.py" formats "$mutant")
    case $formats in
    handout) groups='handout+classic32' ;;
    *) groups='rv64 rv32' ;;
    esac
    [ -z "$device" ] || groups=${device%%[_:]*}
    plant "$mutant"

    out=$work/out/$name
    rm -rf "$out"
    mkdir -p "$out"
    for group in $groups; do
        formats=$(echo "$group" | tr + ' ')
        # Exit code 10: a seed has not found it yet.
        status=0
        # shellcheck disable=SC2046
        python3 - "$nestwalk" "$name" "$count" "$out" "$device" "$seeds" "$levels" $(profiles_of "$formats") <<'PYTHON' || status=$?
import json, os, re, shlex, subprocess, sys, time

nestwalk, name, count, out, device, seeds, levels = sys.argv[1:8]
state = os.path.join(out, "rows.json")
rows = {}
if os.path.exists(state):
    with open(state) as file:
        rows = json.load(file)


def failure_of(code, text):
    """What tells one failure from another, in a report for programs."""
    failure = json.loads(text)["failure"] if code in (1, 3) else None
    return failure and (failure.get("check") or failure["kind"])


tries = [("steps", seed) for seed in seeds.split()]
tries += [(level, seeds.split()[0]) for level in levels.split()]
for level, seed in tries:
    row = rows.setdefault(f"{level} {seed}", {
        "mutant": name, "level": level, "seed": int(seed), "accesses": 0, "seconds": 0,
        "killed": False, "fails_again": False})
    if row["killed"]:
        continue
    begun = time.monotonic()
    for profile in sys.argv[8:]:
        folder = os.path.join(out, level, seed)
        command = [nestwalk, "fuzz", "--profile", profile, "--seed", seed, "--count", count,
                   "--visibility", level, "-o", folder]
        if device:
            command += ["--device", device]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode not in (0, 1, 3):
            sys.exit(f"tools/mutants.sh: fuzz ended with exit code {ran.returncode}\n{ran.stderr}")
        stats = re.search(r"^(\d+) access(?:es)? in ", ran.stdout, re.M)
        row["accesses"] += int(stats[1])
        if ran.returncode == 0:
            continue
        with open(os.path.join(folder, f"{profile}-{seed}-" + re.search(
                r"^scenario (\d+) of the campaign", ran.stdout, re.M)[1], "report.json")) as file:
            report = json.load(file)
        shrunk = re.search(r"^shrunk to \d+ ops? in ([\d.]+) s", ran.stdout, re.M)
        # The last word of the command that the report names.
        scenario = shlex.split(report["again"])[-1]
        rerun = subprocess.run(
            [nestwalk, "run", scenario, "--json"], capture_output=True, text=True)
        check = report["failure"].get("check") or report["failure"]["kind"]
        row.update({
            "killed": True,
            "profile": profile,
            "check": check,
            "ops": report["ops"],
            "shrink_seconds": float(shrunk[1]) if shrunk else None,
            "scenario": scenario,
            "again": rerun.returncode,
            "fails_again": rerun.returncode == ran.returncode
                and failure_of(rerun.returncode, rerun.stdout) == check,
        })
        break
    row["seconds"] = round(row["seconds"] + time.monotonic() - begun, 2)
with open(state, "w") as file:
    json.dump(rows, file)
sys.exit(0 if all(row["killed"] for row in rows.values()) else 10)
PYTHON
        case $status in
        0) break ;;
        10) ;;
        *) exit "$status" ;;
        esac
    done

    python3 - "$out/rows.json" "$lines" <<'PYTHON'
import json, sys

with open(sys.argv[1]) as file:
    rows = json.load(file)
for row in rows.values():
    with open(sys.argv[2], "a") as file:
        print(json.dumps(row), file=file)
    start = "{mutant:46} {level:10} {seed:4} {0:16} {accesses:8} {seconds:6.1f}  ".format(
        row.get("profile", "all"), **row)
    if not row["killed"]:
        print(start + "SURVIVED", flush=True)
        continue
    seconds = row["shrink_seconds"]
    print(start + "{check:42} {ops:4} {0:>8}  exit {again}{1}".format(
        "-" if seconds is None else f"{seconds:.1f}",
        "" if row["fails_again"] else ", DOES NOT FAIL AGAIN", **row), flush=True)
PYTHON
done

python3 - "$lines" "$work/results.json" <<'PYTHON'
import json, os, statistics, sys

with open(sys.argv[1]) as file:
    rows = [json.loads(line) for line in file]
killed = [row for row in rows if row["killed"]]
summary = {"not_again": sum(not row["fails_again"] for row in killed), "levels": {}}
for row in rows:
    counts = summary["levels"].setdefault(row["level"], {}).setdefault(
        str(row["seed"]), {"killed": 0, "survived": 0})
    counts["killed" if row["killed"] else "survived"] += 1
for level, seeds in summary["levels"].items():
    for seed, counts in seeds.items():
        print(f"level {level}, seed {seed}: {counts['killed']} killed, "
              f"{counts['survived']} survived")
print(f"{summary['not_again']} left a scenario that does not fail again")
# A level below `steps` sees less, so a mutant may well survive there.
survived = sum(row["level"] == "steps" and not row["killed"] for row in rows)
killed = [row for row in killed if row["level"] == "steps"]
for key, what in [("accesses", "accesses to kill"), ("seconds", "seconds, all told"),
                  ("ops", "ops left"), ("shrink_seconds", "seconds of shrinking")]:
    values = [row[key] for row in killed if row[key] is not None]
    if values:
        summary[key] = {"median": statistics.median(values), "largest": max(values)}
        print("{0}: median {median:g}, largest {largest:g}".format(what, **summary[key]))
draft = sys.argv[2] + ".draft"
with open(draft, "w") as file:
    json.dump({"summary": summary, "mutants": rows}, file, indent=2)
os.replace(draft, sys.argv[2])
sys.exit(survived > 0 or summary["not_again"] > 0)
PYTHON
