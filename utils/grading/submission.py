"""Reading a submitted notebook: which exercises it answers, and which of its statements their functions need.

Nothing of the submission runs here. Cell metadata is not used, because platforms lose it: an exercise is wherever
`check("SLUG.exercise", function)` stands.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LARGEST_FILE = 50 * 2**20  # bytes
_BUILTINS = set(dir(builtins))
_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w.]+\?+\s*)$")


class Unreadable(Exception):
    """The file is no notebook that can be graded; the message says why."""


@dataclass(frozen=True)
class Statement:
    """A top-level statement that may run: where it stands, the names it binds and those it reads."""

    cell: int
    index: int
    binds: frozenset[str]
    reads: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """One `check` call: the exercise, the expression for its function, and what must run to have it."""

    id: str
    function: str
    statements: tuple[Statement, ...]


@dataclass
class Submission:
    """A notebook as read: its answers by exercise, its cells without magic, and sentences on unreadable cells."""

    path: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    cells: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> Submission:
    """Read a notebook.

    Raises:
        Unreadable: with a sentence, if the file is missing, too large, not UTF-8 or not a notebook.
    """
    submission = Submission(path)
    earlier: list[Statement] = []
    for number, source in enumerate(_code_cells(path), start=1):
        text = _plain_python(source)
        if text is None:
            submission.notes.append(f"Cell {number} is not valid Python and was passed over.")
            continue
        submission.cells[number] = text
        for index, node in enumerate(ast.parse(text).body):
            for id, function in _checks(node):
                statements = needed(_reads(function), earlier)
                submission.answers[id] = Answer(id, ast.unparse(function), statements)
            if _may_run(node):
                earlier.append(Statement(number, index, frozenset(_binds(node)), frozenset(_reads(node))))
    return submission


def needed(names: set[str], statements: list[Statement]) -> tuple[Statement, ...]:
    """The statements that bind `names`, and what those read in turn, in their order in the notebook."""
    wanted, chosen = set(names), set[int]()
    while True:
        more = {
            i
            for i, item in enumerate(statements)
            if i not in chosen and (item.binds & wanted or "*" in item.binds and wanted - _BUILTINS)
        }
        if not more:
            return tuple(statements[i] for i in sorted(chosen))
        chosen |= more
        wanted |= {name for i in more for name in statements[i].reads}


def _code_cells(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise Unreadable(
                f"The file is larger than {LARGEST_FILE // 2**20} MB; clear its outputs and hand it in again."
            )
        notebook = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise Unreadable(f"The file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Unreadable("The file is not UTF-8 text; save it again as a notebook (.ipynb).") from None
    except (ValueError, RecursionError):
        raise Unreadable("The file is not a notebook: its JSON cannot be read.") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("The file is not a notebook of format 4: it has no list of cells.")
    return [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def _source(cell: dict[str, object]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _plain_python(source: str) -> str | None:
    """A cell's source with its shell and magic lines made harmless, line for line; None if it is no Python."""
    if source.lstrip().startswith("%%"):
        return ""
    for text in (source, "\n".join(_MAGIC.sub(r"\1pass", line) for line in source.split("\n"))):
        try:
            ast.parse(text)
            return text
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _checks(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        parts = [*call.args, *(given[key] for key in ("id", "function")[len(call.args) :] if key in given)]
        if (
            name == "check"
            and len(parts) == 2
            and isinstance(parts[0], ast.Constant)
            and isinstance(parts[0].value, str)
        ):
            yield parts[0].value, parts[1]


def _may_run(node: ast.stmt) -> bool:
    """Whether a statement only defines, imports or assigns, alone or under `if` and `try`."""
    if isinstance(node, (ast.If, ast.Try)):
        blocks = [node.body, node.orelse]
        if isinstance(node, ast.Try):
            blocks += [node.finalbody, *(handler.body for handler in node.handlers)]
        return all(_may_run(inner) for block in blocks for inner in block)
    plain = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Pass)
    return isinstance(node, plain)


def _binds(node: ast.stmt) -> set[str]:
    """The names a statement puts into the notebook; `*` for a star import."""
    table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        names.add("*")
    for target in getattr(node, "targets", []):  # an assignment to an attribute or an item changes its owner
        if isinstance(target, (ast.Attribute, ast.Subscript)) and isinstance(target.value, ast.Name):
            names.add(target.value.id)
    return names


def _reads(node: ast.AST) -> set[str]:
    """The names of the notebook that a statement or expression uses, inside its functions too."""
    table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    scopes = list(table.get_children())
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        names |= {symbol.get_name() for symbol in scope.get_symbols() if _from_outside(symbol)}
    return names


def _from_outside(symbol: symtable.Symbol) -> bool:
    """Whether a function takes this name from the notebook; `is_global` errs in a function that is called `top`."""
    own = symbol.is_parameter() or symbol.is_assigned() or symbol.is_imported()
    return symbol.is_referenced() and symbol.is_global() and (not own or symbol.is_declared_global())
