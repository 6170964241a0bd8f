"""What the manifest says of a run beside its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sim import folder as run_folder
from sim.determinism import determinism_of
from sim.digest import digests
from sim.health import warnings_of

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.build import Build
    from sim.cache import RunCache
    from sim.simulation import Simulation


def manifest_of(
    built: Build,
    simulation: Simulation,
    tables: Mapping[str, pa.Table],
    name: str,
    status: str,
    **said: Any,
) -> dict[str, Any]:
    """Return the manifest of a run as far as it has come; ``said`` is what the run itself knows."""
    scenario, sizes = built.scenario, built.learner.architecture
    whole, timing = digests(tables)
    return {
        "name": name,
        "status": status,
        "method": scenario.learning.method,
        "seed": scenario.seed,
        "start_utc": built.plan.start.isoformat(),
        "simulated_s": simulation.end_s,
        **said,
        "computed_device_s": simulation.computed_s,
        "energy": simulation.energy(),
        "spent": simulation.spending.columns(),
        "loads": simulation.loads(),
        "model_expert_bytes": sizes.experts * sizes.expert_bytes,
        "books": simulation.books,
        "trace_sha256": whole,
        "timing_sha256": timing,
        "warnings": warnings_of(tables, built) if status == "complete" else [],
        "versions": dict(run_folder.versions()),
        "determinism": determinism_of(built.learner),
    }


def trained(built: Build, cache: RunCache | None) -> dict[str, Any]:
    """Return how much was trained, how much of it was known, and what the cache has to do with it.

    ``trainings`` were done by this run, ``trainings_reused`` would have been without the cache.
    """
    reuse = built.learner.values.reuse
    return {
        "trainings": reuse.done,
        "trainings_reused": reuse.spared,
        "cache": None if cache is None else cache.figures(),
    }
