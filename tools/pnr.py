#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Places and routes configurations of nested_mmu on an ECP5, and prints area and clock as Markdown.

Yosys (`synth_ecp5`) and nextpnr; LFE5U-85F, speed grade 6, the slowest. The MMU is instantiated in
tools/synth/pnr_top.sv, which gives every path of its ports a register at both ends. The clock is
nextpnr's estimate after routing.

Results are kept as those of tools/synth.py are, and also written to target/pnr.json.
Exit codes: 0 everything done, 1 the RTL cannot be synthesized or does not fit, 2 bad usage or a
missing tool.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import synth
from synth import ROOT, Config, Process

WRAPPER = Path("tools/synth/pnr_top.sv")
DEVICE = ["--85k", "--package", "CABGA756", "--speed", "6"]
# The requested clock in MHz. The router stops improving when it has reached it.
ASKED = 100

CONFIGS = [Config("mmu", format) for format in ("handout", "classic32", "rv32", "rv64")]


def place(rtl, config, seed):
    """Returns LUT4, flip-flops and clock in MHz of one run."""
    name = f"pnr-{config.name}-{seed}"
    script = f"""
        {rtl.read(config, "pnr_top", [WRAPPER])}
        synth_ecp5 -top pnr_top
    """
    options = [
        *DEVICE,
        "--freq",
        str(ASKED),
        "--timing-allow-fail",
        "--lpf-allow-unconstrained",
        "--seed",
        str(seed),
    ]
    pins = (ROOT / "tools/requirements-nextpnr.txt").read_text()

    def make():
        synth.OUT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=synth.OUT) as folder:
            here = Path(folder).relative_to(ROOT)
            Process.run(
                name, ["tools/yosys.sh", "-q", "-p", f"{script}; write_json {here}/netlist.json"]
            )
            Process.run(
                name,
                [
                    "tools/nextpnr.sh",
                    "-q",
                    *options,
                    "--json",
                    f"{here}/netlist.json",
                    "--report",
                    f"{here}/report.json",
                ],
            )
            report = json.loads((Path(folder) / "report.json").read_text())
        (clock,) = report["fmax"].values()
        used = {kind: count["used"] for kind, count in report["utilization"].items()}
        longest = max(
            report["critical_paths"],
            key=lambda path: (
                sum(hop["delay"] for hop in path["path"]) if path["from"] == path["to"] else 0
            ),
        )["path"]
        return {
            "lut4": used["TRELLIS_COMB"],
            "flip_flops": used["TRELLIS_FF"],
            "mhz": clock["achieved"],
            "cells": sum(hop["type"] == "logic" for hop in longest),
            "logic_ns": sum(hop["delay"] for hop in longest if hop["type"] != "routing"),
            "routing_ns": sum(hop["delay"] for hop in longest if hop["type"] == "routing"),
        }

    return rtl.remembered(
        name, "\n".join([script, (ROOT / WRAPPER).read_text(), *options, pins]), make
    )


def main():
    known = {config.name: config for config in CONFIGS}
    options = synth.options_of(
        __doc__.split("\n\n")[0], known, ("--seeds", 1, "placements of each")
    )
    if options.list:
        print("\n".join(known))
        return 0

    with synth.guarded("pnr"):
        rtl = synth.Rtl(options.rtl)
        runs = {}
        for config in options.chosen:
            for seed in range(1, options.seeds + 1):
                synth.progress(f"{config.name}, seed {seed} …")
                runs.setdefault(config.name, []).append(place(rtl, config, seed))

    report = json.dumps(runs, indent=2)
    if not options.config:
        synth.write_whole(ROOT / "target" / "pnr.json", report + "\n")
    if options.json:
        print(report)
        return 0
    print(
        synth.heading(
            "",
            "LUT4",
            "flip-flops",
            "MHz",
            "from",
            "to",
            "cells on the longest path",
            "logic, ns",
            "routing, ns",
        )
    )
    for name, seeds in runs.items():
        clocks = [run["mhz"] for run in seeds]
        # The run with the median clock, or the slower one of the middle two.
        middle = min(seeds, key=lambda run: abs(run["mhz"] - statistics.median_low(clocks)))
        print(
            synth.row(
                f"`{name}`",
                f"{middle['lut4']:,}",
                f"{middle['flip_flops']:,}",
                f"{middle['mhz']:.1f}",
                f"{min(clocks):.1f}",
                f"{max(clocks):.1f}",
                middle["cells"],
                f"{middle['logic_ns']:.1f}",
                f"{middle['routing_ns']:.1f}",
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
