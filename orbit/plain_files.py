"""Bytes of the text files that orbits come from: regular files only, and none that fills memory."""

import errno
import os
import stat
from os import PathLike, fspath

LARGEST_BYTES = 100_000_000
"""Elements of all catalogued objects as XML are half of it."""


def read_bytes(path: str | PathLike[str], error: type[ValueError]) -> bytes:
    """All bytes of a regular file of at most `LARGEST_BYTES`.

    Whatever else a name may lead to is never opened: a pipe would wait for ever, a device may have
    no end. Raises `error` for that and for larger files, OSError when the file cannot be read.
    """
    name = fspath(path)
    if "\0" in name:
        raise error(f"{name!r}: is no path; name a file")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise error(f"{name}: is a pipe or a device; name a regular file")
    with open(path, "rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise error(f"{name}: is larger than {LARGEST_BYTES / 1e6:.0f} MB; give a part of it")
    return data
