#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Plants each bug of tests/mutants/*.patch (or of the patches named) into a copy of the project, and looks whether a random
# campaign finds it, how small the scenario is that it leaves, and whether that fails again by itself in the same way.
#
# usage: tools/mutants.sh [PATCH...]      NESTWALK_COUNT: accesses for each profile (default 200000)
#
# It prints a line for each and a summary, and leaves all of it in target/mutants/results.json.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
count=${NESTWALK_COUNT:-200000}
work=$root/target/mutants
tree=$work/tree
nestwalk=$work/target/release/nestwalk
mkdir -p "$work"
lines=$work/results.jsonl
: >"$lines"
[ $# -gt 0 ] || set -- "$root"/tests/mutants/*.patch

# plant PATCH: a tree with the bug, and nestwalk over it.
plant() {
    mkdir -p "$tree"
    # Whatever is unchanged keeps its time, so that only what the patch reaches is built again.
    (cd "$root" && tar cf - Cargo.toml Cargo.lock build.rs benches rtl sim src tools) |
        (cd "$tree" && rm -rf rtl && tar xf -)
    [ -e "$tree/.tools" ] || ln -s "$root/.tools" "$tree/.tools"
    if ! patch -s -p1 -d "$tree" <"$1"; then
        echo "tools/mutants.sh: $1 does not apply to rtl/; make it anew" >&2
        exit 2
    fi
    # Objects are kept, for a second round with the same RTL and another bench. The bench itself is the same for every
    # patch: what it was compiled to for the last serves again.
    (cd "$tree" && CARGO_TARGET_DIR="$work/target" CARGO_INCREMENTAL=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        NESTWALK_OBJECTS="$work/objects" NESTWALK_MODEL_OPT_LEVEL=0 NESTWALK_FORMATS="$formats" NESTWALK_WITHOUT="rv32_c8 rv64_c8 rv64_l2_c8" cargo build --release --locked --quiet)
}

printf '%-42s %-16s %8s %6s  %-42s %4s %7s  %s\n' mutant profile accesses s 'found by' ops 'shrink s' again
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    # The first line says whose bug it is; only devices that have it are built. What all formats share is tried on RV64.
    case $(head -n 1 "$patch") in
    Handout:*) profiles="handout-rights classic32-rights handout classic32" formats="handout classic32" ;;
    RISC-V:*) profiles="rv64" formats="rv64" ;;
    *) profiles="rv64" formats="rv64" ;;
    esac
    plant "$patch"

    out=$work/out/$name
    rm -rf "$out"
    mkdir -p "$out"
    python3 - "$nestwalk" "$name" "$count" "$out" "$lines" $profiles <<'PYTHON'
import json, re, shlex, subprocess, sys, time

nestwalk, name, count, out, lines = sys.argv[1:6]
row = {"mutant": name, "accesses": 0, "killed": False}
begun = time.monotonic()
for profile in sys.argv[6:]:
    ran = subprocess.run(
        [nestwalk, "fuzz", "--profile", profile, "--seed", "1", "--count", count, "-o", out],
        capture_output=True, text=True)
    if ran.returncode not in (0, 1, 3):
        sys.exit(f"tools/mutants.sh: fuzz ended with exit code {ran.returncode}\n{ran.stderr}")
    stats = re.search(r"^(\d+) accesses in ", ran.stdout, re.M)
    row["accesses"] += int(stats[1])
    if ran.returncode == 0:
        continue
    shrunk = re.search(r"shrunk to (\d+) ops? in ([\d.]+) s", ran.stdout)
    # The command as it is printed, quoted for a shell.
    again = re.search(r"^  again: +(.*)$", ran.stdout, re.M)
    command = shlex.split(again[1])
    rerun = subprocess.run([*command, "--json"], capture_output=True, text=True)
    failure = rerun.returncode in (1, 3) and json.loads(rerun.stdout)["failure"]
    row |= {
        "killed": bool(failure) and rerun.returncode == ran.returncode,
        "profile": profile,
        "check": failure and (failure.get("check") or failure["kind"]),
        "ops": int(shrunk[1]),
        "shrink_seconds": float(shrunk[2]),
        "scenario": command[-1],
        "again": rerun.returncode,
    }
    break
row["seconds"] = round(time.monotonic() - begun, 2)
with open(lines, "a") as file:
    print(json.dumps(row), file=file)
if "ops" in row:
    print("{mutant:42} {profile:16} {accesses:8} {seconds:6.1f}  {0:42} {ops:4} {shrink_seconds:8.1f}  exit {again}".format(
        row["check"] or "NOTHING", **row), flush=True)
else:
    print("{mutant:42} {0:16} {accesses:8} {seconds:6.1f}  SURVIVED".format("all", **row), flush=True)
PYTHON
done

python3 - "$lines" "$work/results.json" <<'PYTHON'
import json, os, statistics, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
killed = [row for row in rows if row["killed"]]
summary = {"killed": len(killed), "survived": len(rows) - len(killed)}
print("{killed} killed, {survived} survived".format(**summary))
for key, what in [("accesses", "accesses to kill"), ("seconds", "seconds, all told"),
                  ("ops", "ops left"), ("shrink_seconds", "seconds of shrinking")]:
    values = [row[key] for row in killed]
    if values:
        summary[key] = {"median": statistics.median(values), "largest": max(values)}
        print("{0}: median {median:g}, largest {largest:g}".format(what, **summary[key]))
draft = sys.argv[2] + ".draft"
with open(draft, "w") as file:
    json.dump({"summary": summary, "mutants": rows}, file, indent=2)
os.replace(draft, sys.argv[2])
sys.exit(len(killed) != len(rows))
PYTHON
