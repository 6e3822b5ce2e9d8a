#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves the properties of formal/*.sv and prints a table of them.

The columns are property, configuration, method, result and CPU time.

A job is a top module under one configuration. Its asserts are proved together. For combinational
ones one check of all inputs and states is a proof. For others k-induction, with a bounded check of
the first cycles as its base, is a proof for any number of cycles. Then every cover must be reached,
which shows that the assumptions do not make the proof empty.

The English text of a property is the numbered comment above its asserts. Everything made is under
target/formal. Exit codes: 0 all proved, 1 something is not, 2 bad usage, or a tool that is missing
or fails.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import mutant  # noqa: E402

FORMATS = {"HANDOUT": 0, "CLASSIC32": 1, "RV32": 2, "RV64": 3}
RTL = [
    f"rtl/{line}"
    for line in (ROOT / "rtl/nested_mmu.f").read_text().splitlines()
    if line.endswith(".sv")
]


@dataclasses.dataclass(frozen=True)
class Job:
    """A top module of formal/ under one configuration."""

    name: str
    top: str
    source: str
    format: str
    what: str  # the configuration, besides the format
    params: dict
    induction: int  # cycles that induction may look at; 0: combinational
    cover: int  # cycles within which every cover is reached
    set: str = "default"  # quick: in `make test`

    @property
    def netlist(self):
        """A script of Yosys over the netlist, instead of properties over the model."""
        return self.source.endswith(".ys")


def jobs():
    """All jobs, the quick ones first."""
    real = "real geometry"
    small = {"TlbEntries": 2, "WalkSlots": 2, "MissEntries": 3}
    size = "2 slots, 3 waiting, TLB 2"
    for f in FORMATS:
        name = f.lower()
        if f in ("HANDOUT", "CLASSIC32"):
            yield Job(f"step-{name}", "step_handout", "step_handout.sv", f, real, {}, 0, 1, "quick")
        else:
            kind = "quick" if f == "RV32" else "default"
            yield Job(f"step-{name}", "step_riscv", "step_riscv.sv", f, real, {}, 0, 1, kind)
    yield Job(
        "step-sv39", "step_riscv", "step_riscv.sv", "RV64", "Sv39 alone", {"MaxLevels": 3}, 0, 1
    )
    yield Job(
        "step-sv39-svade",
        "step_riscv",
        "step_riscv.sv",
        "RV64",
        "Sv39 alone, no Svadu",
        {"MaxLevels": 3, "Svadu": 0},
        0,
        1,
    )
    for f in FORMATS:
        yield Job(f"ports-{f.lower()}", "nested_mmu", "ports.ys", f, "4 slots, TLB 16", {}, 0, 0)
    for f in FORMATS:
        yield Job(
            f"tlb-{f.lower()}", "tlb_properties", "tlb.sv", f, "4 entries", {"TlbEntries": 4}, 2, 6
        )
    yield Job(
        "tlb-sv39",
        "tlb_properties",
        "tlb.sv",
        "RV64",
        "Sv39 alone, 4 entries",
        {"TlbEntries": 4, "MaxLevels": 3},
        2,
        6,
    )
    for f in ("CLASSIC32", "RV32", "RV64"):
        for way in (0, 1):
            yield Job(
                f"tlb2-{f.lower()}-{way}",
                "tlb2_properties",
                "tlb2.sv",
                f,
                f"4 sets of 2, way {way}",
                {"Way": way},
                2,
                8,
            )
    yield Job(
        "walk-caches-rv32",
        "walk_caches_properties",
        "walk_caches.sv",
        "RV32",
        "2 entries",
        {"Level": 0},
        2,
        6,
    )
    for level in (0, 2):
        yield Job(
            f"walk-caches-rv64-{level}",
            "walk_caches_properties",
            "walk_caches.sv",
            "RV64",
            f"2 entries, level {level}",
            {"Level": level},
            2,
            6,
        )
    for f in FORMATS:
        yield Job(f"answers-{f.lower()}", "answers", "answers.sv", f, size, small, 2, 12)
    for f in ("CLASSIC32", "RV32", "RV64"):
        name, caches = f.lower(), {} if f == "CLASSIC32" else {"WalkCacheEntries": 2}
        with_all = {**small, **caches, "Tlb2Sets": 2, "Tlb2Ways": 2}
        more = "two TLBs" if f == "CLASSIC32" else "two TLBs, walk caches"
        yield Job(f"fence-{name}", "fence", "fence.sv", f, f"{size}, {more}", with_all, 2, 14)
        yield Job(
            f"fence-{name}-bypass",
            "fence",
            "fence.sv",
            f,
            f"{size}, {more}, bypass",
            {**with_all, "ReadBypass": 1},
            2,
            14,
        )
    for f in FORMATS:
        yield Job(f"mmu-{f.lower()}", "mmu", "mmu.sv", f, size, small, 2, 14)
    for f in FORMATS:
        yield Job(
            f"progress-{f.lower()}",
            "mmu",
            "mmu.sv",
            f,
            f"{size}, fair",
            {**small, "Fair": 1},
            2,
            16,
        )


