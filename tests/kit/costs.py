"""Inner names of ``sim`` that tell what a run takes before it."""

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "scenarios.scenario": "Stop",
        "sim.sweep.point": "Point",
        "sim.sweep.worker": "Watch=_Watch",
        "sim.sweep.trial": "tried",
    },
)
