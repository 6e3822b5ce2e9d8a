#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants the mutants of tools/mutate.py, one by one, and checks that a campaign finds each.

All mutants are in one build, so a mutant costs only the time of `nestwalk fuzz`. A mutant that no
campaign finds may only be slower than the RTL, so it is then tried with the tests that count
cycles. The survivors of both are compared with tests/mutants/survivors.toml, which gives the reason
why nothing can find them.

Exit codes: 0 every survivor has a reason, and every reason belongs to a survivor; 1 otherwise;
2 the mutants could not be tried.

Needs pyslang: tools/setup.sh --with-mutation
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
import mutate

ROOT = mutate.ROOT
WORK = ROOT / "target" / "automutants"
SURVIVORS = ROOT / "tests" / "mutants" / "survivors.toml"
# The inputs of a build. An unchanged file keeps its time.
BUILT = (
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "benches",
    "devices",
    "examples",
    "golden",
    "rtl",
    "scenarios",
    "sim",
    "src",
    "tests",
    "tools",
)
# Tests that count cycles and reads.
COUNTING = ("timing", "walk_caches", "second_tlb", "riscv")
HANDOUT = ["classic32-rights", "handout-rights", "classic32", "handout"]
RISCV = ["rv64", "rv32"]
# The other files are in every device.
PROFILES = {"walk_step_handout.sv": HANDOUT} | dict.fromkeys(
    ("walk_step_riscv.sv", "walk_cache.sv", "walk_caches.sv", "tlb2.sv"), RISCV
)
EVERYWHERE = ["rv64", "classic32-rights", "rv32", "handout-rights"]
IDENTITY = ("file", "where", "within", "operator", "before", "after", "ordinal")


def fail(message: str) -> None:
    sys.exit(f"automutants: error: {message}")


# --- The build ------------------------------------------------------------------------------------


def same(a: Path, b: Path) -> bool:
    return b.is_file() and a.read_bytes() == b.read_bytes()


def build() -> tuple[Path, dict[str, Path], list[dict]]:
    """Compiles a copy of the project with all mutants.

    Returns the program, the tests that count cycles, and the mutants.
    """
    found = mutate.find()
    tree = WORK / "tree"
    with tempfile.TemporaryDirectory() as folder:
        mutated = Path(folder) / "rtl"
        shutil.copytree(ROOT / "rtl", mutated)
        mutate.write(mutated, found)
        wanted = set()
        for name in BUILT:
            base = mutated if name == "rtl" else ROOT / name
            for path in (
                [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.is_file())
            ):
                if "__pycache__" in path.parts:
                    continue
                to = tree / name / path.relative_to(base)
                wanted.add(to)
                if not same(path, to):
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, to)
    for name in BUILT:
        for path in (tree / name).rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
    if not (tree / ".tools").exists():
        (tree / ".tools").symlink_to(ROOT / ".tools")

    # The models are large: a higher level would take longer to compile than it saves.
    target = WORK / "target"
    cargo = ["nice", os.environ.get("CARGO", "cargo")]
    options = ["--release", "--locked", "--quiet"]
    settings = os.environ | {
        "CARGO_TARGET_DIR": str(target),
        "NESTWALK_MODEL_OPT_LEVEL": "1",
    }
    print("automutants: building, with all mutants in one", file=sys.stderr, flush=True)
    if subprocess.run([*cargo, "build", *options], cwd=tree, env=settings).returncode != 0:
        fail("the mutated RTL does not build")
    which = [word for name in COUNTING for word in ("--test", name)]
    told = subprocess.run(
        [*cargo, "test", *options, "--no-run", "--message-format=json", *which],
        cwd=tree,
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
    )
    if told.returncode != 0:
        fail("the tests do not build")
    artifacts = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    programs = {
        a["target"]["name"]: Path(a["executable"]) for a in artifacts if a.get("executable")
    }
    return (
        target / "release" / "nestwalk",
        {name: programs[name] for name in COUNTING},
        mutate.listed(found),
    )


# --- A mutant -------------------------------------------------------------------------------------


