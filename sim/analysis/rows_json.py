"""Rows, verdicts and caveats as `--json` has them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.analysis.caveats import Caveat
from sim.analysis.rows import Answer, Row
from sim.analysis.verdict import Ranking
from sim.analysis.verdict_text import Words, answer_text, limit_lines
from statements import Statement, as_json, sentence


def rows_json(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Return rows as flat dictionaries: what `--json` has, and tables of notebooks are made of."""
    return [_row_json(answer, row) for answer in answers for row in answer.rows]


def _row_json(answer: Answer, row: Row) -> dict[str, Any]:
    measure, against = answer.measure, row.against
    apart = {key: getattr(against, key, None) for key in DISTANCE}
    return {
        "figure": measure.column,
        "name": measure.name,
        "unit": measure.unit,
        "better": "more" if measure.rising else "less",
        "group": answer.group,
        "label": row.label,
        "values": dict(row.values),
        "median": row.median,
        "mean": row.mean,
        "low": row.low,
        "high": row.high,
        "n": row.n,
        "reached": row.reached,
        "by_seed": {str(seed): value for seed, value in row.by_seed.items()},
        "verdict": row.verdict.value,
        "reference": answer.reference,
        "seeds_in_common": apart.pop("seeds"),
        **{f"difference_{key}" if key in ENDS else key: value for key, value in apart.items()},
        "corrected_for": answer.ranking.tests if apart["p"] is not None else 0,
    }


ENDS = ("low", "high")
DISTANCE = (
    *("seeds", "difference", "low", "high", "ratio", "ratio_low", "ratio_high"),
    *("p", "p_holm", "wilcoxon_p"),
)
"""What a row has of its distance from the reference, None where there is none."""


def verdict_json(answer: Answer, figure: str, words: Words) -> dict[str, Any]:
    """Return what is said of an answer as ``compare --json`` has it, under the name ``figure``."""
    said = {"figure": figure, "head": answer.measure.name}
    return {**said, **ranking_json(answer.ranking), "text": answer_text(answer, words)}


def caveat_json(caveat: Caveat) -> dict[str, Any]:
    """Return a caveat as ``compare --json`` and ``show --json`` have it."""
    return {"group": caveat.group, **as_json(caveat.said), "text": sentence(caveat.said)}


def limits_json(limits: Sequence[Statement]) -> list[dict[str, Any]]:
    """Return what limits the meaning of a headline as ``--json`` has it."""
    lines = limit_lines(limits)
    return [as_json(said) | {"text": line} for said, line in zip(limits, lines, strict=True)]


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
        "wilcoxon_p": against.wilcoxon_p if against and test and against.few_values else None,
        "corrected_for": ranking.tests,
    }


def _of_seeds(figures: Mapping[int, float]) -> dict[str, float]:
    return {str(seed): figure for seed, figure in figures.items()}
