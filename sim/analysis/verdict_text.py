"""What is said of a ranking, on the terminal and on pages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from sim.analysis.lead import FEWEST, Lead
from sim.analysis.verdict import Ranking, Verdict, verdict_of
from sim.formatting import listed

Form = Callable[[float], str]
Names = Callable[[Sequence[str]], str]


def sentence(
    ranking: Ranking, form: Form, names: Names = listed, more_seeds: str = "run more seeds"
) -> str:
    """Say who is best, or why none is; empty where there is nothing to compare.

    ``form`` shows a figure, ``names`` lists labels; ``more_seeds`` says what to do where there is
    one seed only. Who is called best is one of ``ranking.winners``.
    """
    if ranking.verdict is Verdict.ALONE:
        return ""
    if ranking.verdict is Verdict.NEVER:
        return f"only {names(ranking.best)} has it with each seed" if ranking.best else ""
    if ranking.verdict is Verdict.NO_ORDER:
        return "none is best; each is behind another one at the points that both have"
    if not ranking.leads:
        return "none is best; there are too few seeds in common to compare"
    against = ranking.leads[ranking.against[0]] if ranking.against else None
    behind = (
        ""
        if against is None
        else f"{names(ranking.against)} {by(against, form, more_seeds, ranking.tests)}"
    )
    if ranking.verdict is Verdict.AHEAD:
        return f"{names(ranking.best)} is best, ahead of {behind}"
    if ranking.verdict is Verdict.TIE:
        return _tie(ranking, names, behind)
    if ranking.verdict is Verdict.LEVEL:
        return f"none is best; {_level(ranking, names)}{_others(ranking, names, ())}"
    others = _others(ranking, names, ranking.against)
    return f"undecided; {names(ranking.best)} leads {behind}{others}"


def _tie(ranking: Ranking, names: Names, behind: str) -> str:
    equal = _equal(ranking, names)
    same = f"{names(ranking.best)} tie, {equal}"
    if not behind:
        return f"none is best; {same}{_others(ranking, names, ())}"
    if ranking.winners:
        return f"{names(ranking.best)} are best, {equal}, and ahead of {behind}"
    return f"none is best; {same}, and lead {behind}{_others(ranking, names, ranking.against)}"


def _equal(ranking: Ranking, names: Names) -> str:
    """Say at how many points, or with how many seeds, those who tie are equal."""
    tied = [one for label, one in ranking.leads.items() if label in ranking.best]
    cases = tied[0].by_case.keys()
    if len(tied) > 1 and any(one.by_case.keys() != cases for one in tied):
        return f"each equal to {names([str(ranking.first)])} with the seeds that both have"
    points = len(cases)
    seeds = len(tied[0].by_seed)
    of_both = max(one.seeds for one in tied)
    if points > seeds:
        return f"equal at each of {points} points"
    if of_both > seeds:
        return f"equal with the {'one seed' if seeds == 1 else f'{seeds} seeds'} that both have"
    return "equal with the one seed" if seeds == 1 else f"equal with each of {seeds} seeds"


def _level(ranking: Ranking, names: Names) -> str:
    """Say who is equal in the mean, and of the first two that differ how often each is ahead."""
    text = f"{names(ranking.best)} are level in the mean"
    other = next(label for label in ranking.best if _unlike(ranking, label))
    one = ranking.leads[other]
    ahead = sum(apart > 0.0 for apart in one.by_case.values())
    back = sum(apart < 0.0 for apart in one.by_case.values())
    what = "points" if len(one.by_case) > len(one.by_seed) else "seeds"
    counts = f"{names([str(ranking.first)])} ahead at {ahead} and {names([other])} at {back}"
    return f"{text}, {counts} of {len(one.by_case)} {what}"


def _unlike(ranking: Ranking, label: str) -> bool:
    return label in ranking.leads and verdict_of(ranking.leads[label]) is Verdict.LEVEL


def _others(ranking: Ranking, names: Names, named: Sequence[str]) -> str:
    """Name those that cannot be told from the best, beside those that are ``named`` already."""
    text = ""
    more = [label for label in ranking.unresolved if label not in named]
    if named and all(verdict_of(ranking.leads[label]) is Verdict.ONE_SEED for label in more):
        more = []  # it is said already that one seed tells nobody from anybody
    if more:
        first = "it" if len(ranking.best) == 1 else "these"
        text += f", and {names(more)} cannot be told apart from {first} either"
    if ranking.incomparable:
        text += f", and {names(ranking.incomparable)} cannot be compared: too few seeds in common"
    return text


def by(one: Lead, form: Form, more_seeds: str, tests: int) -> str:
    """Say by how much one is ahead of another, and whether that is noise: "by 0.1, ...".

    ``tests`` counts those for which the test of the two is corrected.
    """
    if one.mean is None:
        return "at no seed in common"
    shown = _Shown.of(one, form)
    text = f"by {shown.lead}"
    several = len(one.by_case) > len(one.by_seed)
    if several:
        ahead = sum(apart > 0.0 for apart in one.by_case.values())
        text += f" in the mean (ahead at {ahead} of {len(one.by_case)} points)"
    verdict = verdict_of(one)
    seeds = len(one.by_seed)
    if verdict is Verdict.ONE_SEED:
        own = "one seed" if one.seeds == 1 else f"the one seed of {one.seeds} that both have"
        cure = more_seeds if one.seeds == 1 else "give both the same seeds"
        return f"{text}, on {own}, which cannot be told from noise: {cure}"
    if verdict is Verdict.TOO_FEW_SEEDS:
        both = " and ".join(shown.by_seed)
        each = " with each of two seeds" if one.same else f": {both} with two seeds"
        return f"{text}{each}, which allow no test (it takes {FEWEST})"
    if one.same:
        return f"{text}{', the same' if several else ''} with each of {seeds} seeds"
    found = "more than noise" if verdict is Verdict.AHEAD else "within noise"
    corrected = _corrected(one, tests)
    if len(set(shown.ends)) == 1:
        return f"{text}, {found} ({seeds} seeds differ by less than is shown{corrected})"
    between = f"95 %: {' to '.join(shown.ends)}"
    if several:
        # Points with the same seed are no independent draws: an order at all of them may be noise.
        but = "" if verdict is Verdict.AHEAD else "but that is "
        return f"{text}, {but}{found}: the points share {seeds} seeds ({between}{corrected})"
    return f"{text}, {found} ({between} over {seeds} seeds{corrected})"


class _Shown(NamedTuple):
    """A lead as text: its mean, that of each seed, and the ends of the mean's interval."""

    lead: str
    by_seed: Sequence[str]
    ends: Sequence[str]

    @classmethod
    def of(cls, one: Lead, form: Form) -> Self:
        """Show ratios where these are compared, else differences."""
        if ratio := one.ratio:
            factors = [f"{factor:.2f}" for factor in ratio.by_seed.values()]
            ends = [f"{end:.2f}" for end in (ratio.low, ratio.high) if end is not None]
            return cls(f"a factor of {ratio.mean:.2f}", factors, ends)
        values = [_signed(value, form) for value in one.by_seed.values()]
        ends = [_signed(end, form) for end in (one.low, one.high) if end is not None]
        return cls(form(abs(one.mean or 0.0)), values, ends)


