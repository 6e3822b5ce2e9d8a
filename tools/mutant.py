#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants a bug of tests/mutants into a copy of the project.

A mutant is a TOML file: a sentence about the bug, and edits of the RTL. An edit names a file, the
text that it replaces and the replacement. Texts are compared token by token: white space and
comments do not count. The text must occur exactly once in the file, or in the part of the file
that `within` names: a module, package, class, function, labelled block, instance, struct or enum.
So an edit of the RTL that leaves this text alone leaves the mutant alone.

    about = "A fence by gPA compares shifted bits."
    formats = "riscv"           # or "handout"; left out: all formats have the bug

    [[edit]]
    file = "rtl/tlb_rules.svh"
    within = "pages_of"
    replace = "pages.gppn = gppn_t'(gpa >> Cfg.OffsetWidth);"
    by = "pages.gppn = gppn_t'(gpa >> (Cfg.OffsetWidth + 2));"

usage: tools/mutant.py check [MUTANT...]     each mutant (default: all) applies to the RTL as it is
       tools/mutant.py plant MUTANT FOLDER   edits the files below FOLDER
       tools/mutant.py diff MUTANT           prints the edits as a unified diff
       tools/mutant.py formats MUTANT        prints riscv, handout or all

MUTANT is a file, or the name of one in tests/mutants. Exit code 2: a mutant cannot be read, or
does not apply.
"""

import dataclasses
import difflib
import functools
import re
import sys
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "tests" / "mutants"
FORMATS = ("riscv", "handout")

TOKEN = re.compile(
    r"""
    (?P<skip> \s+ | //[^\n]* | /\*.*?\*/ )
  | "(?:\\.|[^"\\])*"
  | [\w$`]+
  | .
""",
    re.VERBOSE | re.DOTALL,
)


class MutantError(Exception):
    """A mutant that cannot be read, or does not apply."""


@dataclasses.dataclass(frozen=True)
class Edit:
    """One replacement in one file."""

    file: str
    within: str | None
    replace: str
    by: str


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A bug to plant."""

    name: str
    about: str
    formats: str
    edits: list[Edit]


@dataclasses.dataclass(frozen=True)
class Token:
    """A token of SystemVerilog and where it stands in the text."""

    text: str
    start: int
    end: int


@functools.cache
def tokens_of(text):
    """Splits SystemVerilog into tokens, without white space and comments."""
    found = TOKEN.finditer(text)
    return [Token(m[0], m.start(), m.end()) for m in found if m["skip"] is None]


def closing(tokens, at, opening, end):
    """Returns the index of the token that closes the one at index `at`."""
    depth = 0
    for i in range(at, len(tokens)):
        if tokens[i].text == opening:
            depth += 1
        elif tokens[i].text == end:
            depth -= 1
            if depth == 0:
                return i
    raise MutantError(f"{opening!r} at offset {tokens[at].start} is never closed by {end!r}")


@functools.cache
def parts_of(text):
    """Finds the named parts of a file: (name, first token, last token)."""
    tokens = tokens_of(text)
    return list(named_parts(tokens, [token.text for token in tokens]))


def named_parts(tokens, words):
    """Yields the named parts of a file of these tokens: (name, first token, last token)."""
    blocks = {
        "function": "endfunction",
        "module": "endmodule",
        "package": "endpackage",
        "class": "endclass",
        "interface": "endinterface",
    }
    for i, word in enumerate(words):
        if word in blocks:
            last = closing(tokens, i, word, blocks[word])
            yield header_name(words, i), i, last
        elif word == "begin" and words[i + 1 : i + 2] == [":"]:
            yield words[i + 2], statement_start(words, i), closing(tokens, i, "begin", "end")
        elif word in ("struct", "enum"):
            brace = words.index("{", i)
            last = closing(tokens, brace, "{", "}")
            if words[i - 1] == "=" and words[i - 3] == "type":
                yield words[i - 2], i - 3, last
            elif words[i - 1] == "typedef":
                yield words[last + 1], i - 1, last + 1
        elif word.startswith("u_") and words[i + 1] == "(" and re.match(r"[\w)]", words[i - 1]):
            first = i - 1
            if words[first] == ")":
                depth = 0
                while True:
                    depth += (words[first] == ")") - (words[first] == "(")
                    if depth == 0:
                        break
                    first -= 1
                first -= 2
            yield word, first, closing(tokens, i + 1, "(", ")")


def header_name(words, at):
    """Returns the name of a function, module, package or class that begins at index `at`."""
    depth = 0
    for i in range(at + 1, len(words)):
        if words[i] in ("(", ";", "#", "import") and depth == 0:
            return words[i - 1]
        depth += (words[i] == "[") - (words[i] == "]")
    raise MutantError(f"a {words[at]} has no name")


def statement_start(words, at):
    """Returns the index at which the statement with the `begin` at index `at` starts."""
    first = at
    while first > 0 and words[first - 1] not in (";", "end", "begin", "endfunction", "generate"):
        first -= 1
    return first


def matches(tokens, words, first, last):
    """Returns the indices, from `first` to `last`, at which the words occur."""
    size = len(words)
    return [
        i
        for i in range(first, last - size + 2)
        if tokens[i].text == words[0] and [token.text for token in tokens[i : i + size]] == words
    ]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def locate(edit, text, tokens):
    """Finds the text of an edit: its start and its end."""
    first, last = 0, len(tokens) - 1
    place = edit.file
    if edit.within is not None:
        parts = [(a, b) for name, a, b in parts_of(text) if name == edit.within]
        if len(parts) != 1:
            found = "no part" if not parts else f"{len(parts)} parts"
            raise MutantError(
                f"{edit.file} has {found} of the name {edit.within!r}; "
                "`within` must name exactly one"
            )
        first, last = parts[0]
        place = f"{edit.within} of {edit.file}"
    words = [token.text for token in tokens_of(edit.replace)]
    if not words:
        raise MutantError(f"an edit of {place} replaces nothing but white space and comments")
    found = matches(tokens, words, first, last)
    if not found:
        raise MutantError(f"{place} has no text\n{textwrap.indent(edit.replace, '    ')}")
    if len(found) > 1:
        lines = ", ".join(str(line_of(text, tokens[i].start)) for i in found)
        raise MutantError(
            f"{place} has this text {len(found)} times, in lines {lines}; name a "
            f"part by `within` or replace more\n"
            f"{textwrap.indent(edit.replace, '    ')}"
        )
    return tokens[found[0]].start, tokens[found[0] + len(words) - 1].end


def edited(name, file, text, edits):
    """Applies the edits of one file to its text. All are located in the unedited text."""
    tokens = tokens_of(text)
    spans = sorted((*locate(edit, text, tokens), edit.by) for edit in edits)
    for (_, end, _), (start, _, _) in zip(spans, spans[1:]):
        if start < end:
            raise MutantError(f"two edits of {file} overlap in line {line_of(text, start)}")
    for start, end, by in reversed(spans):
        line = text[text.rfind("\n", 0, start) + 1 : start]
        indent = line[: len(line) - len(line.lstrip())]
        by = by.replace("\n", "\n" + indent)
        text = text[:start] + by + text[end:]
    return text


def load(path):
    """Reads a mutant."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise MutantError(f"{path}: {error}") from error
    keys = {"about": str, "formats": str, "edit": list}
    for key, value in table.items():
        if key not in keys or not isinstance(value, keys[key]):
            raise MutantError(f"{path}: {key!r} is not one of about, formats, [[edit]]")
    if not table.get("about") or not table.get("edit"):
        raise MutantError(f"{path}: a mutant has `about` and one [[edit]] or more")
    formats = table.get("formats", "all")
    if formats not in FORMATS and "formats" in table:
        raise MutantError(f"{path}: formats is {formats!r}; it is one of {', '.join(FORMATS)}")
    edits = []
    for edit in table["edit"]:
        wrong = set(edit) - {"file", "within", "replace", "by"}
        missing = {"file", "replace", "by"} - set(edit)
        if wrong or missing or not all(isinstance(value, str) for value in edit.values()):
            raise MutantError(
                f"{path}: an edit has the texts file, replace, by and, if needed, "
                f"within: {', '.join(sorted(wrong | missing))}"
            )
        replace, by = (textwrap.dedent(edit[key]).strip("\n") for key in ("replace", "by"))
        edits.append(Edit(edit["file"], edit.get("within"), replace, by))
    return Mutant(path.stem, " ".join(table["about"].split()), formats, edits)


def apply(mutant, tree):
    """Returns the edited text of each file that a mutant edits, by file."""
    texts = {}
    for file in dict.fromkeys(edit.file for edit in mutant.edits):
        path = tree / file
        try:
            text = path.read_text()
        except OSError as error:
            raise MutantError(f"{mutant.name}: {path}: {error.strerror}") from error
        own = [edit for edit in mutant.edits if edit.file == file]
        try:
            texts[file] = edited(mutant.name, file, text, own)
        except MutantError as error:
            raise MutantError(f"{mutant.name} does not apply: {error}") from error
        after = TOKEN.finditer(texts[file])
        if [m[0] for m in after if m["skip"] is None] == [t.text for t in tokens_of(text)]:
            raise MutantError(f"{mutant.name} does not change {file}")
    return texts


def plant(mutant, tree):
    """Edits the files of a tree."""
    for file, text in apply(mutant, tree).items():
        (tree / file).write_text(text)


def path_of(name):
    """Returns the file of a mutant, by its path or its name."""
    return Path(name) if name.endswith(".toml") else MUTANTS / f"{name}.toml"


def all_mutants():
    """Returns the files of all mutants, in order."""
    return sorted(MUTANTS.glob("[0-9]*.toml"))


def check(paths):
    """Checks that mutants apply. Prints an error for each that does not."""
    bad = 0
    for path in paths:
        try:
            apply(load(path), ROOT)
        except MutantError as error:
            print(f"mutant: error: {error}", file=sys.stderr)
            bad += 1
    print(f"{len(paths) - bad} of {len(paths)} mutants apply")
    if bad or not paths:
        sys.exit(2)


def diff(mutant):
    """Prints a mutant as a unified diff."""
    for file, text in apply(mutant, ROOT).items():
        before = (ROOT / file).read_text().splitlines(True)
        sys.stdout.writelines(
            difflib.unified_diff(before, text.splitlines(True), f"a/{file}", f"b/{file}")
        )


def main():
    arguments = sys.argv[1:]
    try:
        match arguments:
            case ["check", *names]:
                check([path_of(name) for name in names] if names else all_mutants())
            case ["plant", name, folder]:
                plant(load(path_of(name)), Path(folder))
            case ["diff", name]:
                diff(load(path_of(name)))
            case ["formats", name]:
                print(load(path_of(name)).formats)
            case _:
                sys.exit(__doc__[__doc__.index("usage:") :].rstrip())
    except MutantError as error:
        print(f"mutant: error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