# Bugs of tests/mutants that the proofs must find, with the job that must find them.
MUTANTS = {
    "01-implicit-read-as-access": "step-handout",
    "09-guest-root-wraps": "step-handout",
    "15-host-walk-after-guest-fault": "step-handout",
    "29-live-host-root": "step-handout",
    "04-host-stage-ignores-u": "step-rv32",
    "05-implicit-read-honours-mxr": "step-rv32",
    "06-implicit-read-ignores-a": "step-rv32",
    "17-sum-at-the-host-stage": "step-rv32",
    "30-pointer-at-the-last-level-is-followed": "step-rv32",
    "35-lost-update-taken-for-made": "step-rv32",
    "36-host-root-index-cut": "step-rv32",
    "08-wide-pointer-raises-no-fault": "step-rv64",
    "12-canonical-rule-without-guest-stage": "step-rv64",
    "31-reserved-memory-type": "step-rv64",
    "18-no-vmid-in-tag": "tlb-handout",
    "23-duplicate-fill": "tlb-handout",
    "24-fence-gpa-shifted": "tlb-handout",
    "26-fence-forgets-all": "tlb-handout",
    "20-superpage-by-its-first-page": "tlb-rv32",
    "25-splinter-of-the-guest-survives": "tlb-rv32",
    "26-fence-by-asid-takes-global": "tlb-rv32",
    "43-second-level-hit-in-doubt": "tlb2-rv32-0",
    "43-second-level-fence-forgotten-for-the-next": "tlb2-rv32-0",
    "43-second-level-pieces-of-the-host": "tlb2-rv32-0",
    "43-second-level-permits-all": "tlb2-rv32-0",
    "43-second-level-forgets-all": "tlb2-rv32-0",
    "37-host-cache-ignores-fences-by-gpa": "walk-caches-rv32",
    "38-guest-cache-without-asid": "walk-caches-rv32",
    "40-global-pointer-forgotten": "walk-caches-rv32",
    "14-hit-ignores-host-rights": "answers-handout",
    "16-fault-gpa-is-page-base": "answers-handout",
    "13-bus-error-of-a-store-is-a-loads": "answers-rv32",
    "14-hit-ignores-dirty": "answers-rv32",
    "44-fence-waits-for-nothing": "fence-classic32",
    "44-held-request-walks-after-the-fence": "fence-classic32",
    "44-offered-read-outlives-the-fence": "fence-classic32",
    "44-read-in-flight-is-followed": "fence-classic32",
    "44-overtaken-walk-goes-on": "fence-rv32",
    "44-update-after-the-fence": "fence-rv32",
    "44-request-passes-a-waiting-fence": "mmu-handout",
    "27-fence-loses-to-fill": "mmu-handout",
    "28-overtaken-walk-fills": "mmu-handout",
    "28-overtaken-walk-is-shared": "mmu-handout",
    "32-fault-fills": "mmu-handout",
    "32-held-request-dropped": "mmu-handout",
    "34-equal-misses-walk-twice": "mmu-handout",
    "33-last-slot-starves": "progress-handout",
}