class Bench:
    """Runs campaigns of the program that has all mutants."""

    def __init__(self, program: Path, tests: dict[str, Path], count: int, seed: int) -> None:
        self.program = program
        self.tests = tests
        self.count = count
        self.seed = seed
        self.limits: dict[str, float] = {}

    def fuzz(self, mutant: int, profile: str) -> dict:
        """Runs a campaign. `check` of the result names the check that found the mutant, if any."""
        limit = self.limits.get(profile)
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            command = [
                "nice",
                str(self.program),
                "fuzz",
                "--profile",
                profile,
                "--seed",
                str(self.seed),
            ]
            command += [
                "--count",
                str(self.count),
                "--jobs",
                "1",
                "--no-shrink",
                "--json",
                "-o",
                folder,
            ]
            begun = time.monotonic()
            try:
                ran = subprocess.run(
                    command,
                    env=os.environ | {"NESTWALK_MUTANT": str(mutant)},
                    capture_output=True,
                    text=True,
                    timeout=limit,
                )
            except subprocess.TimeoutExpired:
                return {"seconds": time.monotonic() - begun, "accesses": 0, "check": "time limit"}
        result = {"seconds": time.monotonic() - begun, "accesses": 0, "check": None}
        if ran.returncode in (0, 1, 3):
            report = json.loads(ran.stdout)
            result["accesses"] = report["stats"]["accesses"]
            if ran.returncode != 0:
                first = report["failure"]["first"]
                result["check"] = first.get("check") or first["kind"]
                if first["kind"] == "assertion":
                    name = re.search(r"(\w+_A)\b", first["error"])
                    result["check"] = (
                        f"RTL assertion {name[1]}" if name else "RTL: " + first["error"]
                    )
        elif "converge" in ran.stderr:
            result["check"] = "RTL does not settle"
        else:
            result["error"] = (
                f"fuzz --profile {profile} ended with exit code {ran.returncode}: "
                f"{ran.stderr.strip()}"
            )
        return result

    def count_cycles(self, mutant: int, name: str) -> dict:
        """Runs a test that counts cycles. `check` of the result names the first failure, if any."""
        begun = time.monotonic()
        try:
            ran = subprocess.run(
                ["nice", str(self.tests[name]), "--test-threads", "1"],
                cwd=WORK / "tree",
                env=os.environ | {"NESTWALK_MUTANT": str(mutant)},
                capture_output=True,
                text=True,
                timeout=self.limits.get(name),
            )
        except subprocess.TimeoutExpired:
            return {"seconds": time.monotonic() - begun, "accesses": 0, "check": "time limit"}
        failed = re.search(r"^test (\S+) \.\.\. FAILED", ran.stdout, re.M)
        check = None
        if ran.returncode != 0:
            check = (
                f"tests/{name}.rs: {failed[1]}"
                if failed
                else f"tests/{name}.rs ends with {ran.returncode}"
            )
        return {"seconds": time.monotonic() - begun, "accesses": 0, "check": check}

    def measure(self, profiles: list[str]) -> None:
        """Runs everything without a mutant, where all must agree, and sets the time limits."""
        for profile in profiles:
            # The first campaign builds the devices, which takes long.
            self.fuzz(0, profile)
            result = self.fuzz(0, profile)
            if result["check"] is not None or "error" in result:
                fail(
                    f"without a mutant, {profile} already fails: "
                    f"{result['check'] or result['error']}"
                )
            self.limits[profile] = max(60.0, 20 * result["seconds"])
            print(f"no mutant: {profile}: agrees, {result['seconds']:.1f} s", flush=True)
        for name in self.tests:
            self.count_cycles(0, name)
            result = self.count_cycles(0, name)
            if result["check"] is not None:
                fail(f"without a mutant, a test already fails: {result['check']}")
            self.limits[name] = max(60.0, 20 * result["seconds"])
            print(f"no mutant: tests/{name}.rs: passes, {result['seconds']:.1f} s", flush=True)

    def try_mutant(self, mutant: dict) -> dict:
        seconds, accesses = 0.0, 0
        for profile in PROFILES.get(mutant["file"], EVERYWHERE):
            result = self.fuzz(mutant["number"], profile)
            seconds += result["seconds"]
            accesses += result["accesses"]
            if result["check"] is not None or "error" in result:
                break
        else:
            profile = "tests"
            for name in self.tests:
                result = self.count_cycles(mutant["number"], name)
                seconds += result["seconds"]
                if result["check"] is not None:
                    break
        found = result["check"]
        return mutant | {
            "killed": found is not None,
            "check": found,
            "error": result.get("error"),
            "profile": profile if found is not None else None,
            "accesses": accesses,
            "seconds": round(seconds, 2),
        }


# --- Samples and reasons -------------------------------------------------------------------------


def sample(mutants: list[dict], size: int) -> list[dict]:
    """Returns a sample in proportion to files and operators. It is the same in each run."""

    def order(mutant: dict) -> str:
        return hashlib.sha256(repr([mutant[key] for key in IDENTITY]).encode()).hexdigest()

    strata = defaultdict(list)
    for mutant in mutants:
        strata[mutant["file"], mutant["operator"]].append(mutant)
    ranked = []
    for members in strata.values():
        members.sort(key=order)
        ranked += [((i + 0.5) / len(members), order(m), m) for i, m in enumerate(members)]
    ranked.sort(key=lambda entry: entry[:2])
    return sorted((m for _, _, m in ranked[:size]), key=lambda m: m["number"])


def name_of(mutant: dict) -> tuple:
    return tuple(mutant[key] for key in IDENTITY)


def explanations() -> dict[tuple, str]:
    """Returns the reason of each mutant that is known to survive."""
    if not SURVIVORS.is_file():
        return {}
    reasons = {}
    for entry in tomllib.loads(SURVIVORS.read_text())["survivors"]:
        for mutant in entry["mutants"]:
            reasons[name_of({"ordinal": 1} | mutant)] = entry["reason"].strip()
    return reasons


# --- Output ------------------------------------------------------------------------------