def _corrected(one: Lead, tests: int) -> str:
    """Show the p value where it is corrected for several tests, as the interval is not."""
    if one.test is None or tests < 2:
        return ""
    return f"; p {p_text(one.test.p_holm, equals='= ')} corrected for {tests} tests"


def p_text(value: float | None, equals: str = "") -> str:
    """Show a p value, after ``equals`` where it is not below what is shown."""
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{equals}{value:.4f}"


def _signed(value: float, form: Form) -> str:
    """Show a difference; forms of times and sizes have no sign."""
    return ("-" if value < 0.0 else "") + form(abs(value))


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    """Return a ranking as ``compare --json`` has it; ``winners`` is empty where none is best."""
    against = ranking.leads[ranking.against[0]] if ranking.against else None
    test = against.test if against else None
    ratio = against.ratio if against else None
    return {
        "verdict": ranking.verdict.value,
        "winners": list(ranking.winners),
        "best": list(ranking.best),
        "against": list(ranking.against),
        "unresolved": list(ranking.unresolved),
        "incomparable": list(ranking.incomparable),
        "without": list(ranking.without),
        "seeds": len(against.by_seed) if against else 0,
        "lead": against.mean if against else None,
        "low": against.low if against else None,
        "high": against.high if against else None,
        "lead_by_seed": _of_seeds(against.by_seed if against else {}),
        "ratio": ratio.mean if ratio else None,
        "ratio_low": ratio.low if ratio else None,
        "ratio_high": ratio.high if ratio else None,
        "ratio_by_seed": _of_seeds(ratio.by_seed if ratio else {}),
        "p": test.p if test else None,
        "p_holm": test.p_holm if test else None,
        "corrected_for": ranking.tests,
    }


def _of_seeds(figures: Mapping[int, float]) -> dict[str, float]:
    return {str(seed): figure for seed, figure in figures.items()}