def english(source):
    """Returns number -> text, and label -> number, of a file's asserts and covers."""
    texts, numbers = {}, {}
    number, in_comment = None, False
    for line in (ROOT / "formal" / source).read_text().splitlines():
        comment = re.match(r"\s*(?://|#) (?:(\d+\.\d+) )?(.*)", line)
        if comment and comment[1]:
            number, in_comment = comment[1], True
            texts[number] = comment[2]
        elif comment and in_comment:
            texts[number] += " " + comment[2]
        else:
            in_comment = False
        for label, kind in re.findall(r"(\w+_[AC])\s*:\s*(assert|cover)", line):
            numbers[label] = number if kind == "assert" else "cover"
    return texts, numbers


class Failure(Exception):
    """The failure of a tool. It is not a result about the RTL."""


def kill(group):
    """Ends a tool and all its processes. It is not an error if the tool has just ended."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Proof:
    """Runs one job."""

    running = set()
    lock = threading.Lock()

    def __init__(self, job, rtl, out, limit):
        self.present, self.covers, self.cpu = set(), 0, 0.0
        self.job, self.rtl, self.limit = job, rtl, limit
        self.out = out / job.name
        self.texts, self.numbers = english(job.source)

    def call(self, what, command):
        """Runs a tool: its output (kept as WHAT.log) and exit code; no code after the limit."""
        log = self.out / f"{what}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        late = threading.Event()

        def give_up():
            late.set()
            kill(process.pid)

        stop = threading.Timer(self.limit, give_up)
        with self.lock:
            self.running.add(process.pid)
        stop.start()
        _, status, used = os.wait4(process.pid, 0)
        stop.cancel()
        with self.lock:
            self.running.discard(process.pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += used.ru_utime + used.ru_stime
        return log.read_text(errors="replace").replace("\b", ""), (
            None if late.is_set() else process.returncode
        )

    def build(self):
        """Makes the model of RTL and properties; for a netlist returns the script's result."""
        job, here = self.job, self.out.relative_to(ROOT)
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        params = {"Format": f"nested_mmu_pkg::format_e'({FORMATS[job.format]})", **job.params}
        files = [str(Path(self.rtl) / Path(f).name) for f in RTL]
        if not job.netlist:
            files += ["formal/walk_facts.sv", f"formal/{job.source}"]
        flags = " ".join(f"-G {name}={value}" for name, value in params.items())
        includes = f"+incdir+{self.rtl} +incdir+formal"
        # -j 1: WebAssembly has no threads.
        read = f"""
            read_slang -j 1 -W error --top {job.top} {flags} {includes} {" ".join(files)}
            prep -top {job.top} -flatten
            memory_map; opt_clean
        """
        too_slow = Failure(
            f"{job.name}: Yosys has not read it within {self.limit} s; --limit gives it more"
        )
        if job.netlist:
            text, code = self.call(
                "yosys", ["tools/yosys.sh", "-q", "-p", f"{read}; script formal/{job.source}"]
            )
            if code is None:
                raise too_slow
            if code != 0 and "Assertion failed: selection" not in text:
                raise Failure(
                    f"{job.name}: Yosys failed: {(text.strip().splitlines() or [code])[0]}"
                )
            self.present = set(self.texts)
            return code == 0
        text, code = self.call(
            "yosys",
            [
                "tools/yosys.sh",
                "-q",
                "-p",
                f"""
            {read}
            async2sync; chformal -lower; dffunmap; setundef -undriven -anyseq; opt_clean
            write_smt2 -wires {here}/model.smt2
        """,
            ],
        )
        if code is None:
            raise too_slow
        if code != 0 or not (self.out / "model.smt2").exists():
            errors = [
                line for line in text.splitlines() if "error" in line.lower()
            ] or text.splitlines()[-1:]
            raise Failure(f"{job.name}: Yosys could not read it: {errors[0] if errors else code}")
        # The labels that the model itself lists: a configuration may leave properties out.
        model = (self.out / "model.smt2").read_text()
        labels = re.findall(r"^; yosys-smt2-(?:assert|cover) \d+ (?:\S*[.\]])?(\w+)", model, re.M)
        if unknown := [label for label in labels if label not in self.numbers]:
            raise Failure(f"{job.name}: {unknown[0]} has no number in formal/{job.source}")
        self.present = {self.numbers[label] for label in labels}
        self.covers = sum(self.numbers[label] == "cover" for label in labels)
        return True

    def check(self, what, *flags):
        """Runs smtbmc: passed, the labels that failed (or covers not reached), and given up."""
        here = self.out.relative_to(ROOT)
        text, code = self.call(
            what,
            ["tools/smtbmc.sh", *flags, "--dump-vcd", f"{here}/{what}.vcd", f"{here}/model.smt2"],
        )
        if code is None:
            return False, [], True
        if code != 0 and "Status: FAILED" not in text:
            raise Failure(
                f"{self.job.name}: smtbmc failed: "
                f"{(text.strip().splitlines() or ['no output'])[-1]}"
            )
        failed = re.findall(
            r"(?:Assert failed in|Unreached cover statement at) [^:]*: (?:\S*[.\]])?(\w+)", text
        )
        return code == 0, failed, False

    def run(self):
        """Runs the job: rows of the table (number, text, method, result), CPU time, trace."""
        job = self.job
        passed, rows = self.build(), []
        if job.netlist:
            for number, text in self.texts.items():
                rows.append((number, text, "netlist", "proved" if passed else "FAILS"))
            return rows, self.cpu, None
        method = "all inputs and states" if job.induction == 0 else f"{job.induction}-induction"
        passed, failed, late = self.check("base", "-t", str(max(1, job.induction + 1)))
        word, trace = "FAILS", "base.vcd"
        if passed and job.induction:
            passed, failed, late = self.check("induction", "-i", "-t", str(job.induction))
            word, trace = "NOT PROVED", "induction.vcd"
            # Induction starts in any state, so its counterexample may not be reachable: a longer
            # run from reset looks for one that is.
            if not passed and not late:
                deep, from_reset, gave_up = self.check("base", "-t", str(job.cover))
                if not deep and not gave_up:
                    failed, word, trace = from_reset, "FAILS", "base.vcd"
        bad = {self.numbers[label] for label in failed}
        for number in sorted(
            self.present - {"cover"}, key=lambda n: [int(part) for part in n.split(".")]
        ):
            result = (
                "proved" if passed else word if number in bad else "gave up" if late else "open"
            )
            rows.append((number, self.texts[number], method, result))
        if passed:
            reached, missing, late = self.check("cover", "-c", "-t", str(job.cover))
            trace = None
            rows.append(
                (
                    "cover",
                    (
                        f"each of {self.covers} situations occurs"
                        if reached
                        else "not reached: " + ", ".join(missing)
                    ),
                    f"within {job.cover} cycles",
                    "reached" if reached else "gave up" if late else "NOT REACHED",
                )
            )
        elif late:
            trace = None
        return rows, self.cpu, trace and str((self.out / trace).relative_to(ROOT))


