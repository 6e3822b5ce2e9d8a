#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Area and depth of the MMU by configuration, as Markdown and JSON: LUT6, flip-flops, LUT levels.

Yosys reads the RTL with its slang front end and maps it by `synth -flatten -lut 6`. This mapping
is for no particular device: it has no carry chain, no wide multiplexer, and no memory except the
module ram_1r1w, counted in bits. LUT6 counts the $lut cells with any number of inputs. Flip-flops
counts the *DFF* cells, one bit each. Levels counts the LUTs on the longest path from an input, a
flip-flop or a memory to an output, a flip-flop or a memory (`ltp -noff`).

Each configuration is a process of its own. Its result is kept in target/synth under a hash of the
RTL, the commands and the pins of Yosys, so nothing is measured twice. The results are also written
to target/synth.json. A measurement of every configuration of rtl/ also writes docs/measurements/;
tools/render_tables.py renders the tables of the page.
Exit codes: 0 everything measured, 1 the RTL cannot be synthesized, 2 bad usage or a missing tool.
"""

import argparse
import concurrent.futures
import contextlib
import csv
import dataclasses
import fnmatch
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import render_tables

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "synth"
FORMATS = {"handout": 0, "classic32": 1, "rv32": 2, "rv64": 3}
# Modules that are measured apart, as they are elaborated within the whole.
PARTS = {
    "mmu": "nested_mmu",
    "walker": "walk_engine$nested_mmu.u_walks",
    "tlb": "tlb$nested_mmu.u_tlb",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """A part of nested_mmu under one set of parameters."""

    part: str
    format: str
    slots: int = 1
    tlb: int = 16
    more: tuple = ()  # parameters besides, as (name, value)

    @property
    def name(self):
        """The name on the command line, without sizes on which the part does not depend."""
        sizes = {
            "mmu": f"-{self.slots}-{self.tlb}",
            "walker": f"-{self.slots}",
            "tlb": f"-{self.tlb}",
        }
        return f"{self.part}-{self.format}{sizes[self.part]}" + "".join(
            f"-{n}{v}" for n, v in self.more
        )

    @property
    def parameters(self):
        # slang does not accept a number for an enumeration.
        given = {
            "Format": f"nested_mmu_pkg::format_e'({FORMATS[self.format]})",
            "WalkSlots": self.slots,
            "TlbEntries": self.tlb,
            **dict(self.more),
        }
        return " ".join(f"-G {name}={value}" for name, value in given.items())


# Other MMUs, measured with the same flow: Sv39 over Sv39x4 only, one walk at a time, an ASID of 16
# bits and a VMID of 14. Each measure has the smaller and the larger of the two.
PEERS = {
    "walker": {"lut6": (660, 726), "flip_flops": (292, 368), "levels": (8, 9)},
    "tlb": {"lut6": (3938, 4100), "flip_flops": (3135, 3231), "levels": (8, 9)},
}

# Only Sv39 over Sv39x4; and the same without updates of A and D, as in the peers.
SV39 = (("MaxLevels", 3),)
PLAIN_SV39 = (*SV39, ("Svadu", 0))


def kinds(part):
    """Returns a part in each format, and with the features of the peers only."""
    return [
        *[Config(part, format) for format in FORMATS],
        Config(part, "rv64", more=SV39),
        Config(part, "rv64", more=PLAIN_SV39),
    ]


# Walk caches: each alone, and all of them.
GUEST, HOST, NESTED = ("GuestCacheEntries", 8), ("HostCacheEntries", 8), ("NestedTlbEntries", 8)
CACHES = [(GUEST,), (HOST,), (NESTED,), (GUEST, HOST, NESTED)]


# The L2 TLB.
SECOND = [
    (("Tlb2Sets", 64), ("Tlb2Ways", ways), ("Tlb2Superpages", pages))
    for ways, pages in ((2, 0), (4, 0), (4, 8))
]
# Modules that are not mapped.
MEMORIES = "ram_1r1w*"


def whole_with(more):
    return Config("mmu", "rv64", more=more)


# The tables: name of the data file, title, kind, rows. `peers`: the peers follow; `slots`, `tlb`:
# the increment per step is shown; `memory`: there is a memory.
TABLES = [
    ("synth-walker", "The walker alone, one slot", "peers", kinds("walker")),
    ("synth-tlb", "The TLB alone, 16 entries", "peers", kinds("tlb")),
    ("synth-whole", "The whole, one slot, TLB of 16 entries", "", kinds("mmu")),
    (
        "synth-slots",
        "The whole by slots, rv64, TLB of 16 entries",
        "slots",
        [Config("mmu", "rv64", slots=n) for n in (1, 2, 4, 8, 16)],
    ),
    (
        "synth-walk-caches",
        "The whole by walk caches, rv64, one slot, TLB of 16 entries",
        "",
        [Config("mmu", "rv64"), *map(whole_with, CACHES)],
    ),
    (
        "synth-l2-tlb",
        "The whole by L2 TLB, rv64, one slot, TLB of 16 entries",
        "memory",
        [Config("mmu", "rv64"), *map(whole_with, SECOND)],
    ),
    (
        "synth-tlb-entries",
        "The whole by TLB, rv64, one slot",
        "tlb",
        [Config("mmu", "rv64", tlb=n) for n in (8, 16, 32, 64)],
    ),
]

# The modules of this configuration are mapped one by one.
BREAKDOWN = Config("mmu", "rv64")


class Failure(Exception):
    """An error that prevents a measurement; `code` is the exit code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Process:
    """Runs tools, and ends the processes that it has started."""

    running = set()
    lock = threading.Lock()

    @classmethod
    def run(cls, what, command):
        with cls.lock:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            cls.running.add(process)
        said, _ = process.communicate()
        with cls.lock:
            cls.running.discard(process)
        if process.returncode:
            errors = [
                line for line in said.splitlines() if "error" in line.lower()
            ] or said.splitlines()[-1:]
            # A missing tool is not a finding about the RTL.
            raise Failure(
                f"{what}: {errors[0] if errors else f'{command[0]} failed without a word'}",
                2 if process.returncode == 2 else 1,
            )

    @classmethod
    def end(cls):
        with cls.lock:
            for process in cls.running:
                process.kill()


