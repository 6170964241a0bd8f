"""What in a user's code no seed repeats, and what it keeps where leomix does not see it.

It is found by names in the text of the code, before the run: none of it is an error.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from statements import Code, Other, Statement

FROM_THE_SYSTEM = {
    "os.urandom": "draws from the operating system",
    "secrets": "draws from the operating system",
    "SystemRandom": "draws from the operating system",
    "uuid4": "draws from the operating system",
    "secaggplus_mod": "draws keys from the operating system",
    "SecAggPlusWorkflow": "draws keys from the operating system",
}
"""Names, or the ends of them, that stand for what no seed repeats."""
GENERATORS = ("default_rng", "RandomState", "SeedSequence", "random.Random")
"""What draws its seed from the operating system where it is given none."""
CHANGES = {"append", "extend", "add", "update", "setdefault", "pop", "clear", "insert", "remove"}
"""Methods that change a list, a set or a dictionary."""

WRITERS = {"dump", "makedirs", "mkdir", "tofile", "touch", "FileHandler", "SummaryWriter"}
"""Functions that write a file or make a folder, beside those that are called save or write."""
FORMATS = {"to_csv", "to_excel", "to_feather", "to_hdf", "to_json", "to_parquet", "to_pickle"}
"""Methods of tables that write a file where they are given its name."""
WRITING = re.compile(r"[rbt]*[wax+][rwaxbt+]*")
"""Modes in which a file is opened to be written."""


def unrepeatable(path: Path, keep_in: str) -> Iterator[Statement]:
    """Yield a doubt on each place in a file; what is to be kept goes to ``keep_in``."""
    tree = parsed(path)
    drawn = {ast.unparse(node): node for node in ast.walk(tree) if _draws(node)}
    for name, node in drawn.items():
        what = FROM_THE_SYSTEM.get(_known(name), "without a seed draws from the operating system")
        yield Statement.doubt(
            Code.OWN_CODE,
            "",
            "{at}: {name} {what}: no run repeats it",
            at=_at(path, node),
            name=name,
            what=what,
        )
    seen: set[str] = set()
    for name, node in _kept(tree):
        if name not in seen:
            seen.add(name)
            yield Statement.doubt(
                Code.OWN_CODE,
                "",
                "{at}: the module variable {name} is changed by a call, and is no part of what "
                "names a result",
                Other(said=f"keep it in {keep_in}"),
                at=_at(path, node),
                name=name,
            )


def writing(path: Path) -> list[str]:
    """Return each place in a file that seems to write files, by its line and name."""
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    return [f"{_at(path, node)} {ast.unparse(node.func)}" for node in calls if _writes(node)]


def parsed(path: Path) -> ast.Module:
    """Return the code of a file; nothing of one that is no Python, which no import gets through."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _at(path: Path, node: ast.AST) -> str:
    return f"{path.name}:{getattr(node, 'lineno', 0)}"


def _known(name: str) -> str:
    return next((one for one in FROM_THE_SYSTEM if _is_called(name, one)), "")


def _is_called(name: str, known: str) -> bool:
    return name == known or name.endswith(f".{known}") or name.startswith(f"{known}.")


def _draws(node: ast.AST) -> bool:
    """Tell whether an expression draws from the operating system."""
    if isinstance(node, ast.Call) and not (node.args or node.keywords):
        return any(_is_called(ast.unparse(node.func), one) for one in GENERATORS)
    is_name = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    return is_name and bool(_known(ast.unparse(node)))


def _writes(call: ast.Call) -> bool:
    """Tell whether a call writes a file, by its name and, where it opens one, by the mode."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name == "open":
        begin = int(isinstance(call.func, ast.Name))  # else its first argument may be the mode
        modes = [*call.args[begin:], *(one.value for one in call.keywords if one.arg == "mode")]
        texts = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
        return any(isinstance(text, str) and WRITING.fullmatch(text) for text in texts)
    is_named_so = name in WRITERS or name.startswith(("save", "write_"))
    return is_named_so or (name in FORMATS and bool(call.args or call.keywords))


def _kept(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield module variables that functions change, and where they do."""
    variables = {name for statement in tree.body for name in _stored(statement)}
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        shared = {n for g in ast.walk(function) if isinstance(g, ast.Global) for n in g.names}
        own = {name for part in function.body for name in _stored(part)} - shared
        own |= {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
        own |= _made_once(function)
        for node in ast.walk(function):
            stored = node.id if isinstance(node, ast.Name) and _is_stored(node) else ""
            changed = _changed(node)
            if stored in shared - own or changed in variables - own:
                yield stored or changed, node


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _made_once(function: ast.AST) -> set[str]:
    """Return the variables that a function fills where they are empty: these are memories."""
    tests = [node for node in ast.walk(function) if isinstance(node, ast.Compare)]
    sides = [side for test in tests for side in (test.left, *test.comparators)]
    return {side.id for side in sides if isinstance(side, ast.Name)}


def _stored(statement: ast.AST) -> Iterator[str]:
    """Yield the names that a statement binds, but for those inside of functions."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    if isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement.id
    for part in ast.iter_child_nodes(statement):
        yield from _stored(part)


def _changed(node: ast.AST) -> str:
    """Return the name of a variable of which a part is changed; "" for another expression."""
    part: ast.AST | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        part = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        part = node.func.value if node.func.attr in CHANGES else None
    return part.id if isinstance(part, ast.Name) else ""
