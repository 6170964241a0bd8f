"""Files written at once, disk trouble in words, free folders, locks."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from learning.files import PERMISSION, at_once, sync_folder
from sim.errors import InputError
from statements import Code


@contextmanager
def written(path: Path, own: str = "") -> Iterator[Path]:
    """Yield a temporary name for ``path``, as :func:`learning.files.at_once` does."""
    with naming(path), at_once(path, own) as part:
        yield part


def write_text(path: Path, text: str) -> None:
    """Write ``path`` at once, in UTF-8.

    Raises InputError for a pipe or a device, which it would replace.
    """
    check_not_a_pipe(path)
    with written(path) as part:
        part.write_text(text, encoding="utf-8")


# What the system says when a file cannot be written: which path, what, and what to do.


CURES = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space and try again",
    errno.EIO: "check the disk and try again",
}
"""What to do about a disk that fails while the input is right."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give ``path`` to OSErrors that know no path: those of writing, and all of pyarrow's."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def of_the_disk(error: BaseException) -> bool:
    """Whether the disk has failed: it is full, over its quota, or broken."""
    return isinstance(error, OSError) and error.errno in CURES


def trouble_text(error: OSError) -> str:
    """Return one line: the path if it is known, what happened, and what to do about it."""
    known = error.errno is not None and (error.filename is not None or error.errno in CURES)
    what = os.strerror(error.errno or 0) if known else " ".join(str(error).split())
    path = [] if error.filename is None else [str(error.filename)]
    cure = [CURES[error.errno]] if error.errno in CURES else []
    cure += [PERMISSION] if isinstance(error, PermissionError) else []
    return "; ".join([": ".join([*path, what]), *cure])


# Where a run or a sweep goes, and how that is told: code of the user's may go to another folder.


def from_here(place: Path) -> Path:
    """Return a path as it is named from the current folder: relative if it lies below that."""
    try:
        return place.relative_to(Path.cwd())
    except (ValueError, OSError):  # the current folder may have been removed
        return place


def free_folder(base: Path) -> Path:
    """Return ``base``, or the first of ``base.2``, ``base.3``... that is not there yet."""
    numbered = (base.with_name(f"{base.name}.{number}") for number in count(2))
    return next(place for place in chain([base], numbered) if not os.path.lexists(place))


@contextmanager
def folder_at_once(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, which gets that name at the end.

    After an error nothing of it is left, nor of folders above that were made for it. What a killed
    process has left is removed. Raises InputError where another process is writing to ``path``.
    """
    target = Path(os.path.realpath(path))
    part, lock = (target.with_name(f".{target.name}.{end}") for end in ("part", "lock"))
    above = [folder for folder in target.parents if not folder.exists()]
    busy = f"{path}: another process is writing to it; wait for it"
    try:
        for folder in reversed(above):
            folder.mkdir(exist_ok=True)
        with locked(lock, busy):
            shutil.rmtree(part, ignore_errors=True)
            try:
                part.mkdir()
                yield part
                part.replace(target)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            sync_folder(target.parent)
    except BaseException:
        for folder in above:
            with suppress(OSError):  # somebody else uses it
                folder.rmdir()
        raise


def packaged(package: str, name: str) -> str:
    """Return the text of a file that comes with a package."""
    from importlib import resources

    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def check_not_a_pipe(path: Path) -> None:
    """Raise InputError for a pipe, socket or device: to open it could wait for ever."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError.of_file(
            path,
            Code.WRONG_FILE,
            "is a pipe or a device, where a file should be",
            "remove it",
        )


def check_out(place: Path) -> None:
    """Raise InputError for an ``-o`` that is no folder, or a link to nothing."""
    if os.path.lexists(place) and not place.is_dir():
        raise InputError.of_option(
            f"-o {from_here(place)}", Code.WRONG_FILE, "is a file", "name a folder"
        )


def check_file(path: Path, *endings: str, said_as: str = "-o ") -> None:
    """Raise InputError for an ``-o`` that is a folder, ends in something else, or lies nowhere.

    Without ``endings`` it may end in anything. What was not given by ``-o`` is ``said_as`` that.
    """
    given = f"{said_as}{path}"
    if path.is_dir():
        raise InputError.of_option(given, Code.WRONG_FILE, "is a folder", "name a file")
    if endings and path.suffix not in endings:
        ends = " or ".join(endings)
        raise InputError.of_option(given, Code.WRONG_FILE, f"the file's name must end in {ends}")
    if not path.parent.is_dir():
        raise InputError.of_option(
            given,
            Code.NO_FILE,
            "there is no folder {folder}",
            "make it first",
            folder=path.parent,
        )


def check_within(folder: Path, path: Path) -> None:
    """Raise InputError for a path in ``folder`` that a link leads out of it."""
    # Unlike Path.resolve this leaves links that lead to themselves to whoever opens them.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise InputError.of_file(
            path,
            Code.WRONG_FILE,
            "a link leads out of {folder}",
            "remove the link",
            folder=folder,
        )


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock on a file, which is made if need be.

    Raises InputError with the text ``busy`` if another process has it. The system lets go of it
    when the process is gone. Who is the last to hold it removes the file.
    """
    try:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if not _try_lock(descriptor):
                    raise InputError(busy)
                if _is_at(path, descriptor):  # or it was removed before it was locked
                    yield
                    break
            finally:
                os.close(descriptor)
    finally:
        _remove_unlocked(path)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: Path) -> None:
    """Remove the file of a lock that no process holds."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if _try_lock(descriptor) and _is_at(path, descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file, and return whether no other process is in the way.

    Where the system or the file system has no locks, that is up to the user.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)
    return True
