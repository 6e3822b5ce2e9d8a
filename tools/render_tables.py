#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders the measurements of docs/measurements into the tables of the pages.

    tools/render_tables.py            write the tables
    tools/render_tables.py --check    list the pages whose tables are out of date; exit code 1

A page holds a table between `<!-- table: NAME -->` and `<!-- end -->`. The table is rendered from
docs/measurements/NAME.csv: comment lines that begin with `#` and state the command that measured,
a line of column titles, and one line for each row. A whole number gets separators of thousands. A
column of numbers is aligned to the right.
"""

import argparse
import csv
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "docs" / "measurements"
TABLE = re.compile(r"^<!-- table: ([\w-]+) -->\n(.*?)^<!-- end -->$", re.M | re.S)
WHOLE = re.compile(r"\d{4,}")
NUMBER = re.compile(r"[-+]?[\d.,]+( %)?(( and| to| /) [\d.,]+)*")


class Failure(Exception):
    """A file that cannot be rendered."""


def read(path: Path) -> list[list[str]]:
    """The rows of a CSV file without its comments; the first row has the titles."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    rows = list(csv.reader(lines))
    if len(rows) < 2:
        raise Failure(f"{path}: expected a line of titles and at least one row")
    for row in rows:
        if len(row) != len(rows[0]):
            raise Failure(f"{path}: expected {len(rows[0])} cells, found {len(row)}: {row}")
    return rows


def shown(cell: str) -> str:
    """A cell as Markdown."""
    if WHOLE.fullmatch(cell):
        return f"{int(cell):,}"
    return cell.replace("|", r"\|")


def markdown(rows: list[list[str]]) -> str:
    """The rows as a Markdown table."""
    titles, *body = [[shown(cell) for cell in row] for row in rows]
    columns = zip(*body)
    marks = ["---:" if all(NUMBER.fullmatch(cell) or not cell for cell in column) else "---"
             for column in columns]
    return "".join("| " + " | ".join(row) + " |\n" for row in [titles, marks, *body])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, list what differs")
    arguments = parser.parse_args()
    data = {path.stem: path for path in sorted(DATA.glob("*.csv"))}
    used = set()
    stale = []

    def table(match: re.Match) -> str:
        name = match[1]
        if name not in data:
            raise Failure(f"there is no docs/measurements/{name}.csv for the table {name}")
        if "<!--" in match[2]:
            raise Failure(f"there is no `<!-- end -->` after the table {name}")
        used.add(name)
        return f"<!-- table: {name} -->\n{markdown(read(data[name]))}<!-- end -->"

    try:
        for page in sorted(ROOT.glob("docs/**/*.md")):
            text = page.read_text()
            rendered = TABLE.sub(table, text)
            if rendered != text:
                stale.append(page.relative_to(ROOT))
                if not arguments.check:
                    page.write_text(rendered)
        unused = sorted(data.keys() - used)
        if unused:
            raise Failure(f"no page has a table for {', '.join(unused)}")
    except Failure as failure:
        print(f"render_tables: error: {failure}", file=sys.stderr)
        return 2
    for page in stale:
        outcome = "its tables differ from docs/measurements" if arguments.check else "written"
        print(f"{page}: {outcome}")
    print(f"render_tables: {len(used)} tables, {len(stale)} pages differed")
    return 1 if stale and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
