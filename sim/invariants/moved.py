"""Rows of transfers as they are written: of one cluster, contact, direction and payload."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.coded import Coded


class Moved:
    """What devices (one a row) of a cluster moved of a payload in a contact, in one direction.

    ``bytes`` moved of ``size``. What several invariants ask of the rows is worked out once, and
    what only rare rows need not before they come.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.cluster: str = columns["cluster"]
        self.contact_id: int = columns["contact_id"]
        self.direction: str = columns["direction"]
        self.payload: str = columns["payload"]
        self.device: Ints = columns["device"]
        self.version: Ints = columns["version"]
        self.size: Floats = columns["payload_bytes"]
        self.bytes: Floats = columns["delivered_bytes"]
        self.start_s: Floats = columns["start_s"]
        self.end_s: Floats = columns["end_s"]
        self._outcome: Coded | str = columns["outcome"]
        self.first_s = float(self.start_s.min())
        self.last_s = float(self.end_s.max())

    @cached_property
    def delivered(self) -> Mask:
        """Which rows are the last of a payload that is through."""
        return self._are("delivered")

    @cached_property
    def carried(self) -> Mask:
        """Which rows are of a payload that goes on; others were given up."""
        return self._are("carried")

    @cached_property
    def all_delivered(self) -> bool:
        """Whether nothing was cut off."""
        said = self._outcome
        if isinstance(said, Coded) and said.words[0] == "delivered":
            return not np.count_nonzero(said.codes)
        return everywhere(self.delivered)

    def named(self, row: int) -> str:
        """Say which transfer a row is of."""
        return (
            f"{self.direction} of {self.payload} by device {self.device[row]} of {self.cluster} at "
            f"{self.start_s[row]:.3f} s to {self.end_s[row]:.3f} s"
        )

    def _are(self, word: str) -> Mask:
        said = self._outcome
        if isinstance(said, str):
            return np.full(len(self.device), said == word)
        code = said.words.index(word) if word in said.words else len(said.words)
        rows: Mask = np.asarray(said.codes) == code
        return rows


def everywhere(fine: Mask) -> bool:
    """Whether all rows are fine: to count them is several times quicker than to ask."""
    return bool(np.count_nonzero(fine) == len(fine))


def worst(wrong: Mask) -> int:
    """Return the first row that is wrong."""
    return int(np.argmax(wrong))
