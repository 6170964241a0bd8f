"""What in a user's code writes files, found by names in its text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

WRITERS = {"dump", "makedirs", "mkdir", "tofile", "touch", "FileHandler", "SummaryWriter"}
"""Functions that write a file or make a folder, beside those that are called save or write."""
FORMATS = {"to_csv", "to_excel", "to_feather", "to_hdf", "to_json", "to_parquet", "to_pickle"}
"""Methods of tables that write a file where they are given its name."""
WRITING = re.compile(r"[rbt]*[wax+][rwaxbt+]*")
"""Modes in which a file is opened to be written."""


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
