"""Where a run may begin: a folder of its own, locked, and rid of what a killed process left."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from learning.files import is_stray
from learning.own.code import changed_modules
from sim import files
from sim.errors import InputError, SimulationError, failure_code
from sim.execution.checkpoint import CHECKPOINT, EXTENDING, EXTENSION, JOURNAL
from sim.execution.extension import is_of_another_stop
from sim.execution.folder import MANIFEST, RUN_LOG, read_manifest
from sim.execution.identity import Named, changed_checkpoints, changed_code
from sim.execution.versions import changes, listed, versions
from sim.files import check_not_a_pipe, check_out, check_within, from_here
from sim.formatting import MOST_LISTED, as_yaml, some
from statements import Code


def check_place(place: Path, *, resume: bool) -> None:
    """Refuse to write over anything but a run to be resumed, and out of the folder by a link."""
    check_out(place)
    for name in (*WITHIN, RUN_LOG, LOCK):
        check_within(place, place / name)
    for name in (RUN_LOG, LOCK):
        check_not_a_pipe(place / name)
    if is_free(place):
        return
    if not resume:
        raise InputError.of_option(
            f"-o {from_here(place)}",
            Code.WRONG_FILE,
            "is not empty",
            "name another folder, or go on with its run by --resume",
        )
    if not any((place / name).exists() for name in (MANIFEST, *CHECKPOINTS, EXTENDING)):
        raise InputError.of_option(
            f"-o {from_here(place)}",
            Code.NO_FILE,
            "holds no run that could be resumed",
            "name another folder",
        )


def manifest_before(place: Path, named: Named) -> dict[str, Any] | None:
    """Return the manifest in a run folder, if any; InputError if it is of another run.

    One that differs by its stop alone is returned.
    """
    if not (place / MANIFEST).exists():
        return None
    try:
        before = read_manifest(place)
    except InputError:
        if not (place / CHECKPOINT / JOURNAL).exists():
            raise
        return None  # the checkpoint can do without
    if before["identity"] != named.identity and not is_of_another_stop(before, named):
        if changed := changed_code(before.get("code", {}), named.code):
            raise _from_before(place, changed, "code")
        if before.get("scenario") != named.scenario_json:
            kept, asked = (_by_key(one) for one in (before.get("scenario"), named.scenario_json))
            raise InputError.of_file(
                from_here(place),
                Code.WRONG_FILE,
                "holds a run of another scenario{changed}",
                "name another folder",
                changed=listed([some(changes(kept, asked), MOST_LISTED)] if kept != asked else []),
            )
        if changed := changed_checkpoints(before, named):
            raise _from_before(place, changed, "files")
        changed = changes(before.get("versions", {}), versions())
        raise InputError.of_file(
            from_here(place),
            Code.WRONG_FILE,
            "holds a run that would not be the same now, as the finding of its "
            f"contacts, or a file that it names, has changed{listed(changed)}",
            "name another folder",
        )
    if changed := changed_modules(named.code, before.get("own_modules", {})):
        raise _from_before(place, changed, "code")
    if made := before.get("made_by_code"):
        check_unchanged(place, made, named.made_by_code(made))
    return before


def check_unchanged(place: Path, made: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise InputError if custom code makes other data or weights than when a run was saved.

    Both are digests by name, like ``data of mine:data``; what was not made then is not compared.
    """
    if changed := [name for name, digest in made.items() if now.get(name) != digest]:
        raise _from_before(place, changed, "files")


def _from_before(place: Path, changed: Iterable[str], what: str) -> InputError:
    return InputError.of_file(
        from_here(place),
        Code.WRONG_FILE,
        f"holds a run from before {', '.join(changed)} changed",
        f"name another folder, or put the old {what} back",
    )


MOST_CHARACTERS = 40
"""Characters of a value that a refusal repeats."""


def _by_key(value: Any, key: str = "") -> dict[str, str]:
    """Return the values of a stored scenario as text, by dotted key."""
    if not isinstance(value, dict | list) or not value:
        text = as_yaml(value)
        return {key: text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]!r}..."}
    found: dict[str, str] = {}
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        found |= _by_key(inner, f"{key}.{name}" if key else str(name))
    return found


@contextmanager
def locked(place: Path | None) -> Iterator[None]:
    """Make ``place`` and lock it against other processes; leftovers of a killed one are removed.

    Raises InputError while another process runs there, SimulationError for trouble with the disk.
    """
    if place is None:
        yield
        return
    busy = f"-o {from_here(place)}: another process is running in it; wait for it"
    is_new = not place.exists()
    try:
        with ExitStack() as held:
            with as_run_failure(place):
                _make(place)
                if os.access(place, os.W_OK):  # else nobody runs in it: what is there is returned
                    # A file: network file systems lock folders on each machine by itself.
                    held.enter_context(files.locked(place / LOCK, busy))
            remove_leftovers(place)
            yield
    finally:
        if is_new:
            with suppress(OSError):  # it is not empty
                place.rmdir()


def _make(place: Path) -> None:
    """Make a folder; InputError where none can be made, OSError for trouble with the disk."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if files.of_the_disk(error):
            raise
        raise InputError.of_option(
            f"-o {from_here(place)}",
            Code.WRONG_FILE,
            "cannot be made ({why})",
            "name another folder",
            why=error.strerror,
        ) from error


def check_writable(place: Path) -> None:
    """Raise InputError for a folder that may not be written to."""
    if not os.access(place, os.W_OK):
        raise InputError.of_option(
            f"-o {from_here(place)}",
            Code.WRONG_FILE,
            "cannot be written to",
            "name another folder",
        )


@contextmanager
def as_run_failure(place: Path | None) -> Iterator[None]:
    """Turn an OSError of the run folder into the failure of the run."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        raise SimulationError(f"{where}: {error.strerror or error}", failure_code(error)) from error


SPILLED = ".spilled"
"""Folder of rows that have left memory; useless without the process that wrote them."""
LOCK = ".run.lock"
"""Held by the process that runs in the folder."""
CHECKPOINTS = (CHECKPOINT, EXTENSION)
_OF_A_RUN = (
    "",
    "model",
    *CHECKPOINTS,
    *(f"{name}/{inner}" for name in CHECKPOINTS for inner in ("values", "replies")),
)
WITHIN = (*_OF_A_RUN, *(f"{EXTENDING}/{name}" for name in _OF_A_RUN))


def is_leftover(path: Path) -> bool:
    """Whether a file or folder in a run folder is useless without the process that wrote it."""
    return is_stray(path.name) or path.name in (SPILLED, LOCK)


def is_free(place: Path) -> bool:
    """Whether a run can begin in a folder: it has nothing but a log and leftovers."""
    if not place.exists():
        return True
    return all(path.name == RUN_LOG or is_leftover(path) for path in place.iterdir())


def remove_leftovers(place: Path) -> None:
    """Remove what a killed process has left in a run folder."""
    for folder in (place / name for name in WITHIN):
        for path in folder.iterdir() if folder.is_dir() else ():
            if not is_leftover(path) or path.name == LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
