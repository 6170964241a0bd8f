"""Decide: a method asks who plays the run which clients take part, and when it aggregates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from learning.requests.cluster import Cost
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class Situation:
    """What the server knows as it asks for a decision; arrays run over the C clusters, in order.

    ``version`` is that of its model, and ``accuracy`` what was measured of that: nan where nothing
    is measured. ``merged`` is how many times the samples of all devices have been merged so far, an
    update of age x counting s(x) of its samples. Clusters in ``chosen`` (C,) take part in the
    present round; those that are ``working`` (C,) have a model, or an update on its way, of it or
    of an earlier one; updates of those that have ``arrived`` (C,) wait to be aggregated. Of both,
    ``staleness`` (C,) is how many versions the oldest of these models is behind the server's; it is
    0 for all others. ``share`` (C,) is that of all samples. A local round takes the ``cost`` of a
    device, and the model has so many bytes, up and down.
    """

    version: int
    accuracy: float
    merged: float
    chosen: Mask
    working: Mask
    arrived: Mask
    staleness: Ints
    share: Floats
    cost: Cost
    upload_bytes: float
    download_bytes: float


@dataclass(frozen=True, eq=False)
class Observation(Situation):
    """A situation at ``time_s``, and what the contact plan holds for each cluster next.

    The next session of a cluster, or the rest of the one that is open, begins in ``wait_s`` (C,)
    seconds (inf where none is left), lasts ``contact_s`` (C,), and carries ``uplink_bytes`` and
    ``downlink_bytes`` (C,) of the device with the poorest link if it were alone (inf where a
    direction is neglected). ``round_s`` (C,) is the time of a local round of its slowest device,
    and ``charge`` (C,) the share of a battery's capacity that it holds: 1 without a battery.
    """

    time_s: float
    wait_s: Floats
    contact_s: Floats
    uplink_bytes: Floats
    downlink_bytes: Floats
    round_s: Floats
    charge: Floats


@dataclass(frozen=True, eq=False)
class Decision:
    """Which ``clients`` (C,) take part in the next round, and whether that begins now.

    With ``aggregate`` the server aggregates what has arrived.
    """

    clients: Mask
    aggregate: bool = False


Agent = Callable[[Observation], Decision]
"""Decides at each observation; it is asked in order of simulated time."""


@dataclass(frozen=True, eq=False)
class Decide:
    """Ask for a decision, which takes no simulated time. Reply: :class:`Decision`.

    Who plays the run from outside decides; where nobody does, the method's own ``agent``. Of a run
    that is resumed it is asked again from the start.
    """

    situation: Situation
    agent: Agent
