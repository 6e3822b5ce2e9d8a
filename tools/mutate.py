#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants small bugs into a copy of the RTL, all of them at once, each selected by a number.

A mutant is one expression or statement of the RTL, replaced by a plausible mistake. All mutants are
in one copy of the RTL, as mutant schemata: the expression `a && b` becomes

    ((mutant == 32'd7) ? (a || b) : (a && b))

and the environment variable NESTWALK_MUTANT selects the mutant when a model starts (0 or unset:
none). So all mutants are compiled once, and each costs only a process.

The RTL is read with slang. Its typed tree gives the names of the same type, and the code that is
evaluated at elaboration (parameters, widths, generate conditions, the functions that they call).
That code is not changed. Nor are the headers of loops, indices of loops, and the code of assertions
(`ifndef SYNTHESIS).

usage: tools/mutate.py list                 prints the mutants, one per line
       tools/mutate.py write FOLDER         writes the copy of rtl/, and FOLDER/mutants.json

Needs pyslang: tools/setup.sh --with-mutation
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".tools" / "mutation"))
try:
    import pyslang
    from pyslang import ast, parsing, syntax
except ImportError as error:
    sys.exit(
        f"mutate: error: pyslang does not load ({error})\n  Run: tools/setup.sh --with-mutation"
    )

# Each walk step is elaborated by one of these. Types come from the first that has the place.
TOPS = (
    ".Format(nested_mmu_pkg::FormatRv64), .GuestCacheEntries(2), .HostCacheEntries(2), "
    ".NestedTlbEntries(2), .ReadBypass(1), .Tlb2Sets(4), .Tlb2Ways(2), .Tlb2Superpages(2)",
    ".Format(nested_mmu_pkg::FormatClassic32)",
)
SELECTED = "mutant"
# The C++ that reads the variable, inside a string of SystemVerilog.
GETENV = r"std::getenv(\"NESTWALK_MUTANT\")"
DECLARATION = f"""
`ifdef VERILATOR
  // The number of the mutant; 0: none.
  int unsigned mutant = $c32("({GETENV} ? std::strtoul({GETENV}, nullptr, 10) : 0)");
`else
  int unsigned mutant = 0;
`endif
"""

Kind = ast.ExpressionKind
Binary = ast.BinaryOperator
Unary = ast.UnaryOperator

# Operator -> the mistakes for it.
BINARY = {
    Binary.Equality: ("relation", "==", ["!="]),
    Binary.Inequality: ("relation", "!=", ["=="]),
    Binary.LessThan: ("relation", "<", ["<=", ">="]),
    Binary.LessThanEqual: ("relation", "<=", ["<", ">"]),
    Binary.GreaterThan: ("relation", ">", [">=", "<="]),
    Binary.GreaterThanEqual: ("relation", ">=", [">", "<"]),
    Binary.LogicalAnd: ("logic", "&&", ["||"]),
    Binary.LogicalOr: ("logic", "||", ["&&"]),
    Binary.BinaryAnd: ("bits", "&", ["|"]),
    Binary.BinaryOr: ("bits", "|", ["&"]),
    Binary.BinaryXor: ("bits", "^", ["|"]),
    Binary.Add: ("arithmetic", "+", ["-"]),
    Binary.Subtract: ("arithmetic", "-", ["+"]),
    Binary.LogicalShiftLeft: ("shift", "<<", [">>"]),
    Binary.LogicalShiftRight: ("shift", ">>", ["<<"]),
    Binary.ArithmeticShiftRight: ("shift", ">>>", [">>"]),
}
REDUCTIONS = {Unary.BitwiseAnd: ("&", "|"), Unary.BitwiseOr: ("|", "&")}


@dataclass(frozen=True)
class Mutant:
    """One replacement."""

    file: str
    start: int
    end: int
    operator: str
    before: str
    after: str
    where: str
    within: str  # the assignment, the condition, what is connected to a port
    statement: bool


@dataclass(frozen=True)
class Found:
    """The mutants by file and place, the text of the files, the functions that run, the bodies."""

    mutants: list[Mutant]
    sources: dict[str, str]
    functions: set[str]
    bodies: set[tuple[str, int, int]]


@dataclass
class Place:
    """A place of the text with its replacements: an inner node of the tree of replacements.

    A place without choices is a body. It is written twice, with all mutants and with none, so that
    mutants elsewhere do not cost time in it.
    """

    start: int
    end: int
    statement: bool
    choices: list[tuple[int, str]] = field(default_factory=list)
    inside: list["Place"] = field(default_factory=list)


def one_line(text: str) -> str:
    """Returns the text without comments, and with single blanks."""
    return re.sub(r"\s+", " ", re.sub(r"//[^\n]*", "", text)).strip()


class Finder:
    """Walks the code that is evaluated while a design runs, and collects mutants."""

    def __init__(self, sources: dict[str, str], manager) -> None:
        self.sources = sources
        self.manager = manager
        self.mutants: dict[tuple, Mutant] = {}
        self.functions: dict = {}
        self.bodies: set[tuple[str, int, int]] = set()
        self.where = ""
        self.within = ""
        # Variables that the current code drives. To read one would be a latch or a combinational
        # loop, which lint refuses.
        self.driven: set[str] = set()
        self.loop_variables: set[str] = set()

    # --- Places -----------------------------------------------------------------------------------

    def span(self, node) -> tuple[str, int, int]:
        """Returns the file of a node, and its offsets in the file."""
        source = node.sourceRange
        for end in (source.start, source.end):
            if self.manager.isMacroLoc(end):
                raise ValueError(f"{self.where}: code from a macro cannot be replaced")
        return (
            Path(self.manager.getFileName(source.start)).name,
            source.start.offset,
            source.end.offset,
        )

    def at(self, node) -> None:
        """Sets the place of the mutants that follow."""
        self.within = one_line(self.text(node))

    def text(self, node) -> str:
        file, start, end = self.span(node)
        return self.sources[file][start:end]

    def add(self, node, operator: str, after: str, statement: bool = False) -> None:
        file, start, end = self.span(node)
        before = one_line(self.sources[file][start:end])
        if one_line(after) == before:
            return
        # If two operators give the same mutant, the first one counts.
        key = (file, start, end, one_line(after))
        if key not in self.mutants:
            self.mutants[key] = Mutant(
                file, start, end, operator, before, after, self.where, self.within, statement
            )

    # --- Declarations -----------------------------------------------------------------------------

    def scope(self, scope, where: str) -> None:
        for member in scope:
            self.where = where
            match member.kind:
                case ast.SymbolKind.ContinuousAssign:
                    self.assignment(member.assignment, None, None)
                case ast.SymbolKind.ProceduralBlock:
                    self.body(member.body)
                    self.procedure(member.body, set())
                case ast.SymbolKind.Instance:
                    values = [
                        c.expression for c in member.portConnections if c.expression is not None
                    ]
                    values = [value for value in values if self.is_written(value)]
                    # The connection of an output assigns to the signal that it drives.
                    outputs = [value for value in values if value.kind == Kind.Assignment]
                    self.driven = {self.text(value.left) for value in outputs}
                    for value in values:
                        if value.kind != Kind.Assignment:
                            self.at(value)
                            self.expression(value)
                    self.driven = set()
                    self.scope(member.body, member.definition.name)
                case ast.SymbolKind.GenerateBlock if not member.isUninstantiated:
                    self.scope(member, where)
                case ast.SymbolKind.GenerateBlockArray:
                    for block in member.entries:
                        self.scope(block, where)

    def is_written(self, value) -> bool:
        """Returns whether a connection is written out. Those of `.name` and `.*` are not."""
        file, start, end = self.span(value)
        before = self.sources[file][:start].rstrip()
        return before.endswith("(")

    def function(self, symbol) -> None:
        if symbol.location in self.functions:
            return
        self.functions[symbol.location] = symbol
        around = self.where, self.within, self.driven, self.loop_variables
        self.where, self.driven, self.loop_variables = symbol.name, set(), set()
        self.body(symbol.body)
        self.procedure(symbol.body, {argument.name for argument in symbol.arguments})
        self.where, self.within, self.driven, self.loop_variables = around

    def body(self, body) -> None:
        """Records the place of a procedure's statements, without its declarations."""
        while body.kind in (ast.StatementKind.Timed, ast.StatementKind.Block):
            body = body.stmt if body.kind == ast.StatementKind.Timed else body.body
        statements = list(body.list) if body.kind == ast.StatementKind.List else [body]
        statements = [s for s in statements if s.kind != ast.StatementKind.VariableDeclaration]
        file, start, _ = self.span(statements[0])
        self.bodies.add((file, start, self.span(statements[-1])[2]))

    # --- Statements -------------------------------------------------------------------------------

    def procedure(self, body, defined: set[str]) -> None:
        """Visits a statement. `defined` is the set of variables with a value, and grows."""
        match body.kind:
            case ast.StatementKind.List:
                for statement in body.list:
                    self.procedure(statement, defined)
            case ast.StatementKind.Block:
                symbol = body.blockSymbol
                if symbol is not None and symbol.name:
                    self.where = symbol.name
                self.procedure(body.body, defined)
            case ast.StatementKind.Timed:
                self.procedure(body.stmt, defined)
            case ast.StatementKind.Conditional:
                self.at(body.conditions[0].expr)
                self.condition(body.conditions[0].expr)
                branches = []
                for branch in (body.ifTrue, body.ifFalse):
                    known = set(defined)
                    if branch is not None:
                        self.procedure(branch, known)
                    branches.append(known)
                defined |= branches[0] & branches[1]
            case ast.StatementKind.Case:
                self.at(body.expr)
                self.expression(body.expr)
                bodies = [item.stmt for item in body.items]
                for i, statement in enumerate(bodies):
                    other = self.text(bodies[(i + 1) % len(bodies)])
                    self.at(statement)
                    self.add(statement, "case body", other, statement=True)
                if body.defaultCase is not None:
                    bodies.append(body.defaultCase)
                for statement in bodies:
                    self.procedure(statement, set(defined))
            case ast.StatementKind.ForLoop:
                names = {variable.name for variable in body.loopVars}
                self.loop_variables |= names
                self.procedure(body.body, defined)
                self.loop_variables -= names
            case ast.StatementKind.ExpressionStatement:
                if body.expr.kind == Kind.Assignment:
                    self.assignment(body.expr, body, defined)
                else:
                    self.expression(body.expr)
            case ast.StatementKind.Return:
                if body.expr is not None:
                    self.at(body.expr)
                    self.expression(body.expr)
            case ast.StatementKind.VariableDeclaration | ast.StatementKind.Empty:
                pass
            case kind:
                raise ValueError(f"{self.where}: no rule for a statement of kind {kind}")

    def assignment(self, assignment, statement, defined: set[str] | None) -> None:
        target = one_line(self.text(assignment.left))
        # It is there only for lint.
        if target.startswith("unused_"):
            return
        self.at(assignment)
        value = assignment.right
        if assignment.isCompound:
            while value.kind == Kind.Conversion:
                value = value.operand
            value = value.right
        if statement is not None:
            # If no other statement gives the target a value, the deletion is a latch or an
            # undefined variable, which lint refuses.
            parts = re.split(r"[.\[]", target)
            heads = {".".join(parts[: i + 1]) for i in range(len(parts))}
            if assignment.isNonBlocking or heads & defined:
                self.add(statement, "deletion", ";", statement=True)
            defined.add(target)
        self.driven = {target}
        self.expression(value)
        self.driven = set()

    # --- Expressions ------------------------------------------------------------------------------

    def condition(self, value) -> None:
        """Visits a condition, of an `if` or a `?:`."""
        plain = value
        while plain.kind == Kind.Conversion and plain.isImplicit:
            plain = plain.operand
        if self.is_parameter(plain):
            return
        text = self.text(plain)
        relation = plain.kind == Kind.BinaryOp and BINARY.get(plain.op, ("",))[0] == "relation"
        negation = plain.kind == Kind.UnaryOp and plain.op == Unary.LogicalNot
        if not (relation or negation):
            self.add(plain, "condition", f"!({text})")
        self.add(plain, "condition", "1'b1")
        self.add(plain, "condition", "1'b0")
        self.expression(value)

    def expression(self, value) -> None:
        match value.kind:
            case Kind.Conversion:
                self.expression(value.operand)
            case Kind.BinaryOp:
                self.binary(value)
                self.expression(value.left)
                self.expression(value.right)
            case Kind.UnaryOp:
                self.unary(value)
                self.expression(value.operand)
            case Kind.ConditionalOp:
                self.condition(value.conditions[0].expr)
                self.expression(value.left)
                self.expression(value.right)
            case Kind.Inside:
                self.inside(value)
            case Kind.NamedValue:
                self.name(value)
            case Kind.MemberAccess:
                self.member(value)
                # Its base is replaced as a whole only if it is a select or a single name.
                self.base(value.value)
            case Kind.ElementSelect:
                self.base(value.value)
                self.selector(value.selector)
            case Kind.RangeSelect:
                self.base(value.value)
            case Kind.Concatenation:
                for operand in value.operands:
                    self.expression(operand)
            case Kind.Replication:
                self.expression(value.concat)
            case Kind.StructuredAssignmentPattern:
                for setter in value.memberSetters:
                    self.expression(setter.expr)
            case Kind.Call:
                self.call(value)
            case Kind.IntegerLiteral:
                self.add(value, "constant", next_number(self.text(value)))
            case Kind.UnbasedUnsizedIntegerLiteral:
                text = self.text(value)
                self.add(value, "constant", {"'0": "'1", "'1": "'0"}[text])
            case kind:
                raise ValueError(
                    f"{self.where}: no rule for an expression of kind {kind}: {self.text(value)}"
                )

    def base(self, value) -> None:
        """Visits the base of a select. It must stay a name, so only selects in it are replaced."""
        match value.kind:
            case Kind.MemberAccess | Kind.RangeSelect:
                self.base(value.value)
            case Kind.ElementSelect:
                self.base(value.value)
                self.selector(value.selector)

    def selector(self, value) -> None:
        if value.constant is None and not any(
            re.search(rf"\b{name}\b", self.text(value)) for name in self.loop_variables
        ):
            self.expression(value)

    def binary(self, value) -> None:
        if value.op not in BINARY:
            return
        name, symbol, others = BINARY[value.op]
        file, start, end = self.span(value)
        _, _, left = self.span(value.left)
        _, right, _ = self.span(value.right)
        source = self.sources[file]
        gap = source[left:right]
        if gap.count(symbol) != 1:
            raise ValueError(f"{self.where}: cannot find {symbol} in {self.text(value)}")
        for other in others:
            self.add(
                value, name, source[start:left] + gap.replace(symbol, other) + source[right:end]
            )
        if name == "logic":
            self.drop_of(value)
        elif name == "bits":
            self.add(value, "operand", f"({self.text(value.left)})")
            self.add(value, "operand", f"({self.text(value.right)})")

    def drop_of(self, value) -> None:
        """Removes each operand of a && or || by itself, and negates a plain one."""
        for dropped, kept in ((value.left, value.right), (value.right, value.left)):
            # The left part of a longer chain is removed operand by operand.
            if dropped is value.left and self.same_chain(dropped, value.op):
                continue
            if self.is_parameter(dropped):
                continue
            self.add(value, "operand", f"({self.text(kept)})")
        for operand in (value.left, value.right):
            while operand.kind == Kind.Conversion and operand.isImplicit:
                operand = operand.operand
            if operand.kind in (Kind.NamedValue, Kind.MemberAccess, Kind.Call, Kind.ElementSelect):
                self.add(operand, "negation", f"!{self.text(operand)}")

    @staticmethod
    def same_chain(value, op) -> bool:
        while value.kind == Kind.Conversion and value.isImplicit:
            value = value.operand
        return value.kind == Kind.BinaryOp and value.op == op

    def unary(self, value) -> None:
        text = self.text(value.operand)
        if value.op == Unary.LogicalNot:
            self.add(
                value,
                "negation",
                f"({text})" if value.operand.type.bitWidth == 1 else f"(({text}) != '0)",
            )
        elif value.op == Unary.BitwiseNot:
            self.add(value, "negation", f"({text})")
        elif value.op in REDUCTIONS:
            mine, other = REDUCTIONS[value.op]
            self.add(value, "bits", self.text(value).replace(mine, other, 1))

    def inside(self, value) -> None:
        text = self.text(value)
        self.add(value, "negation", f"!({text})")
        left, items = self.text(value.left), [self.text(item) for item in value.rangeList]
        for i, item in enumerate(items):
            rest = items[:i] + items[i + 1 :]
            if rest:
                self.add(value, "operand", f"{left} inside {{{', '.join(rest)}}}")
            # The items have to stay constants.
            # A name of an enumeration has no next number.
            if item[0].isdigit():
                self.add(
                    value,
                    "constant",
                    f"{left} inside "
                    f"{{{', '.join([*items[:i], next_number(item), *items[i + 1 :]])}}}",
                )
        self.expression(value.left)

    def name(self, value) -> None:
        symbol = value.symbol
        text = self.text(value)
        if symbol.kind == ast.SymbolKind.EnumValue:
            values = [v.name for v in symbol.type.canonicalType]
            self.add(value, "enumeration", values[(values.index(symbol.name) + 1) % len(values)])
        elif isinstance(symbol.syntax.parent, syntax.DataDeclarationSyntax):
            # Declared in one statement, of one type.
            names = [d.name.value for d in symbol.syntax.parent.declarators if hasattr(d, "name")]
            if text == symbol.name and len(names) > 1:
                other = names[(names.index(text) + 1) % len(names)]
                if other not in self.driven:
                    self.add(value, "sibling", other)

    def member(self, value) -> None:
        if self.is_parameter(value):
            return
        own = value.member
        fields = [f for f in value.value.type.canonicalType if f.type.isMatching(own.type)]
        names = [f.name for f in fields]
        text = self.text(value)
        if len(names) > 1 and text.endswith("." + own.name):
            other = names[(names.index(own.name) + 1) % len(names)]
            self.add(value, "sibling", text[: -len(own.name)] + other)

    @staticmethod
    def is_parameter(value) -> bool:
        while value.kind == Kind.MemberAccess:
            value = value.value
        return value.kind == Kind.NamedValue and value.symbol.kind == ast.SymbolKind.Parameter

    def call(self, value) -> None:
        arguments = list(value.arguments)
        if value.isSystemCall:
            if value.subroutineName == "$onehot":
                self.add(value, "call", self.text(value).replace("$onehot", "|", 1))
        else:
            file, start, end = self.span(value)
            source = self.sources[file]
            for a, b in zip(arguments, arguments[1:]):
                if not self.type_of_argument(a).isMatching(self.type_of_argument(b)):
                    continue
                (_, a0, a1), (_, b0, b1) = self.span(a), self.span(b)
                swapped = (
                    source[start:a0]
                    + source[b0:b1]
                    + source[a1:b0]
                    + source[a0:a1]
                    + source[b1:end]
                )
                self.add(value, "argument", swapped)
            self.function(value.subroutine)
        for argument in arguments:
            self.expression(argument)

    @staticmethod
    def type_of_argument(value):
        while value.kind == Kind.Conversion and value.isImplicit:
            value = value.operand
        return value.type


def next_number(text: str) -> str:
    """Returns the literal of the next number, with the same number of bits."""
    sized = re.fullmatch(r"(\d+)'([bdh])([0-9a-fA-F_]+)", text)
    if sized is None:
        return str(int(text) + 1)
    width, base, digits = int(sized[1]), sized[2], sized[3].replace("_", "")
    number = (int(digits, {"b": 2, "d": 10, "h": 16}[base]) + 1) % (1 << width)
    shown = {"b": f"{number:0{len(digits)}b}", "d": f"{number}", "h": f"{number:0{len(digits)}x}"}[
        base
    ]
    return f"{width}'{base}{shown}"


def rtl_files() -> list[str]:
    """Returns the files of the file list, packages first, then the included files with rules."""
    lines = (ROOT / "rtl/nested_mmu.f").read_text().splitlines()
    return [line for line in lines if line.endswith(".sv")] + ["tlb_rules.svh"]


def find() -> Found:
    """Reads rtl/."""
    files = rtl_files()
    manager = pyslang.SourceManager()
    manager.addUserDirectories(str(ROOT / "rtl"))
    options = parsing.PreprocessorOptions()
    options.predefines = ["SYNTHESIS"]
    bag = pyslang.Bag([options])
    compilation = ast.Compilation()
    sources = {}
    for file in files:
        path = ROOT / "rtl" / file
        sources[file] = path.read_text()
        if not sources[file].isascii():
            sys.exit(f"mutate: error: {path} is not ASCII: offsets in it are of bytes")
        # An included file is read with the file that includes it.
        if path.suffix == ".sv":
            compilation.addSyntaxTree(syntax.SyntaxTree.fromFile(str(path), manager, bag))
    tops = "".join(f"  nested_mmu #({top}) u_{i} ();\n" for i, top in enumerate(TOPS))
    compilation.addSyntaxTree(
        syntax.SyntaxTree.fromText(f"module mutate_top;\n{tops}endmodule\n", manager)
    )
    errors = [d for d in compilation.getAllDiagnostics() if d.isError()]
    if errors:
        report = pyslang.DiagnosticEngine.reportAll(manager, errors)
        sys.exit(f"mutate: error: slang refuses the RTL\n{report}")

    finder = Finder(sources, manager)
    for top in compilation.getRoot().topInstances:
        if top.name == "mutate_top":
            finder.scope(top.body, "")
    order = {file: i for i, file in enumerate(files)}
    mutants = sorted(
        finder.mutants.values(), key=lambda m: (order[m.file], m.start, -m.end, m.operator, m.after)
    )
    return Found(
        mutants, sources, {symbol.name for symbol in finder.functions.values()}, finder.bodies
    )


def identities(mutants: list[Mutant]) -> list[dict]:
    """Returns an identity for each mutant that does not depend on its line.

    An ordinal distinguishes mutants that are otherwise equal.
    """
    seen: dict[tuple, int] = {}
    result = []
    for mutant in mutants:
        name = (
            mutant.file,
            mutant.where,
            mutant.within,
            mutant.operator,
            mutant.before,
            one_line(mutant.after),
        )
        seen[name] = seen.get(name, 0) + 1
        keys = ("file", "where", "within", "operator", "before", "after")
        result.append(dict(zip(keys, name)) | {"ordinal": seen[name]})
    return result


def listed(found: Found) -> list[dict]:
    """Returns the mutants as data: number, line, identity."""
    return [
        {"number": number, "line": found.sources[mutant.file].count("\n", 0, mutant.start) + 1}
        | identity
        for number, (mutant, identity) in enumerate(
            zip(found.mutants, identities(found.mutants)), 1
        )
    ]


def render(source: str, mutants: list[tuple[int, Mutant]], bodies: list[tuple[int, int]]) -> str:
    """Returns the text of a file with every mutant in it."""
    root = Place(0, len(source), True)
    stack = [root]
    # Outer places come first.
    places = [(start, -end, 0, "", True) for start, end in bodies]
    places += [(m.start, -m.end, number, m.after, m.statement) for number, m in mutants]
    for start, end, number, after, statement in sorted(places):
        end = -end
        while not (stack[-1].start <= start and end <= stack[-1].end):
            stack.pop()
        top = stack[-1]
        if not (number and top.choices and (top.start, top.end) == (start, end)):
            top.inside.append(Place(start, end, statement))
            stack.append(top.inside[-1])
        if number:
            stack[-1].choices.append((number, after))

    def numbers(place: Place) -> list[int]:
        return [number for number, _ in place.choices] + [
            n for inner in place.inside for n in numbers(inner)
        ]

    def text(place: Place, guarded: bool) -> str:
        """Writes a place. `guarded`: an outer place already has a copy without mutants."""
        is_body = place is not root and not place.choices
        out, at = "", place.start
        for inner in place.inside:
            out += source[at : inner.start] + text(inner, guarded or is_body)
            at = inner.end
        out += source[at : place.end]
        if place is root:
            return out
        own = numbers(place)
        # Numbers follow the places, so the numbers inside a place are one range.
        here = f"{SELECTED} - 32'd{own[0]} < 32'd{len(own)}" if own else ""
        original = source[place.start : place.end]
        if is_body:
            return f"if ({here}) begin {out} end else begin {original} end" if own else out
        if place.statement:
            for number, after in reversed(place.choices):
                out = f"if ({SELECTED} == 32'd{number}) begin {after} end else begin {out} end"
            return f"begin {out} end"
        chain = "".join(
            f"({SELECTED} == 32'd{number}) ? ({after}) : " for number, after in place.choices
        )
        if guarded or len(own) < 3:
            return f"({chain}({out}))"
        return f"(({here}) ? ({chain}({out})) : ({original}))"

    return text(root, False)


def with_argument(text: str, functions: set[str]) -> str:
    """Passes the number to the functions that need it.

    A function that reads a variable of a package must be inlined. The walk steps call many such
    functions, and would become megabytes of C++.
    """
    for name in functions:
        text = re.sub(
            rf"\b(function automatic [^;(]*\b{name}\()([^;]*;)",
            rf"\1int unsigned mutant, \2 /* verilator no_inline_task */",
            text,
        )
        text = re.sub(rf"\b{name}\((?!int unsigned mutant)", f"{name}(mutant, ", text)
    is_included = not re.search(r"^(module|package) ", text, re.M)
    if (
        not is_included
        and "import nested_mmu_pkg::*" not in text
        and "package nested_mmu_pkg" not in text
    ):
        text = re.sub(r"\bmutant\b", "nested_mmu_pkg::mutant", text)
    return text


def write(folder: Path, found: Found) -> None:
    """Writes the copy of the RTL, and the list of its mutants."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, source in found.sources.items():
        mine = [
            (number, mutant)
            for number, mutant in enumerate(found.mutants, 1)
            if mutant.file == file
        ]
        own = [(start, end) for of, start, end in found.bodies if of == file]
        mutated = with_argument(render(source, mine, own), found.functions)
        if file == "nested_mmu_pkg.sv":
            mutated = mutated.replace(
                "package nested_mmu_pkg;\n", "package nested_mmu_pkg;\n" + DECLARATION, 1
            )
        (folder / file).write_text(mutated)
    (folder / "mutants.json").write_text(json.dumps(listed(found), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Small bugs in a copy of the RTL, each behind a number."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="the mutants, one a line")
    verbs.add_parser("write", help="the copy of rtl/, with all mutants").add_argument(
        "folder", type=Path
    )
    arguments = parser.parse_args()
    found = find()
    if arguments.verb == "write":
        write(arguments.folder, found)
        return
    for m in listed(found):
        place = f"{m['file']}:{m['line']}"
        print(
            f"{m['number']:>4} {place:<26} {m['where']:<18} {m['operator']:<11} "
            f"{m['before']}  =>  {m['after']}"
        )


if __name__ == "__main__":
    main()
