"""Versions of what decides a result."""

import functools
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("leomix", "torch", "numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow", "pandas")


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
    """Return what is :func:`installed` as manifests have it."""
    return {name: number or "not installed" for name, number in installed().items()}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two runs' versions, and what else they were made with."""
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return [f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in names]


def listed(changed: Sequence[str]) -> str:
    """Return what differs in brackets, to stand behind a text; nothing where nothing does."""
    return f" ({', '.join(changed)})" if changed else ""
