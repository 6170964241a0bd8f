"""Captions of a paper: what is shown, over which seeds, how it was tested, and what all share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sim.analysis import comparison_text as text
from sim.analysis.comparison import Comparison, Group, flat
from sim.analysis.curves import Over, What
from sim.analysis.figures import LISTED
from sim.analysis.judged import Judged
from sim.analysis.lead import FEWEST
from sim.analysis.verdict_text import caveat_lines
from sim.formatting import as_yaml, counted, listed
from sim.plots.canvas import Unit
from sim.report.kit.tables import KINDS, is_ratio, paired

CURVES = {
    "accuracy": "Accuracy of the server's model",
    "loss": "Loss of the server's model",
    "cycles": "Complete cycles",
    "sent_bytes": "Bytes on the air (all directions together)",
}
OVER: dict[Over, str] = {
    "time": "simulated time",
    "cycle": "complete cycles",
    "bytes": "the bytes on the air (all directions together)",
    "energy": "the energy of training, and radiated in sending",
}
UNLIKE = 1.5
"""How many times as many rounds devices of one group train, from which on it is said."""
MOST_SEEDS = 12
"""Seeds up to which a caption names each."""
ORBIT = (
    *("pattern", "satellites", "planes", "altitude_km", "semi_major_axis_km", "eccentricity"),
    *("inclination_deg", "min_elevation_deg"),
)
"""Keys of the orbit that a caption states where all runs share them."""


class Said(NamedTuple):
    """What is said of a figure or table: a short caption, and a note for the text of the paper."""

    caption: str
    note: str


CLIPPED = "clipped to the range of the figure"
RANGES = (
    f"Intervals are {CLIPPED}: 0 to 1 of an accuracy, from 0 on of bytes, cycles and arithmetic "
    "means of times"
)


def of_curves(what: What, over: Over, groups: Sequence[Group], targets: Sequence[str]) -> Said:
    """Return what a figure of curves shows, and how it was averaged."""
    tokens = any(run.summary["accuracy_final"] is not None for g in groups for run in g.runs)
    of = " on the next token (nats)" if what == "loss" and tokens else ""
    caption = f"{CURVES[what]}{of} over {OVER[over]}: {mean_of(groups)}"
    words = ["A value holds until the next one is measured"]
    if banded := any(len(group.runs) >= FEWEST for group in groups):
        caption += "; band: 95 % interval"
    if banded:
        words.append(f"Bands are 95 % intervals of the mean (Student's t), {CLIPPED}")
    if what == "accuracy" and targets:
        many = f"lines are the targets, accuracies of {listed(targets)}"
        one = f"line is the target, an accuracy of {targets[0]}"
        words.append(f"The thin {many if len(targets) > 1 else one}")
    if over in ("bytes", "energy"):
        words.append("A run that has ended keeps its last value")
    return Said(sentences([caption]), sentences(words))


def over_key(what: str, key: str, groups: Sequence[Group], *, shared: str) -> Said:
    """Return what a figure over a key's values shows; ``shared`` is the target it is about."""
    caption = f"{what} over {key}: {mean_of(groups)}"
    words = []
    if any(len(group.runs) >= FEWEST for group in groups):
        caption += "; bars: 95 % interval"
        ends = "on logarithms of the times where none is 0" if shared else CLIPPED
        words.append(f"Bars are 95 % intervals of the mean (Student's t), {ends}")
    if shared:
        words.append("A value with which some seed has not reached the target has no point")
    return Said(sentences([caption]), sentences(words))


def mean_of(groups: Sequence[Group]) -> str:
    """Say over which seeds means are taken."""
    each = [sorted({int(run.summary["seed"]) for run in group.runs}) for group in groups]
    counts = sorted({len(seeds) for seeds in each})
    if counts == [1]:
        return "one seed"
    many = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    same = all(seeds == each[0] for seeds in each) and len(each[0]) <= MOST_SEEDS
    named = f" ({', '.join(map(str, each[0]))})" if same else ""
    return f"mean over {many} seeds{named}"


