"""Versions of what decides a result."""

import functools
import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from socket import gethostname

from sim.errors import InputError
from sim.process.installation import HOME, PACKAGES
from statements import Code

LIBRARIES = ("leomix", "torch", "numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow", "pandas")


SOURCE_NAME = "leomix's source"
"""One version of leomix has several between releases."""


@functools.cache
def installed() -> dict[str, str | None]:
    """Versions of Python and of the libraries that decide a result, without importing them.

    None of a library that is not installed.
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return, as manifests have it, what is :func:`installed`, and which source leomix has."""
    known = {name: number or "not installed" for name, number in installed().items()}
    return {**known, SOURCE_NAME: _source()}


@functools.cache
def _source() -> str:
    """Return a digest of all modules of leomix."""
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted(path for name in PACKAGES for path in (HOME / name).rglob("*.py")):
        digest.update(f"{path.relative_to(HOME).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two runs' versions, and what else they were made with."""
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return [f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in names]


def check_versions(made_with: Mapping[str, str]) -> None:
    """Raise InputError unless a sweep is ``made_with`` the versions of this process."""
    if changed := changes(made_with, versions()):
        raise InputError.of(
            Code.OTHER_VERSIONS,
            "",
            "a worker on {host} has other versions than the sweep: {changed}",
            "start workers of the same ones",
            host=gethostname(),
            changed=", ".join(changed),
        )


def listed(changed: Sequence[str]) -> str:
    """Return what differs in brackets, to stand behind a text; nothing where nothing does."""
    return f" ({', '.join(changed)})" if changed else ""
