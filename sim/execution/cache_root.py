"""The folder of what runs share: where it is, and how it is known to be one of leomix."""

import os
import sys
from pathlib import Path

from learning.files import read_regular

VARIABLE = "LEOMIX_CACHE"
TAG = "CACHEDIR.TAG"
PART = ".part"
"""How files end that are not finished."""
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""First line of the tag by which backups know a cache (bford.info/cachedir)."""
TEXT = (
    f"{SIGNATURE}\n# Results that leomix keeps between runs; `leomix cache --clear` removes them.\n"
)


def cache_folder() -> Path | None:
    """Return ``$LEOMIX_CACHE``, or ``leomix`` in the user's cache folder; None where it is off."""
    if os.environ.get(VARIABLE, "").lower() == "off":
        return None
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "leomix"


def is_cache(folder: Path) -> bool:
    """Whether ``folder`` holds a cache of leomix."""
    try:
        text = read_regular(folder / TAG).decode()
    except (OSError, ValueError):
        return False
    return text.startswith(SIGNATURE) and "leomix" in text


def may_become_cache(folder: Path) -> bool:
    """Whether ``folder`` is a cache, or there is nothing in it. Raises OSError."""
    # What another process begins to write there at this moment is nothing yet.
    return (
        not folder.exists()
        or all(path.suffix == PART for path in folder.iterdir())
        or is_cache(folder)
    )
