#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks RTL of other projects (docs/foreign.md), and prints a table of what is found.

For each device of examples/foreign:
- it is built;
- a campaign runs on it as it is;
- the smallest scenario of each known finding fails, by the check that findings.toml names;
- with every finding mended (mends/), each of these scenarios passes, and a campaign agrees with the
  golden model. So there is no finding that is not known, and no false alarm.

usage: tools/foreign.py run [--count N] [--seeds N] [FOLDER...]
       tools/foreign.py mend FOLDER INTO

FOLDER is a folder of examples/foreign; the default is each of them. `mend` copies it with the RTL
that it needs into a new folder, and plants its mends there. NESTWALK names the program.
Exit code 1: something is not as findings.toml says. Exit code 2: a wrong argument, or the RTL is not
installed.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import mutant

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = Path("examples/foreign")
INSTALLED = Path(".tools/foreign")


class ForeignError(Exception):
    """A wrong argument, or RTL that is not installed."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """A difference between a device and the specification, with its smallest scenario."""

    id: str
    devices: list[str]
    judgement: str
    check: str


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of examples/foreign: devices of one package, and what was found in them."""

    name: str
    package: str
    profiles: dict[str, str]
    findings: list[Finding]

    @property
    def path(self):
        return EXAMPLES / self.name

    def device(self, name):
        return self.path / f"{name}.toml"

    def scenario(self, device, finding):
        return self.path / "findings" / f"{device}-{finding.id}.toml"


def load(name):
    """Reads a folder of examples/foreign."""
    path = ROOT / EXAMPLES / name / "findings.toml"
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ForeignError(f"{path}: {error}") from error
    findings = [Finding(**finding) for finding in table.get("finding", [])]
    if not (ROOT / INSTALLED / table["package"]).is_dir():
        raise ForeignError(
            f"{table['package']} is not installed\n  Run this first: tools/setup.sh --with-foreign"
        )
    return Folder(name, table["package"], table["profiles"], findings)


def folders():
    """Returns the names of the folders of examples/foreign."""
    return sorted(path.parent.name for path in (ROOT / EXAMPLES).glob("*/findings.toml"))


def sources(file):
    """Yields the paths that a file of Verilator's arguments names, relative to the project."""
    for line in file.read_text().splitlines():
        path = line.removeprefix("-I").strip()
        if path.startswith("../"):
            yield Path(os.path.normpath(file.parent.relative_to(ROOT) / path))


def mend(folder, into):
    """Copies a folder, with the RTL that it needs, and plants its mends."""
    into.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / folder.path, into / folder.path)
    for list_file in (ROOT / folder.path).glob("*.f"):
        for source in sources(list_file):
            whole = ROOT / source
            for path in whole.iterdir() if whole.is_dir() else [whole]:
                if path.is_file():
                    target = into / path.relative_to(ROOT)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
    for path in sorted((ROOT / folder.path / "mends").glob("*.toml")):
        mutant.plant(mutant.load(path), into)


def nestwalk(*arguments):
    """Runs nestwalk from the project's folder. Returns its exit code and its output as JSON."""
    program = os.environ.get("NESTWALK", "target/release/nestwalk")
    words = [program, *map(str, arguments), "--json"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1, 3):
        raise ForeignError(f"{' '.join(words)}: exit code {ran.returncode}\n{ran.stderr}")
    return ran.returncode, json.loads(ran.stdout)


def clause_of(failure):
    """Returns the clause that a failure rests on, in words."""
    clause = failure.get("clause") or {}
    return ", ".join(filter(None, [clause.get("document"), clause.get("section")]))


def campaign(device, profile, seed, count, out):
    """Runs a campaign. Returns the number of requests and the failure, none if it agrees."""
    code, report = nestwalk(
        "fuzz", "--profile", profile, "--seed", seed, "--count", count, "--device", device,
        "-o", out,
    )  # fmt: skip
    failure = None if code == 0 else report["failure"]
    return report["stats"]["accesses"], failure


def run_folder(folder, count, seeds, scratch):
    """Checks the devices of a folder. Returns the rows of the table, and what is wrong."""
    rows, wrong = [], []
    mended = scratch / "mended" / folder.name
    mend(folder, mended)
    for name, profile in folder.profiles.items():
        device = folder.device(name)
        begun = time.monotonic()
        nestwalk("build", device)
        print(f"{name}: built in {time.monotonic() - begun:.0f} s", flush=True)

        for seed in range(1, seeds + 1):
            requests, failure = campaign(device, profile, seed, count, scratch / "out")
            if failure is None:
                print(f"  campaign of seed {seed}: {requests:,} requests, no mismatch")
                continue
            shrunk = failure["shrunk"] or failure["first"]
            print(
                f"  campaign of seed {seed}: after {requests:,} requests {shrunk['check']}, "
                f"shrunk to {failure['ops']} ops"
            )

        for finding in folder.findings:
            if name not in finding.devices:
                continue
            scenario = folder.scenario(name, finding)
            code, report = nestwalk("run", scenario, "--device", device)
            if code == 0:
                wrong.append(f"{scenario}: no mismatch on {device}")
                continue
            failure = report["failure"]
            if failure["check"] not in finding.check.split(" or "):
                wrong.append(f"{scenario}: {failure['check']}, expected {finding.check}")
            rows.append((name, finding.id, finding.judgement, failure["check"],
                         clause_of(failure), str(len(ops_of(scenario))), str(scenario)))  # fmt: skip
            code, _ = nestwalk("run", scenario, "--device", mended / device)
            if code != 0:
                wrong.append(f"{scenario}: fails on the mended {device}")
        requests, failure = campaign(mended / device, profile, 1, 10 * count, scratch / "out")
        if failure is None:
            print(f"  mended: {requests:,} requests, no mismatch")
        else:
            shrunk = failure["shrunk"] or failure["first"]
            wrong.append(
                f"{device}, mended: {shrunk['check']} after {requests:,} requests: "
                f"{failure['folder']}"
            )
    return rows, wrong


def ops_of(scenario):
    """Returns the ops of a scenario."""
    return tomllib.loads((ROOT / scenario).read_text()).get("op", [])


def print_table(rows):
    """Prints rows in columns."""
    titles = ("device", "finding", "judgement", "check", "clause", "ops", "scenario")
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    for row in (titles, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def run(names, count, seeds):
    """Checks the devices of folders, and prints the table."""
    begun = time.monotonic()
    rows, wrong = [], []
    scratch = Path(tempfile.mkdtemp(prefix="foreign."))
    for name in names:
        found = run_folder(load(name), count, seeds, scratch)
        rows += found[0]
        wrong += found[1]
    print()
    print_table(rows)
    print(f"\n{len(rows)} findings in {time.monotonic() - begun:.0f} s: docs/foreign.md")
    if wrong:
        print("\n".join(f"foreign: error: {line}" for line in wrong), file=sys.stderr)
        print(f"  The bundles are in {scratch}.", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(scratch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--count", type=int, default=20_000, metavar="N")
    runs.add_argument("--seeds", type=int, default=4, metavar="N")
    runs.add_argument("folders", nargs="*", metavar="FOLDER")
    mends = commands.add_parser("mend")
    mends.add_argument("folder", metavar="FOLDER")
    mends.add_argument("into", type=Path, metavar="INTO")
    arguments = parser.parse_args()
    try:
        if arguments.command == "mend":
            mend(load(arguments.folder), arguments.into)
        else:
            run(arguments.folders or folders(), arguments.count, arguments.seeds)
    except (ForeignError, mutant.MutantError) as error:
        print(f"foreign: error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
