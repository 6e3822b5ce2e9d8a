#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every source file of the repository names its licence in an SPDX line.

    tools/spdx.py            list the source files without the line; exit code 1 if there are any
    tools/spdx.py --write    add the line to them

Source files are those that Git tracks, by suffix or by name. Vectors, traces, patches, lists of
pinned packages and documentation are data. LICENSE applies to them too, and they need no line.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = "SPDX-License-Identifier: Apache-2.0"

# The comment of each kind of file.
SUFFIXES = {
    ".rs": "// {}",
    ".sv": "// {}",
    ".svh": "// {}",
    ".h": "// {}",
    ".cpp": "// {}",
    ".f": "// {}",
    ".css": "/* {} */",
    ".py": "# {}",
    ".sh": "# {}",
    ".ys": "# {}",
    ".core": "# {}",
    ".toml": "# {}",
    ".sbatch": "# {}",
}
NAMES = {name: "# {}" for name in ["Makefile", ".gitignore", ".ci/run"]}

# The line is among the first ones, where readers look for it.
FIRST_LINES = 3


def comment(path: str) -> str | None:
    """The comment of a source file; none: it is not one."""
    return NAMES.get(path) or SUFFIXES.get(Path(path).suffix)


def sources() -> list[str]:
    """The source files that Git tracks."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        path
        for path in listed.stdout.split("\0")
        if path and comment(path) and (ROOT / path).is_file()
    ]


def has_line(path: str) -> bool:
    """Returns whether the file has the line, in its comment."""
    lines = (ROOT / path).read_text().splitlines()
    return comment(path).format(LINE) in lines[:FIRST_LINES]


def add_line(path: str) -> None:
    """Adds the line: first, or after a line that must be first."""
    lines = (ROOT / path).read_text().splitlines(keepends=True)
    must_be_first = bool(lines) and (lines[0].startswith("#!") or lines[0].startswith("CAPI="))
    lines.insert(1 if must_be_first else 0, comment(path).format(LINE) + "\n")
    (ROOT / path).write_text("".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="add the line where it is missing")
    arguments = parser.parse_args()
    files = sources()
    if not files:
        print("spdx: error: Git tracks no source file here", file=sys.stderr)
        return 2
    missing = [path for path in files if not has_line(path)]
    if arguments.write:
        for path in missing:
            add_line(path)
        print(f"spdx: {len(missing)} of {len(files)} source files changed")
        return 0
    for path in missing:
        print(f"{path}: the line {LINE!r} is missing; tools/spdx.py --write adds it")
    print(f"spdx: {len(files) - len(missing)} of {len(files)} source files name their licence")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
