"""Inner names of ``sim.fly`` that tests use."""

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "sim.fly.baton": "Baton Pool Stuck runner_here wait_for",
        "sim.fly.project": "check_project",
        "sim.fly.simulated_time": "replace_time",
        "sim.fly.trees": "arrays_of mean",
        "learning.own.unrepeatable": "writing",
        "sim.process.garbage": "Traffic",
    },
)
