"""Replies: results that are bytes, made outside leomix and known by a key that names them.

A method that does its own learning asks for a reply by everything that it depends on. A reply of
this run is found in its folder when the run is resumed, one that may be shared in the cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from learning.files import at_once, read_sealed, write_sealed
from learning.values.reuse import Cache, Reuse
from learning.values.store import broken

REPLY = ".reply"
"""Kind of a result that runs share: bytes of a method's own."""


class Replies:
    """Bytes by key, computed once for a run, and for all runs where they may be shared.

    ``folder`` keeps those of this run until it is complete, None for a run that is not written;
    ``cache`` those of any run. ``reuse`` counts the calls that were made, and those that were
    spared.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.cache: Cache | None = None
        self.reuse = Reuse()
        self._holds = False
        self._held: dict[str, bytes] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold what is made meanwhile, and kept nowhere else, until it is asked for once more."""
        self._holds = True
        try:
            yield
        finally:
            self._holds = False

    def ask(
        self,
        key: str,
        make: Callable[[], bytes],
        *,
        shared: bool,
        is_sound: Callable[[bytes], bool] = lambda _: True,
    ) -> bytes:
        """Return the bytes of ``key``, or what ``make`` returns, which is kept.

        Give ``shared`` where the key names all that the bytes depend on; else they are of this run
        alone, and so are those that are not sound: an error may not come again.
        """
        known = self._held.pop(key, None) or self._own(key)
        if known is None and shared and self.cache is not None:
            known = self.cache.read(REPLY, key, bytes)
            if known is not None:
                self.reuse.spare_key(key)
        if known is not None:
            return known
        made = make()
        self.reuse.done += 1
        if shared and self.cache is not None and is_sound(made):
            self.cache.keep(REPLY, key, len(made), lambda: made)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with at_once(self.folder / key, durable=False) as part:
                write_sealed(part, made)
        elif self._holds:
            self._held[key] = made
        return made

    def _own(self, key: str) -> bytes | None:
        """Return what this run has made before it was resumed."""
        with suppress(FileNotFoundError):
            if self.folder is not None:
                return _reply(self.folder / key)
        return None


def check_replies(folder: Path) -> None:
    """Raise ValueError, by its file, for a reply in a folder that has changed since it was made."""
    for path in sorted(folder.glob("[!.]*")):
        _reply(path)


def _reply(path: Path) -> bytes:
    try:
        return read_sealed(path)
    except ValueError as error:
        raise broken(path, error) from None


def key_of(*parts: Any) -> str:
    """Return a key of 32 hexadecimal digits that names ``parts``, which are JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