@contextlib.contextmanager
def guarded(program):
    """Turns failures and interrupts into exit codes, and ends all processes that were started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Failure as failure:
        print(f"{program}: error: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    finally:
        Process.end()
        progress()


def progress(text=""):
    """Prints a line of progress on a terminal, in place of the line before."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)


def ask_yosys(what, script, asked):
    """Returns the output of Yosys for each command of `asked`, after a script."""
    OUT.mkdir(parents=True, exist_ok=True)
    # Files are used because the output after ABC has run is lost on a pipe.
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        answers = [Path(folder) / str(n) for n in range(len(asked))]
        tees = [
            f"tee -o {file.relative_to(ROOT)} {command}" for file, command in zip(answers, asked)
        ]
        Process.run(what, ["tools/yosys.sh", "-q", "-p", "\n".join([script, *tees])])
        return [file.read_text() for file in answers]


def write_whole(path, text):
    """Creates a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        try:
            file.write(text)
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


class Rtl:
    """The RTL to measure."""

    def __init__(self, folder):
        here = Path(folder).resolve()
        if not here.is_relative_to(ROOT):
            raise Failure(
                f"--rtl {folder}: it must lie in the project's folder, Yosys sees no other", 2
            )
        if not (here / "nested_mmu.f").is_file():
            raise Failure(f"--rtl {folder}: nested_mmu.f is missing: it lists the RTL files", 2)
        self.folder = here.relative_to(ROOT)
        listed = [
            Path(line).name
            for line in (here / "nested_mmu.f").read_text().splitlines()
            if line.endswith(".sv")
        ]
        self.files = [self.folder / name for name in listed]
        if missing := [str(file) for file in self.files if not (ROOT / file).is_file()]:
            raise Failure(f"{self.folder}/nested_mmu.f lists {missing[0]}, which does not exist", 2)
        self.hash = hashlib.sha256()
        included = [self.folder / path.name for path in here.glob("*.svh")]
        for file in sorted([*self.files, *included]):
            self.hash.update(f"{file.name}\n".encode() + (ROOT / file).read_bytes())
        self.hash.update((ROOT / "tools/requirements-yosys.txt").read_bytes())

    def read(self, config, top="nested_mmu", more=()):
        """Returns the command that reads the RTL and further files."""
        # -j 1: WebAssembly has no threads.
        files = " ".join(str(file) for file in [*self.files, *more])
        return (
            f"read_slang -j 1 -W error --ignore-assertions --keep-hierarchy "
            f"--top {top} {config.parameters} "
            f"+incdir+{self.folder} {files}"
        )

    def remembered(self, name, made_by, make):
        """Returns the result of `make`, or a result that was kept.

        `made_by` is everything on which the result depends besides the RTL.
        """
        key = self.hash.copy()
        key.update(made_by.replace(str(self.folder), "rtl").encode())
        kept = OUT / f"{name}-{key.hexdigest()[:16]}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
        result = make()
        write_whole(kept, json.dumps(result, indent=2) + "\n")
        return result

    def ask(self, name, script, asked, read):
        """Returns the result of `read` on the output of Yosys for the commands of `asked`."""
        return self.remembered(
            name, "\n".join([script, *asked]), lambda: read(*ask_yosys(name, script, asked))
        )


def area(cells):
    """Returns the counts by kind in a statistic of Yosys."""
    return {
        "lut6": cells.get("$lut", 0),
        "flip_flops": sum(n for kind, n in cells.items() if re.fullmatch(r"\$_\w*DFF\w*_", kind)),
    }


def measure(rtl, config):
    """Returns LUT6, flip-flops and levels of a configuration, and the ends of its longest path."""

    def is_memory(module):
        return fnmatch.fnmatchcase(module.lstrip("\\"), MEMORIES)

    def read(before, _memories, _synth, stat, _ends, path):
        bits = sum(
            got["num_memory_bits"]
            for module, got in json.loads(before)["modules"].items()
            if is_memory(module)
        )
        (module,) = (
            got for module, got in json.loads(stat)["modules"].items() if not is_memory(module)
        )
        cells = module["num_cells_by_type"]
        unmapped = [
            kind
            for kind in cells
            if not re.fullmatch(r"\$lut|\$scopeinfo|\$_\w*DFF\w*_", kind) and not is_memory(kind)
        ]
        if unmapped:
            raise Failure(f"{config.name}: not mapped: {', '.join(sorted(unmapped))}", 1)
        ends = re.findall(r"^ +(?:\d+|ff): \\?(\S+)", path, re.M)
        return {
            **area(cells),
            "memory_bits": bits,
            "levels": int(re.search(r"\(length=(\d+)\)", path)[1]),
            "from": ends[0],
            "to": ends[-1],
        }

    return rtl.ask(
        config.name,
        f"""
        {rtl.read(config)}
        hierarchy -top {PARTS[config.part]}
    """,
        [
            "stat -json",
            f"blackbox {MEMORIES}",
            "synth -flatten -lut 6",
            "stat -json",
            f"expose -evert t:{MEMORIES}",
            "ltp -noff",
        ],
        read,
    )


def breakdown(rtl, config):
    """Returns the number of instances of each module, and their area together."""

    def read(stat):
        found = {}
        for name, module in json.loads(stat)["modules"].items():
            kind = name.lstrip("\\").split("$")[0]
            part = found.setdefault(kind, {"instances": 0, **area({})})
            part["instances"] += 1
            for what, count in area(module["num_cells_by_type"]).items():
                part[what] += count
        return found

    return rtl.ask(
        f"modules-{config.name}",
        f"""
        {rtl.read(config)}
        hierarchy -top {PARTS[config.part]}
        synth -lut 6
    """,
        ["stat -json"],
        read,
    )


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def heading(*cells):
    return row(*cells) + "\n" + row(*(["---"] + ["---:"] * (len(cells) - 1)))


def tables(results, modules):
    """The tables of docs/synthesis.md: name of the data file, title, rows with the titles first."""
    for name, title, kind, configs in TABLES:
        configs = [config for config in configs if config in results]
        if not configs:
            continue
        steps = kind in ("slots", "tlb")
        rows = [
            [
                "configuration",
                "LUT6",
                "flip-flops",
                "levels",
                *(["memory bits"] * (kind == "memory")),
                *(["LUT6 per step", "flip-flops per step"] * steps),
            ]
        ]
        before = None
        for config in configs:
            got = results[config]
            cells = [f"`{config.name}`", got["lut6"], got["flip_flops"], got["levels"]]
            if kind == "memory":
                cells.append(got["memory_bits"])
            if steps:
                more = getattr(config, kind) - getattr(before, kind) if before else 0
                cells += [
                    f"{(got[what] - results[before][what]) / more:.0f}" if before else ""
                    for what in ("lut6", "flip_flops")
                ]
            rows.append(cells)
            before = config
        if kind == "peers":
            peer = PEERS[configs[0].part]
            rows.append(
                ["two peers, Sv39 only", *(f"{low:,} and {high:,}" for low, high in peer.values())]
            )
        yield name, title, rows
    if modules:
        parts = sorted(modules.items(), key=lambda item: -item[1]["lut6"])
        rows = [
            ["module", "instances", "LUT6", "flip-flops"],
            *(
                [f"`{name}`", part["instances"], part["lut6"], part["flip_flops"]]
                for name, part in parts
            ),
        ]
        yield "synth-modules", f"The modules of `{BREAKDOWN.name}`, each mapped by itself", rows


def markdown(results, modules):
    """Renders the tables as Markdown."""
    texts = []
    for _, title, rows in tables(results, modules):
        cells = [[str(cell) for cell in row] for row in rows]
        texts.append(f"### {title}\n\n{render_tables.markdown(cells)}")
    return "\n".join(texts).rstrip("\n")


def write_measurements(results, modules):
    """Writes the data files from which tools/render_tables.py renders the tables of the page."""
    for name, title, rows in tables(results, modules):
        text = io.StringIO(f"# make synth: {title}\n", newline="")
        text.seek(0, io.SEEK_END)
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_whole(render_tables.DATA / f"{name}.csv", text.getvalue())


def options_of(what, known, *more):
    """Reads the command line: configurations and options. `more` are further options."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("config", nargs="*", help="configurations to measure (default: all)")
    parser.add_argument("--list", action="store_true", help="list the configurations")
    parser.add_argument(
        "--rtl", default="rtl", help="a copy of rtl/ to measure, inside the project's folder"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    for name, default, help_text in more:
        parser.add_argument(
            name, type=int, default=default, help=f"{help_text} (default {default})"
        )
    options = parser.parse_args()
    for name in options.config:
        if name not in known:
            parser.error(f"there is no configuration {name}; --list lists them")
    for name, _, _ in more:
        if getattr(options, name.strip("-")) < 1:
            parser.error(f"{name} is 1 or more")
    options.chosen = [
        config for name, config in known.items() if name in options.config or not options.config
    ]
    return options


def main():
    known = {config.name: config for *_, configs in TABLES for config in configs}
    options = options_of(__doc__.split("\n\n")[0], known, ("--jobs", 1, "processes side by side"))
    if options.list:
        print("\n".join(known))
        return 0

    with guarded("synth"), concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        rtl = Rtl(options.rtl)
        pending = {pool.submit(measure, rtl, config): config for config in options.chosen}
        whole = None if options.config else pool.submit(breakdown, rtl, BREAKDOWN)
        try:
            for done, future in enumerate(concurrent.futures.as_completed(pending)):
                future.result()
                progress(f"{done + 1} of {len(pending)} measured")
            modules = whole.result() if whole else {}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            Process.end()
            raise
        results = {config: future.result() for future, config in pending.items()}

    report = json.dumps(
        {
            "rtl": str(rtl.folder),
            "configurations": {
                config.name: {**dataclasses.asdict(config), **got}
                for config, got in results.items()
            },
            "modules": {BREAKDOWN.name: modules} if modules else {},
            "peers": PEERS,
        },
        indent=2,
    )
    if not options.config:
        write_whole(ROOT / "target" / "synth.json", report + "\n")
        if rtl.folder == Path("rtl"):
            write_measurements(results, modules)
    print(report if options.json else markdown(results, modules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
