"""Inner names of ``sim`` that tests use: sweeps, exports and the command line."""

from scenarios import Scenario
from sim.execution import identity
from sim.world.world import World
from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "sim.cli.app": "command_line status",
        "sim.cli.removed": "REMOVED",
        "sim.cli.show": "CITATION",
        "sim.errors": "Interrupted",
        "sim.execution.versions": "versions",
        "sim.export.formats": "FORMATS",
        "sim.files": "locked",
        "sim.process.installation": "HOME PACKAGES",
        "sim.sweep.claims": "Claims claims=.",
        "sim.sweep.compared": "compared_rows",
        "sim.sweep.crew": "Crew",
        "sim.sweep.join": "Stop",
        "sim.sweep.point": "Outcome Point",
        "sim.sweep.points": "SweepPlan combinations",
        "sim.sweep.progress": "SweepProgress",
        "sim.sweep.rows": "MACHINE_COLUMNS missing_status no_room rows_table",
        "sim.sweep.varied": "Axes read_pairs read_spec",
    },
)


def point_identity(scenario: Scenario) -> identity.PointIdentity:
    """What tells a scenario's run from others."""
    return identity.point_identity(World(scenario))