def of_results(comparison: Comparison, groups: Sequence[Group], missing: str, clock: Unit) -> Said:
    """Return what the table of results shows: means, tests, and what is not known.

    ``missing`` says which points a sweep lacks. Times are in the unit ``clock``.
    """
    known = comparison["groups"]
    learnt = f"{comparison['judged_by']}_final"
    trained = any(group[learnt]["mean"] is not None for group in known)
    words = [RANGES] if _has_intervals(groups) else []
    if trained and (target := comparison["shared_target"]):
        words.append(_times(f"{_upper(clock.name)} to {target}", clock))
    words.append(
        "Uplink and downlink are what a whole run has on the air"
        if known[0]["isl_bytes"]["max"] in (None, 0.0)
        else "Uplink, downlink and ISL are what a whole run has on the air"
    )
    if len(groups) > 1:
        words.append(_tested(comparison, groups))
    if all(group["energy_j"]["mean"] is None for group in known):
        words.append("Energy is not modelled")
    words += _unlike_training(known)
    words += caveat_lines(comparison.caveats, len(groups))
    words += text.stand_in_lines(known)
    return Said(f"Results: {_means(groups)}.", sentences([*words, missing]))


def _unlike_training(known: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say how many rounds devices trained, where that differs by half or more."""
    rounds = {group["label"]: group["device_rounds"]["median"] for group in known}
    each = [value for value in rounds.values() if value]
    if len(each) > 1 and max(each) >= UNLIKE * min(each):
        said = [f"{value:,.0f} rounds ({label})" for label, value in rounds.items() if value]
        yield f"Devices trained {listed(said)}, all together, medians over seeds"


def of_targets(groups: Sequence[Group], clock: Unit) -> Said:
    """Return what the table of targets shows."""
    words = [RANGES] if _has_intervals(groups) else []
    words.append(_times(_upper(clock.name), clock))
    words.append("Bytes are all that was on the air by then")
    words.append("Where some seeds have not reached a target, it is stated how many have")
    return Said(f"What target accuracies took: {_means(groups)}.", sentences(words))


def of_tests(comparison: Comparison) -> Said:
    """Return how groups were tested against the reference, and what p values are corrected for."""
    tests = paired(comparison)
    kinds = {is_ratio(test) for test in tests}
    words = ["Intervals are 95 % (Student's t)"]
    if True in kinds:
        words.append("A ratio is one of geometric means")
    words += [
        "p (t) is that of the two-sided paired t test, p (Wilcoxon) that of the signed ranks",
        *text.test_notes(comparison),
    ]
    shown = " and ".join(f"{word}s" for ratios, word in KINDS.items() if ratios in kinds)
    each = {test["against"] for test in tests}
    whom = (
        "of every two groups, the first less the second,"
        if len(each) > 1
        else f"against {comparison['reference']}"
    )
    caption = f"Tests {whom} on the same seeds: {shown}."
    return Said(caption, sentences(words))


def _upper(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _has_intervals(groups: Sequence[Group]) -> bool:
    return any(len(group.runs) >= FEWEST for group in groups)


def _means(groups: Sequence[Group]) -> str:
    mean = mean_of(groups)
    if _has_intervals(groups):
        mean += ", below it its 95 % interval (Student's t) where seeds differ"
    return mean


def _times(what: str, clock: Unit) -> str:
    return (
        f"{what}: simulated {clock.name} to the first evaluation at that accuracy; the geometric "
        "mean, as times are compared by ratios, or the mean where a seed begins there"
    )


def _tested(comparison: Comparison, groups: Sequence[Group]) -> str:
    """Say what bold is: the rule that is in force with so many seeds."""
    equal = "equal figures are not bold"
    if not _has_intervals(groups):
        return f"Bold is the best, ahead of every other one at the same seeds; {equal}"
    tests = comparison["tests_corrected_for"]
    own = "for the pairs of groups by the figure"
    if tests > 1:
        own = (
            f"for {tests} tests: all pairs of groups by each figure that leomix compare tests; of "
            "any other figure for the pairs by it alone"
        )
    return (
        "Bold is the best, ahead of every other one by a two-sided paired t test on the same seeds "
        f"with p below 0.05 after Holm's correction ({own}), or by the same at each seed; {equal}"
    )


def settings(manifests: Sequence[Mapping[str, Any]], *, drawn: bool) -> str:
    """Return what all runs share: scenario, span, orbit, clients, data and model; and by what."""
    shared = _shared([flat(manifest["scenario"]) for manifest in manifests])
    words = list(_settings(manifests, shared))
    versions = sorted({str(manifest["versions"]["leomix"]) for manifest in manifests})
    found = [f"Common to all: {', '.join(words)}"] if words else []
    if not drawn:
        found.append("Nothing is drawn at random: every seed gives the same figures")
    return sentences([*found, f"Simulated with leomix {listed(versions)}"])


def _shared(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the keys that all runs have with the same value."""
    first = each[0]
    return {k: v for k, v in first.items() if all(k in one and one[k] == v for one in each)}


def _settings(manifests: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Iterator[str]:
    names = {str(manifest.get("name")) for manifest in manifests}
    if len(names) == 1:
        yield f"scenario {names.pop()}"
    for key, name in (("days", "day"), ("cycles", "cycle"), ("rounds", "round")):
        if (most := shared.get(f"stop.{key}")) is not None:
            yield f"{as_yaml(most)} {name}{'' if most == 1 else 's'}"
    yield from _orbit(shared)
    yield from _clients(manifests[0]["scenario"]["ground"]["clusters"], shared)
    if "link.preset" in shared:
        yield f"link preset {shared['link.preset']}"
    if shared.get("learning.train", True):
        for key, name in (("data.kind", "data"), ("model.kind", "model")):
            if f"learning.{key}" in shared:
                yield f"{name} {shared[f'learning.{key}']}"
        yield from _training(shared)
    if "learning.method" in shared:
        yield f"method {shared['learning.method']}"


def _orbit(shared: Mapping[str, Any]) -> Iterator[str]:
    """Yield when runs begin, and what flies, where all share it."""
    if "start" in shared and shared.get("orbit.source") != "slots":
        yield f"from {shared['start']}"
    if "orbit.source" in shared:
        kept = [_value(key, shared.get(f"orbit.{key}")) for key in ORBIT]
        said = [one for one in kept if one]
        yield f"orbit {shared['orbit.source']}" + (f" ({', '.join(said)})" if said else "")


def _training(shared: Mapping[str, Any]) -> Iterator[str]:
    """Yield how data are split and devices train, where all runs share it."""
    own = {key.removeprefix("learning."): value for key, value in shared.items()}
    if kind := own.get("data.split.kind"):
        alpha = own.get("data.split.alpha")
        of = f" (alpha {as_yaml(alpha)})" if alpha is not None else ""
        yield f"split {kind}{of} over {own.get('data.split.over')}"
    steps, batch = own.get("steps_per_round"), own.get("batch_size")
    if steps is not None and batch is not None:
        yield f"{counted(steps, 'step')} of {counted(batch, 'sample')} a round"
    if (size := own.get("step_size")) is not None:
        yield f"step size {as_yaml(size)}"
    if kind := own.get("optimizer.kind"):
        yield f"optimizer {kind}"
    if (seconds := own.get("compute.seconds_per_round")) is not None:
        yield f"{as_yaml(seconds)} s a round"
    for key, where in (("per_contact", "a contact"), ("per_gap_max", "a gap at most")):
        if (most := own.get(f"rounds.{key}")) is not None:
            yield f"{counted(most, 'round')} {where}"


def _clients(clusters: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Iterator[str]:
    """Yield who the clients are, where all runs share them."""
    clients = shared.get("roles.clients", "devices")
    devices = sum(cluster.get("devices") or 0 for cluster in clusters)
    if clients != "devices":
        yield f"each {clients.removesuffix('s')} a client"
    elif devices and "ground.clusters" in shared:
        yield f"{counted(len(clusters), 'cluster')} with {counted(devices, 'device')}"


def _value(key: str, value: Any) -> str:
    """Say a key's value with its unit: "altitude 550 km"; nothing where it has none."""
    if value is None:
        return ""
    name, _, last = key.rpartition("_")
    unit = LISTED["units"].get(last, "") if name else ""
    called = (name if unit else key).replace("_", " ").replace("min ", "least ")
    return f"{called} {as_yaml(value)} {unit}".strip()


def judged_curves(judged: Judged, *, trained: bool) -> list[tuple[What, Over]]:
    """Return the figures of a paper: what they show, and over what."""
    if not trained:
        return [("cycles", "time"), ("sent_bytes", "time")]
    what: What = "loss" if judged == Judged.LOSS else "accuracy"
    return [(what, "time"), (what, "bytes"), (what, "energy")]


ALWAYS: tuple[tuple[What, Over], ...] = (("accuracy", "bytes"),)
"""What tables need of each run beside what figures show."""


def sentences(words: Sequence[str]) -> str:
    """Return each with a full stop, one behind the other; names at their begin stay as they are."""
    return " ".join(f"{one.strip().rstrip('.')}." for one in words if one.strip())
