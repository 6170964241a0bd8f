"""Replies: results that are bytes, made outside leomix and known by a key that names them.

A method that does its own learning asks for a reply by everything that it depends on. A reply of
this run is found in its folder when the run is resumed, one that may be shared in the cache. Code
of the user's may import more while it makes a reply: a reply says which modules it was made with,
and is used where these are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from learning.files import at_once, read_sealed, write_sealed
from learning.own.code import RunningCode
from learning.values.lazy import Cache, Reuse
from learning.values.store import broken

SIGNED = b"\n"
"""What ends the line, of JSON, that says which code has made a reply."""


class Replies:
    """Bytes by key, computed once for a run, and for all runs where they may be shared.

    ``folder`` keeps those of this run until it is complete, None for a run that is not written;
    ``cache`` those of any run. ``code`` makes them. ``reuse`` counts the calls that were made, and
    those that were spared.
    """

    def __init__(self, reuse: Reuse) -> None:
        self.folder: Path | None = None
        self.cache: Cache | None = None
        self.code: RunningCode | None = None
        self.reuse = reuse
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
            known = self.cache.read(f"{key}.reply", partial(self._unsigned, here=False))
            if known is not None:
                self.reuse.spared.add(key)
        if known is not None:
            return known
        made = make()
        self.reuse.done += 1
        made_with = {} if self.code is None else self.code.imported()
        signed = json.dumps(made_with).encode() + SIGNED + made
        if shared and self.cache is not None and is_sound(made):
            self.cache.keep(f"{key}.reply", len(signed), lambda: signed)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with at_once(self.folder / key, durable=False) as part:
                write_sealed(part, signed)
        elif self._holds:
            self._held[key] = made
        return made

    def _own(self, key: str) -> bytes | None:
        """Return what this run has made before it was resumed."""
        with suppress(FileNotFoundError):
            if self.folder is not None:
                return self._unsigned(_reply(self.folder / key), here=True)
        return None

    def _unsigned(self, data: bytes, *, here: bool) -> bytes:
        """Return a reply; raise ValueError for one that other code has made."""
        made_with, _, made = data.partition(SIGNED)
        code = self.code
        if code is not None and (changed := code.changed(json.loads(made_with), here=here)):
            raise ValueError(
                f"what was saved is from before {', '.join(changed)} changed; name another folder, "
                "or put the old code back"
            )
        return made


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
