"""Keys, and values of keys, that scenarios no longer have, and what to write instead."""

from statements import KeyPath

REMOVED: dict[str, str] = {
    "faults.uploads.late": "for slow devices, write faults.stragglers",
    "faults.uploads.late_minutes": "for slow devices, write faults.stragglers",
    "faults.uploads.not_finite": "for updates that are lost, write faults.uploads.corrupted",
    "ground.slew_deg_s": "write ground.acquisition_s, with the time of a turn in it",
    "ground.stations.slew_deg_s": "write acquisition_s, with the time of a turn in it",
    "link.downlink.sharing": "leave it out: unicast waits in line for a sub-channel",
    "link.uplink.sharing: rounds": "write fixed_subchannel or equal_share",
    "orbit.sets": "leave it out: of a satellite's sets the latest before the start counts",
}
"""By key, or key and value; lists are left out of keys, as in ``ground.stations.name``."""


def instead_of(path: KeyPath, value: object = None) -> str | None:
    """Return what to write in place of a key, or of a value that it has; None if it is not gone."""
    key = ".".join(part for part in path if isinstance(part, str))
    return REMOVED.get(f"{key}: {value}" if isinstance(value, str) else key) or REMOVED.get(key)
