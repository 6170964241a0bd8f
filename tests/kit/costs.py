"""Inner names of ``sim`` that tell what a run takes before it."""

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "scenarios.scenario": "Stop",
        "sim.engine.pace": "pace_of",
        "sim.engine.setup": "build",
        "sim.sweep.engine": "Point",
        "sim.sweep.worker": "Watch=_Watch",
        "sim.sweep.worker_process": "tried",
    },
)
