"""Versions of what decides a result."""

import functools
import platform
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
