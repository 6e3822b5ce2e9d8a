#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the Markdown pages: lines of at most 100 columns, and links that lead somewhere.

    tools/check_docs.py            check every page that Git tracks, or would track
    tools/check_docs.py PAGE...    check these pages

A line may be longer in a block of code, in a table, and if it is one word that cannot be broken.
A link within the repository must name a file that exists, and an anchor must be a heading of its
page.
Exit codes: 0 nothing found, 1 something found, 2 bad usage.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100

FENCE = re.compile(r"\s*```")
HEADING = re.compile(r"#{1,6} +(.+?) *#*$")
CODE = re.compile(r"`[^`]*`")
# The target of [text](target) and of ![text](target).
LINK = re.compile(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)")
MARKER = re.compile(r"\s*(?:[-*+] +|\d+\. +)?")


def prose(text: str) -> list[tuple[int, str]]:
    """The lines outside blocks of code, with their numbers."""
    lines = []
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            code = not code
        elif not code:
            lines.append((number, line))
    return lines


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for _, line in prose(text):
        if heading := HEADING.fullmatch(line):
            words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            unique, number = name, 0
            while unique in found:
                number += 1
                unique = f"{name}-{number}"
            found.add(unique)
    return found


def too_long(text: str) -> list[tuple[int, str]]:
    """The lines that are too long and could be wrapped."""
    problems = []
    for number, line in prose(text):
        words = MARKER.sub("", line, count=1)
        if len(line) > WIDTH and not line.lstrip().startswith("|") and " " in words.strip():
            problems.append((number, f"{len(line)} columns, more than {WIDTH}"))
    return problems


def broken_links(page: Path, text: str) -> list[tuple[int, str]]:
    """The links to files or headings that do not exist."""
    problems = []
    for number, line in prose(text):
        for target in LINK.findall(CODE.sub("", line)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            if not file.exists():
                problems.append((number, f"the link {target} names no file"))
            elif anchor and file.suffix != ".md":
                problems.append((number, f"the link {target} has an anchor, but is no page"))
            elif anchor and anchor not in anchors(file.read_text()):
                problems.append((number, f"the link {target} names no heading of {file.name}"))
    return problems


def pages() -> list[Path]:
    """Every Markdown file of the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def main(arguments: list[str]) -> int:
    chosen = [Path(name).resolve() for name in arguments] or pages()
    missing = [page for page in chosen if not page.is_file()]
    if missing or not chosen:
        print(f"check_docs: error: no such page: {', '.join(map(str, missing))}", file=sys.stderr)
        return 2
    found = 0
    for page in chosen:
        text = page.read_text()
        name = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page
        for number, problem in sorted(too_long(text) + broken_links(page, text)):
            print(f"{name}:{number}: {problem}")
            found += 1
    print(f"check_docs: {len(chosen)} pages, {found} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
