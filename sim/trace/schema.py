"""The tables of a run: their columns, types and order of rows."""

from __future__ import annotations

import pyarrow as pa

DIRECTIONS = ("uplink", "downlink", "sidelink")


FLOAT, INT, TEXT, FLAG = pa.float64(), pa.int64(), pa.string(), pa.bool_()

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "contacts": {
        "contact_id": INT,
        "satellite": TEXT,
        "norad_id": INT,
        "cluster": TEXT,
        "rise_utc": pa.timestamp("us", tz="UTC"),
        "culminate_utc": pa.timestamp("us", tz="UTC"),
        "set_utc": pa.timestamp("us", tz="UTC"),
        "rise_s": FLOAT,
        "set_s": FLOAT,
        "duration_s": FLOAT,
        "max_elevation_deg": FLOAT,
        "min_slant_range_km": FLOAT,
        "uplink_capacity_bytes_per_device": FLOAT,
        "served": FLAG,
        "service_start_s": FLOAT,
        "service_end_s": FLOAT,
        "max_doppler_hz": FLOAT,
        "residual_doppler_hz": FLOAT,
    },
    "transfers": {
        "transfer_id": INT,
        "contact_id": INT,
        "cluster": TEXT,
        "device": INT,
        "peer": TEXT,
        "direction": TEXT,
        "payload": TEXT,
        "version": INT,
        "payload_bytes": FLOAT,
        "delivered_bytes": FLOAT,
        "start_s": FLOAT,
        "end_s": FLOAT,
        "outcome": TEXT,
    },
    "events": {
        "time_s": FLOAT,
        "kind": TEXT,
        "cluster": TEXT,
        "device": INT,
        "contact_id": INT,
        "version": INT,
        "rounds": INT,
        "detail": TEXT,
    },
    "metrics": {
        "time_s": FLOAT,
        "cycle": INT,
        "version": INT,
        "scope": TEXT,
        "cluster": TEXT,
        "accuracy": FLOAT,
        "loss": FLOAT,
        "samples": INT,
        "f1": FLOAT,
        "local_ratio": FLOAT,
        "local_count_share": FLOAT,
        "local_weight_share": FLOAT,
    },
    "assignments": {
        "time_s": FLOAT,
        "cycle": INT,
        "cluster": TEXT,
        "device": INT,
        "expert": INT,
        "relevance": FLOAT,
        "probability": FLOAT,
        "assigned": FLAG,
        "samples": INT,
        "expert_class": TEXT,
    },
    "clients": {
        "cluster": TEXT,
        "device": INT,
        "class": INT,
        "samples": INT,
    },
    "updates": {
        "time_s": FLOAT,
        "cluster": TEXT,
        "device": INT,
        "round": INT,
        "version_base": INT,
        "version_server": INT,
        "staleness": INT,
        "weight": FLOAT,
        "samples": INT,
        "contact_id": INT,
        "payload": TEXT,
    },
    "inferences": {
        "time_s": FLOAT,
        "cluster": TEXT,
        "device": INT,
        "batch": INT,
        "experts": TEXT,
        "samples": INT,
        "latency_s": FLOAT,
        "sent_bytes": FLOAT,
        "outcome": TEXT,
    },
}
"""Columns of the run folder's tables, with their Arrow types. Times in seconds since the start."""

OPTIONAL = ("clients", "updates", "inferences")
"""Tables that are written only where they have rows."""

UNDIGESTED = ("clients", "updates")
"""Tables that the digests leave out: those of runs from before there were any stay the same."""

APPENDED = {
    "metrics": ("f1", "local_ratio", "local_count_share", "local_weight_share"),
    "assignments": ("device", "samples"),
}
"""Columns that only some methods fill; a folder of before they were there is read without them."""

KINDS = (
    *("disconnect", "train_end", "connect", "wait", "assign"),
    *("upload_start", "upload_end", "aggregate", "download_start", "download_end"),
    *("train_start", "infer", "drop", "fault", "evaluate"),
)
"""Kinds of events, in the order in which those of one instant are listed."""

ORDER = {
    "contacts": ("contact_id",),
    "transfers": ("start_s", "cluster", "device", "end_s", "contact_id"),
    "events": ("time_s", "kind", "detail", "cluster", "device", "contact_id"),
    "metrics": ("time_s", "cycle"),
    "assignments": ("time_s",),
    "clients": ("cluster", "device", "class"),
    "updates": ("time_s", "cluster", "device"),
    "inferences": ("time_s", "cluster", "device", "batch"),
}
LEARNED = {
    "metrics": (
        *("accuracy", "loss", "samples", "f1"),
        *("local_ratio", "local_count_share", "local_weight_share"),
    ),
    "assignments": ("relevance", "probability", "assigned", "samples", "expert_class"),
}
"""Columns that hold learning results, as do those that are not listed; all others are timing."""
