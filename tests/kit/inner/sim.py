"""Inner names of ``sim`` that tests use, and functions of a world called with its scenario."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tests.kit.inner import late

__getattr__ = late(
    globals(),
    {
        "orbit.windows": "cut",
        "sim.advice.doubts": "doubts_of",
        "sim.advice.memory": "limits=.",
        "sim.analysis.cases": "compare_cases compare_rows",
        "sim.analysis.checks": "checks_of",
        "sim.analysis.checks.held_back": "bottleneck",
        "sim.analysis.comparison": "Comparison",
        "sim.analysis.comparison_text": "comparison_text",
        "sim.analysis.critical_path": "Part RoundLink",
        "sim.analysis.curves": "StepCurve curve_of curve_over_seeds=over_seeds",
        "sim.analysis.evaluations": "Evaluation TARGETS levels shared_target time_averaged",
        "sim.analysis.experts": (
            "alignment_figures gating_pattern inference_figures jain_index peak utilisation "
            "variation"
        ),
        "sim.analysis.figures": "Figure figure_listed",
        "sim.analysis.labels": "LONGEST_LABEL labels_of",
        "sim.analysis.ranking": "ComparedRun mean_of ranked values_of",
        "sim.analysis.run_text": "pattern_text",
        "sim.analysis.summary": "fault_counts",
        "sim.capacity.budget": "LOSSES",
        "sim.checks.invariants": "Invariants",
        "sim.checks.staleness": "WAITING",
        "sim.cli.app": "command_line status",
        "sim.cli.progress": "Progress",
        "sim.cli.show": "CITATION",
        "sim.clock": "Clock",
        "sim.devices.battery": "Battery Power",
        "sim.devices.compute": "Compute",
        "sim.devices.devices": "Devices",
        "sim.devices.energy": "energy=.",
        "sim.devices.faults": "Faults Presence sent_again sent_to_all",
        "sim.devices.outages": "Intervals NO_INTERVALS Outages drawn_intervals union",
        "sim.draw.accuracy": "comparison=.",
        "sim.draw.canvas": "data_behind",
        "sim.draw.colours": "COLOURS HEAT looks_of",
        "sim.draw.names": "name",
        "sim.draw.timeline": "draw_staleness",
        "sim.draw.views": "broken circle east reach",
        "sim.engine.clients": "Clients",
        "sim.engine.journal": "Journal checksum",
        "sim.errors": "InputError Interrupted InvariantError SimulationError",
        "sim.execution.cache": "Cache Namespace shared_cache=. size_bytes",
        "sim.execution.checkpoint": "ABOUT CHECKPOINT Checkpoint JOURNAL",
        "sim.execution.folder": "RUN_LOG folder=. read_manifest write_tables",
        "sim.execution.identity": "NamedBuild identity=.",
        "sim.execution.log": "RUN_LOGGER",
        "sim.execution.ready": "Plans build",
        "sim.execution.result": "Result",
        "sim.execution.run_cache": "RunCache window_cache=.",
        "sim.execution.running": "RunExecution",
        "sim.execution.trial": "MOST_EVENTS",
        "sim.execution.versions": "versions",
        "sim.export.czml": "ephemerides",
        "sim.export.formats": "FORMATS export",
        "sim.export.perfetto": "MARKED_KINDS trace_lanes",
        "sim.facts.coded": "Coded",
        "sim.facts.directions": "Way",
        "sim.facts.events": "Event",
        "sim.facts.row": "columns_of",
        "sim.facts.stream": "Facts",
        "sim.facts.transfers": "TransferRow",
        "sim.files": "locked packaged",
        "sim.fly.baton": "Baton Pool replace_time runner_here wait_for",
        "sim.fly.project": "check_project",
        "sim.fly.trees": "arrays_of mean",
        "sim.formatting": "counted data_size legend_of percent seconds some",
        "sim.links.beam": "Beam DeviceLinks Radio RangeGrid RateSegment",
        "sim.links.link_table": "plan_links=.",
        "sim.links.pass_geometry": "pass_geometry=.",
        "sim.links.rate_points": "HALVINGS crossings find_jumps turns",
        "sim.links.sharing": "queued shared",
        "sim.mesh.book": "Book ContactGraph",
        "sim.mesh.check": "Messages",
        "sim.mesh.contacts": "ContactPlan Contacts Hop Rates",
        "sim.mesh.messages": "Mesh MeshReach",
        "sim.network.books": "Books LedgerEntry Sums Totals books_of check_balance",
        "sim.network.chains": "ServiceLink",
        "sim.network.endpoint": "CutTransfers Shared",
        "sim.network.legs": "LegLog Moved Trained",
        "sim.network.sessions": "ClusterSessions",
        "sim.page.chart": "chart_of data_of",
        "sim.page.comparison_page": "asked shares_of_groups under_one_sky",
        "sim.page.run_page": "first_days",
        "sim.execution.study_text": "study_text",
        "sim.page.sweep_pictures": "curve drawings_of_groups reading_of_groups",
        "sim.plan.contacts": "ContactTable PlannedContact planning=.",
        "sim.plan.isl_planning": "ring_planes",
        "sim.plan.passes": "PassEnd WindowQuery finding=.",
        "sim.plan.plan": "Plan",
        "sim.plan.service": "session_numbers",
        "sim.process.installation": "HOME",
        "sim.replay.batteries": "Held straightened",
        "sim.replay.faults": "failures=.",
        "sim.replay.orbits": "MOST_OFF_DEG apart_deg arcs_of numbers_of",
        "sim.replay.packing": "packed steps",
        "sim.replay.scene": "scene scenes=. share_sky",
        "sim.replay.traffic": "join_spans traffic=.",
        "sim.sweep.claims": "Claim Claims claims=.",
        "sim.sweep.crew": "Crew",
        "sim.sweep.folder": "There claim_sweep=claim take_points write_rows",
        "sim.sweep.join": "Joined StopSignal attempt",
        "sim.sweep.point": "Point PointOutcome",
        "sim.sweep.points": "SweepPlan combinations",
        "sim.sweep.progress": "SweepProgress",
        "sim.sweep.rows": "MACHINE_COLUMNS failures_text reuse_text rows_table",
        "sim.sweep.varied": "Axes read_pairs read_spec",
        "sim.trace.arrow": "array",
        "sim.trace.digest": "digests json_digest on_grid stamps_on_grid",
        "sim.trace.parquet": "plain write_table",
        "sim.trace.recorder": "BLOCK Trace",
        "sim.trace.schema": "COLUMNS KINDS OPTIONAL schema=.",
        "sim.trace.tables": "Tables",
        "sim.world.sites": "distances_km",
        "sim.world.topology": "Topology",
        "sim.world.world": "World",
    },
)


def _world(scenario: Any) -> Any:
    from sim.world.world import World

    return World(scenario)


def _of(module: str, name: str) -> Callable[..., Any]:
    """What takes a scenario in place of its world, imported when it is called."""

    def called(scenario: Any, *args: Any, **keywords: Any) -> Any:
        return getattr(import_module(module), name)(_world(scenario), *args, **keywords)

    return called


budget = _of("sim.capacity.budget", "budget")

compute_of = _of("sim.devices.compute", "compute_of")

ground_radios = _of("sim.plan.radios", "ground_radios")

learner_of = _of("sim.engine.learning_task", "learner_of")

make_plan = _of("sim.execution.ready", "run_plan")

method_of = _of("sim.engine.setup", "method_of")

one_pass = _of("sim.capacity.budget", "one_pass")

sidelinks_of = _of("sim.links.sidelinks", "sidelinks_of")

portable = _of("sim.execution.identity", "portable")


def device_sites(scenario: Any, index: int) -> Any:
    return _world(scenario).sites.devices_of(index)


def ground_sites(scenario: Any) -> Any:
    return _world(scenario).sites.of_passes


def satellites_of(scenario: Any) -> Any:
    return _world(scenario).fleet.satellites


def flying_of(plan: Any) -> dict[str, Any]:
    """The satellites of a plan by name."""
    return dict(zip(plan.contacts.flyers.names, plan.contacts.satellites, strict=True))


def server_of(scenario: Any) -> Any:
    return _world(scenario).fleet.server


def flying_and_server(scenario: Any) -> Any:
    """The satellites of a scenario, then the one that serves them."""
    return _world(scenario).fleet.flying


def doubts_before(scenario: Any) -> Any:
    """All that is doubted of a scenario before it runs, as `leomix validate` looks for it."""
    from sim.advice.doubts import doubts_before as before_it_begins
    from sim.advice.training import learning_doubts, missing_data
    from sim.execution.ready import build

    built = build(scenario)
    lacking = missing_data(built.world, built.learner)
    tried = learning_doubts(built) if built.learner.trains and not lacking else []
    return [*before_it_begins(built), *lacking, *tried]
