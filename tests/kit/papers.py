"""Inner names of ``sim`` that tests use: papers, their registry, and how entries are shown."""

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "learning.registry": "installed",
        "sim.papers.drawings": "NARROW predictions",
        "sim.papers.flyovers": "flyovers tallied",
        "sim.papers.forms": "FORMS PaperRun",
        "sim.papers.paper": "Predicted VERDICTS read_paper",
        "sim.papers.registry": "PAPERS SHIPPED paper_of",
        "sim.papers.reproducing": "Reproduction",
        "sim.papers.visits": "visits",
    },
)
