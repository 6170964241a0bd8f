"""Papers by name: those of the files beside this one, and what installed packages add."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from learning.own.raised import ANYTHING
from learning.registry import Register
from sim.errors import InputError, as_input, custom_line
from sim.papers.paper import Paper, read_paper
from statements import Code

File = Callable[[], Path]
"""Returns where the file of a paper is."""

PAPERS: Register[File] = Register(
    "paper", "leomix.papers", {}, "a function that returns the path of its YAML file"
)
"""Functions that return the path of a paper's file, by the name of the paper."""


def _beside(path: Path) -> Path:
    return path


SHIPPED = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
for _name, _path in SHIPPED.items():
    PAPERS.add(_name)(partial(_beside, _path))


def file_of(name: str) -> Path:
    """Return the file of a paper; raise InputError for an unknown name, with the nearest one."""
    with as_input(option=f"reproduce {name}"):
        asked = PAPERS.find(name)
    try:
        place = asked()
    except ANYTHING as error:  # a function of somebody else's may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split()) + custom_line(error)
        raise InputError.of_option(
            f"reproduce {name}", Code.OWN_CODE, "its function fails: {why}", why=why
        ) from error
    if not isinstance(place, Path):
        raise InputError.of_option(
            f"reproduce {name}",
            Code.OWN_CODE,
            f"its function should return the path of a YAML file, not {type(place).__name__}",
        )
    return place


def paper_of(name: str) -> Paper:
    """Return a paper by its name; raise InputError for an unknown one, and for a wrong file."""
    return read_paper(file_of(name))


def papers() -> Iterator[Paper]:
    """Yield all papers: those that are shipped, then those of installed packages."""
    for name in [*SHIPPED, *sorted({*PAPERS.names()} - {*SHIPPED})]:
        yield paper_of(name)
