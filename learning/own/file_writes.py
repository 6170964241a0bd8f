"""Find the calls in a user's code that write files, by their names."""

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
    return [
        f"{path.name}:{call.lineno} {ast.unparse(call.func)}" for call in calls if _writes(call)
    ]


def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file; it is empty if the file is not valid Python."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _writes(call: ast.Call) -> bool:
    """Tell whether a call writes a file, by its name and, where it opens one, by the mode."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name == "open":
        begin = int(isinstance(call.func, ast.Name))  # else its first argument may be the mode
        modes = [
            *call.args[begin:],
            *(given.value for given in call.keywords if given.arg == "mode"),
        ]
        texts = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
        return any(isinstance(text, str) and WRITING.fullmatch(text) for text in texts)
    is_writer = name in WRITERS or name.startswith(("save", "write_"))
    return is_writer or (name in FORMATS and bool(call.args or call.keywords))
