"""When the devices of a cluster are there: they leave and return, and work only when there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.faults.spells import Spells


class Presence:
    """K devices that are away during their spells; all in closed form, without a step of time.

    Times may be inf, for a device that never is ready: what is said of it then means nothing.
    """

    def __init__(self, away: Sequence[Spells]) -> None:
        self.away = tuple(away)
        most = max((len(spells.begin_s) for spells in away), default=0)
        shape = len(self.away), most + 1
        self._begin_s, self._end_s = np.full(shape, np.inf), np.full(shape, np.inf)
        self._lost_s = np.zeros(shape)
        for k, spells in enumerate(self.away):
            count = len(spells.begin_s)
            self._begin_s[k, :count], self._end_s[k, :count] = spells.begin_s, spells.end_s
            self._lost_s[k, 1 : count + 1] = np.cumsum(spells.end_s - spells.begin_s)
            self._lost_s[k, count + 1 :] = self._lost_s[k, count]
        self._rows = np.arange(len(self.away))

    def present(self, time_s: Floats) -> Mask:
        """Which devices (K,) are there at their times (K,)."""
        begun = self._begun(time_s)
        there: Mask = (begun == 0) | (time_s >= self._end_of(begun))
        return there

    def leaves_s(self, time_s: Floats) -> Floats:
        """When each device (K,) that is there leaves next; inf for never."""
        leaves_s: Floats = self._begin_s[self._rows, self._begun(time_s)]
        return leaves_s

    def returns_s(self, time_s: Floats) -> Floats:
        """The times (K,) themselves, or when the devices return that are away then."""
        return np.where(self.present(time_s), time_s, self._end_of(self._begun(time_s)))

    def present_s(self, from_s: Floats, to_s: Floats) -> Floats:
        """Seconds (K,) that the devices are there between two times; 0 where they are reversed."""
        lost_s = self._lost_by_s(to_s) - self._lost_by_s(from_s)
        return np.maximum(to_s - from_s - lost_s, 0.0)

    def after_s(self, from_s: Floats, work_s: Floats) -> Floats:
        """When the devices (K,) have been there for ``work_s`` (K,) since ``from_s``: the first
        such time."""
        worked_s = from_s - self._lost_by_s(from_s) + work_s
        # Time present by each leaving, which those who have worked longer have seen.
        by_leaving_s = np.where(np.isfinite(self._begin_s), self._begin_s - self._lost_s, np.inf)
        seen = np.count_nonzero(by_leaving_s < worked_s[:, None], axis=1)
        after_s: Floats = np.maximum(worked_s + self._lost_s[self._rows, seen], from_s)
        return after_s

    def _begun(self, time_s: Floats) -> Ints:
        """How many spells (K,) have begun by the times; of a device that is never ready, none."""
        begun = self._begin_s[:, :-1] <= np.where(np.isfinite(time_s), time_s, -1.0)[:, None]
        count: Ints = np.count_nonzero(begun, axis=1)
        return count

    def _end_of(self, begun: Ints) -> Floats:
        """When the last of so many spells ends (K,)."""
        end_s: Floats = self._end_s[self._rows, np.maximum(begun - 1, 0)]
        return end_s

    def _lost_by_s(self, time_s: Floats) -> Floats:
        """Seconds (K,) that the devices have been away by the times."""
        begun = self._begun(time_s)
        rest_s = np.maximum(self._end_of(begun) - time_s, 0.0)
        lost_s = self._lost_s[self._rows, begun] - rest_s
        return np.where(begun > 0, lost_s, 0.0)