def short(text, width):
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def prove(chosen, rtl, out, workers, limit, show):
    """Runs jobs in parallel, and yields (job, rows, seconds, trace) in the order of the jobs."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(Proof(job, rtl, out, limit).run) for job in chosen]
        try:
            for job, future in zip(chosen, futures):
                if show:
                    print(f"\r{job.name} …\033[K", end="", file=sys.stderr, flush=True)
                yield job, *future.result()
        finally:
            for future in futures:
                future.cancel()
            with Proof.lock:
                for pid in Proof.running:
                    kill(pid)
            if show:
                print("\r\033[K", end="", file=sys.stderr, flush=True)


def table(results, as_json):
    """Prints the table as results come. Returns whether everything is proved."""
    good, total, listed = True, 0.0, []
    if not as_json:
        print(f"{'':6} {'property':76} {'configuration':34} {'method':22} {'result':12} CPU")
    for job, rows, seconds, trace in results:
        config = f"{job.format}, {job.what}"
        total += seconds
        for i, (number, text, method, result) in enumerate(rows):
            good &= result in ("proved", "reached")
            listed.append(
                {
                    "job": job.name,
                    "number": number,
                    "property": text,
                    "configuration": config,
                    "method": method,
                    "result": result,
                    "cpu_seconds_of_job": round(seconds, 1),
                }
            )
            if not as_json:
                when = f"{seconds:6.1f} s" if i == 0 else ""
                print(
                    f"{number:6} {short(text, 76):76} {short(config, 34):34} "
                    f"{method:22} {result:12} {when}".rstrip(),
                    flush=True,
                )
        if trace and not as_json:
            print(f"       counterexample of {job.name}: gtkwave {trace}")
    if as_json:
        print(json.dumps({"all_proved": good, "properties": listed}, indent=2))
    else:
        proved = sum(row["result"] == "proved" for row in listed)
        asked = sum(row["number"] != "cover" for row in listed)
        print(f"{proved} of {asked} proved, {total:.0f} s of CPU")
    return good


def plant(name, out):
    """Makes a copy of rtl/ with a planted bug."""
    tree = out / "mutants" / name
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "rtl", tree / "rtl")
    try:
        mutant.plant(mutant.load(mutant.path_of(name)), tree)
    except mutant.MutantError as error:
        raise Failure(str(error)) from error
    return str((tree / "rtl").relative_to(ROOT))


def mutants(chosen, out, workers, limit):
    """Plants each bug of these jobs; returns whether a property fails for each of them."""
    known = {job.name: job for job in chosen}
    good = True
    print(f"{'mutant':44} {'job':20} {'CPU':>8}  fails")
    for name, job in MUTANTS.items():
        if job not in known:
            continue
        rtl = plant(name, out)
        for _, rows, seconds, _ in prove(
            [known[job]], rtl, out / "mutants" / name, workers, limit, False
        ):
            fails = [n for n, _, _, result in rows if result in ("FAILS", "NOT PROVED")]
            good &= bool(fails)
            print(
                f"{name:44} {job:20} {seconds:6.1f} s  {', '.join(fails) or 'NOTHING: NOT FOUND'}",
                flush=True,
            )
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("job", nargs="*", help="jobs to run (default: all)")
    parser.add_argument("--list", action="store_true", help="list the jobs")
    parser.add_argument("--quick", action="store_true", help="only the jobs of `make test`")
    parser.add_argument(
        "--mutants", action="store_true", help="plant bugs, and check that the proofs find them"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="jobs in parallel (default: CPUs)"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=1800,
        help="seconds after which a run is given up (default 1800)",
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    options = parser.parse_args()

    # As for an interrupt, all processes that were started are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    known = {job.name: job for job in jobs()}
    if options.list:
        for job in known.values():
            print(f"{job.name:20} {job.set:8} {job.format}, {job.what}")
        return 0
    for name in options.job:
        if name not in known:
            parser.error(f"there is no job {name}; --list lists them")
    if options.jobs < 1 or options.limit < 1:
        parser.error("--jobs and --limit are 1 or more")
    chosen = [known[n] for n in options.job] or [
        job for job in known.values() if job.set == "quick" or not options.quick
    ]
    out = ROOT / "target" / "formal"
    try:
        if options.mutants:
            return 0 if mutants(chosen, out, options.jobs, options.limit) else 1
        show = sys.stderr.isatty() and not options.json
        return (
            0
            if table(prove(chosen, "rtl", out, options.jobs, options.limit, show), options.json)
            else 1
        )
    except KeyboardInterrupt:
        return 130
    except Failure as failure:
        print(f"formal: error: {failure}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
