"""Inner names of ``sim`` that tests use: summaries, reports, exports, pictures."""

from sim.alignment_summary import alignment_figures
from sim.comparison import compare
from sim.critical_path import (
    CriticalPath,
    Spent,
    critical_path,
)
from sim.exports import ephemeris
from sim.exports.ephemeris import ephemerides, longest_s
from sim.exports.exporting import export
from sim.exports.lanes import MARKS, lanes_of
from sim.faults import FAULT_KINDS, fault_counts, fault_lines
from sim.networked_summary import (
    gating_pattern,
    inference_figures,
    networked_figures,
    utilisation,
)
from sim.notebook import spent_text
from sim.pictures import comparison
from sim.pictures.canvas import COLOURS, name, new_axes
from sim.pictures.ground_map import (
    _rings,
    broken,
    circle,
    east,
    reach,
)
from sim.pictures.site_names import write_names
from sim.pictures.sweep import heat_map, lines
from sim.progress import Progress
from sim.readiness import missing_data
from sim.reports import spans
from sim.scaffold import write_scenario
from sim.summary import TARGETS, summarise
from sim.system_text import pattern_text
from sim.text import comparison_text, summary_text
from sim.units_text import seconds
from sim.yaml_text import as_yaml
