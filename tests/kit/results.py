"""Inner names of ``sim`` that tests use: summaries, reports, exports, pictures."""

from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "sim.analysis.checks": "CHECKS checks_of",
        "sim.analysis.comparison": "Comparison",
        "sim.analysis.comparison_text": "comparison_text",
        "sim.analysis.critical_path": "Part RoundLink critical_path",
        "sim.analysis.curves": "Steps curve_over_seeds=over_seeds",
        "sim.analysis.experts": (
            "alignment_figures gating_pattern inference_figures jain_index peak utilisation "
            "variation"
        ),
        "sim.analysis.figures": "Figure figure_listed",
        "sim.analysis.labels": "LONGEST labels_of",
        "sim.analysis.round_paths": "round_paths",
        "sim.analysis.ranking": "Case mean_of ranked values_of",
        "sim.analysis.summary": "fault_counts summarise",
        "sim.analysis.evaluations": (
            "Evaluation TARGETS by_validation levels shared_target time_averaged"
        ),
        "sim.analysis.run_text": "pattern_text summary_text",
        "sim.cli.progress": "Progress",
        "sim.advice.training": "missing_data",
        "sim.execution.result": "compare",
        "sim.export.czml": "ephemerides",
        "sim.export.formats": "export",
        "sim.export.perfetto": "MARKS lanes_of",
        "sim.formatting": "counted data_size percent seconds short_size some",
        "sim.draw.accuracy": "comparison=.",
        "sim.draw.colours": "COLOURS HEAT looks_of",
        "sim.draw.names": "name",
        "sim.page.sweep_pictures": "curve",
        "sim.draw.views": "broken circle east reach",
    },
)
