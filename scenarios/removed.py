"""Keys, and values of keys, that scenarios no longer have, and what to write instead."""

from collections.abc import Mapping
from string import Template

from statements import KeyPath, shown

REMOVED: dict[str, str] = {
    "faults.uploads.late": "for slow devices, write faults.stragglers",
    "faults.uploads.late_minutes": "for slow devices, write faults.stragglers",
    "faults.uploads.not_finite": "for updates that are lost, write faults.uploads.corrupted",
    "ground.slew_deg_s": "write ground.acquisition_s, with the time of a turn in it",
    "ground.stations.slew_deg_s": "write acquisition_s, with the time of a turn in it",
    "learning.data.classes_per_device": "write split: {over: devices, kind: shards, "
    "classes: $classes_per_device}",
    "learning.data.dirichlet_alpha": "write split: {over: devices, kind: dirichlet, "
    "alpha: $dirichlet_alpha}",
    "learning.data.partition": "write split: {over: devices, kind: iid}",
    "learning.data.partition: classes": "write split: {over: devices, kind: shards, "
    "classes: $classes_per_device}",
    "learning.data.partition: dirichlet": "write split: {over: devices, kind: dirichlet, "
    "alpha: $dirichlet_alpha}",
    "learning.optimizer.smoothing": "leave it out: the square of rmsprop decays by 0.99",
    "learning.upload": "leave it out: a client sends all of a payload",
    "link.downlink.sharing": "leave it out: unicast waits in line for a sub-channel",
    "link.uplink.sharing: rounds": "write fixed_subchannel or equal_share",
    "orbit.hand_over_gap_s": "leave it out: contacts without a gap between them are one session",
    "orbit.sets": "leave it out: of a satellite's sets the latest before the start counts",
    "orbit.sync_delay_s": "leave it out: what one satellite received, the others know at once",
}
"""By key, or key and value; lists are left out of keys, as in ``ground.stations.name``.

``$NAME`` is the value of a removed key of the section, or else what it was by default.
"""

DEFAULTS = {"classes_per_device": "2", "dirichlet_alpha": "0.5"}


def instead_of(path: KeyPath, value: object, beside: Mapping[str, object]) -> str | None:
    """Return what to write in place of a key, or of a value that it has; None if it is not gone.

    ``beside`` are the values of other keys of its section that are not known.
    """
    key = ".".join(part for part in path if isinstance(part, str))
    instead = REMOVED.get(f"{key}: {value}" if isinstance(value, str) else key) or REMOVED.get(key)
    values = {**DEFAULTS, **{name: shown(given) for name, given in beside.items()}}
    return None if instead is None else Template(instead).safe_substitute(values)
