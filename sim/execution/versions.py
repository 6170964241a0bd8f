"""Versions of what decides a result."""

import functools
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("leomix", "torch", "numpy", "scipy", "skyfield", "sgp4", "simpy", "pyarrow", "pandas")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a result, without importing them."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two runs' versions, and what else they were made with."""
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return [f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in names]


def listed(changed: Sequence[str]) -> str:
    """Return what differs in brackets, to stand behind a text; nothing where nothing does."""
    return f" ({', '.join(changed)})" if changed else ""