def line(result: dict) -> str:
    place = f"{result['file']}:{result['line']}"
    head = f"{result['number']:>4}  {place:<25} {result['operator']:<11}"
    if result["killed"]:
        how = f"{result['profile']:<16} {result['accesses']:>7} {result['seconds']:>6.1f} s"
        how += f"  {result['check']}"
    else:
        how = f"{'SURVIVED':<16} {result['accesses']:>7} {result['seconds']:>6.1f} s"
    return f"{head} {how}"


def table(title: str, results: list[dict], key: str) -> str:
    rows = [f"{title:<28} {'mutants':>7} {'killed':>7} {'survived':>8}"]
    for name in sorted({result[key] for result in results}):
        of = [result for result in results if result[key] == name]
        killed = sum(result["killed"] for result in of)
        rows.append(f"{name:<28} {len(of):>7} {killed:>7} {len(of) - killed:>8}")
    return "\n".join(rows)


def summary(results: list[dict], total: int) -> str:
    killed = [result for result in results if result["killed"]]
    needed = [result["accesses"] for result in killed if result["profile"] != "tests"]
    parts = [table("file", results, "file"), table("operator", results, "operator")]
    checks = Counter(result["check"] for result in killed)
    parts.append(
        "\n".join(["found by", *(f"  {n:>5}  {check}" for check, n in checks.most_common())])
    )
    share = 100 * len(killed) / len(results)
    of_all = "all" if len(results) == total else f"{len(results)} of {total}"
    text = f"{of_all} mutants: {len(killed)} killed ({share:.1f} %), "
    text += f"{len(results) - len(killed)} survived"
    if needed:
        text += f"\n{len(needed)} by campaigns; accesses to find one: "
        text += f"median {statistics.median(needed):.0f}, most {max(needed)}"
    return "\n\n".join([*parts, text])


def judge(results: list[dict], mutants: list[dict]) -> list[str]:
    """Returns complaints: errors, survivors without a reason, reasons without a survivor."""
    reasons = explanations()
    complaints = []
    for result in results:
        result["reason"] = reasons.get(name_of(result))
        if result["error"] is not None:
            complaints.append(f"mutant {result['number']}: {result['error']}")
            continue
        if not result["killed"] and result["reason"] is None:
            complaints.append(
                f"survivor without a reason: mutant {result['number']}, "
                f"{result['file']}:{result['line']} in {result['where']}, {result['operator']}\n"
                f"    {result['within']}\n    {result['before']}\n    {result['after']}"
            )
        if result["killed"] and result["reason"] is not None:
            complaints.append(
                f"explained, but killed: mutant {result['number']} ({result['check']})"
            )
    there = {name_of(mutant) for mutant in mutants}
    for name in reasons:
        if name not in there:
            complaints.append(
                "explained, but there is no such mutant: " + ", ".join(map(str, name))
            )
    return complaints


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Plant generated mutants of the RTL, and check that each is found."
    )
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample")
    parser.add_argument(
        "--sample", type=int, default=400, metavar="N", help="number of mutants [default: 400]"
    )
    parser.add_argument(
        "--only", type=int, nargs="+", metavar="M", help="only the mutants of these numbers"
    )
    parser.add_argument(
        "--count",
        type=int,
        default=200_000,
        metavar="N",
        help="accesses per profile [default: 200000]",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="seed of the campaigns [default: 1]"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="J", help="mutants in parallel [default: 1]"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=WORK / "results.json",
        metavar="FILE",
        help="the results as JSON",
    )
    arguments = parser.parse_args()
    if min(arguments.sample, arguments.count, arguments.jobs) < 1:
        parser.error("--sample, --count and --jobs are at least 1")
    if not arguments.output.absolute().parent.is_dir() and arguments.output.parent != WORK:
        parser.error(f"-o {arguments.output}: the folder does not exist")

    WORK.mkdir(parents=True, exist_ok=True)
    # Devices that are built on first use are of the mutated RTL.
    os.environ["NESTWALK_CACHE"] = str(WORK / "devices")
    program, tests, mutants = build()
    if arguments.only:
        chosen = [mutant for mutant in mutants if mutant["number"] in arguments.only]
        if len(chosen) != len(set(arguments.only)):
            parser.error(f"--only: there are mutants 1 to {len(mutants)}")
    else:
        chosen = mutants if arguments.all else sample(mutants, arguments.sample)

    bench = Bench(program, tests, arguments.count, arguments.seed)
    bench.measure(
        sorted({profile for m in chosen for profile in PROFILES.get(m["file"], EVERYWHERE)})
    )
    results = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(bench.try_mutant, chosen):
            results.append(result)
            print(line(result), flush=True)

    complaints = judge(results, mutants)
    draft = arguments.output.with_name(arguments.output.name + ".new")
    draft.write_text(
        json.dumps({"count": arguments.count, "seed": arguments.seed, "mutants": results}, indent=1)
        + "\n"
    )
    draft.replace(arguments.output)
    print("\n" + summary(results, len(mutants)))
    print(f"results: {os.path.relpath(arguments.output)}")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
