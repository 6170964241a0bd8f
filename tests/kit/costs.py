"""Inner names of ``sim`` that tell what a run takes before it."""

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "scenarios.scenario": "Stop",
        "sim.cli.estimate": "estimated_s",
        "sim.engine.cost": "Cost Pace Took cost_of kinds_of pace_of timed=_timed",
        "sim.engine.rehearsal": "rehearsed",
        "sim.engine.setup": "build",
        "sim.sweep.point": "Point",
        "sim.sweep.worker": "Watch=_Watch",
        "sim.sweep.trial": "tried",
    },
)
