"""Inner names of ``sim`` that tests use: summaries, reports, exports, pictures."""

from sim.analysis.caveats import nothing_learnt
from sim.analysis.citations import citations
from sim.analysis.comparison_text import comparison_text, mean_text
from sim.analysis.critical_path import CriticalPath, Spent, critical_path
from sim.analysis.curves import Steps, clusters_measured, curve_of
from sim.analysis.curves import over_seeds as curve_over_seeds
from sim.analysis.diagnosis import noise_of
from sim.analysis.experts import alignment_figures
from sim.analysis.figures import Figure
from sim.analysis.inference import gating_pattern, inference_figures, utilisation
from sim.analysis.judged import Judged
from sim.analysis.labels import LONGEST, labels_of
from sim.analysis.lead import Asked, Bounds
from sim.analysis.link_states import RoundLink
from sim.analysis.measure import Measure, measure_of
from sim.analysis.over_seeds import geometric, over_seeds, paired
from sim.analysis.pair_tests import pair_tests
from sim.analysis.round_paths import Limit, Part, RoundPaths, round_paths
from sim.analysis.rows import Standing, answer_of
from sim.analysis.rows_json import rows_json
from sim.analysis.summary import fault_counts, summarise
from sim.analysis.targets import (
    TARGETS,
    Evaluation,
    by_validation,
    first_reached,
    first_sustained,
    levels,
    shared_target,
    validation_at,
)
from sim.analysis.text import pattern_text, summary_text
from sim.analysis.time_average import common_deadline, time_averaged
from sim.analysis.verdict import Verdict, ranking_of
from sim.analysis.verdict_text import answer_text, headline
from sim.cli.new import write_scenario
from sim.cli.progress import Progress
from sim.cli.training_doubts import missing_data
from sim.execution.result import compare, spent_text
from sim.export.ephemerides import ephemerides
from sim.export.formats import export
from sim.export.lanes import MARKS, lanes_of
from sim.formatting import as_yaml, data_size, seconds, some
from sim.plots import accuracy as comparison
from sim.plots.colours import COLOURS, looks_of
from sim.plots.names import name
from sim.plots.sweep import heat_map, lines
from sim.plots.views import broken, circle, east, reach
from sim.report import timeline as spans
from sim.report.latex import escaped
