"""What is said of the rows of a comparison, on the terminal and on pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from sim.analysis.caveats import Caveat
from sim.analysis.findings import Finding, Sure, finding_of, ranked
from sim.analysis.lead import FEWEST, FEWEST_RANKED, Lead, alike
from sim.analysis.rows import Answer, Row, Standing
from sim.analysis.verdict import TOLD_APART, Ranking, Verdict, held_by_ranks, verdict_of
from sim.formatting import listed
from statements import Code, Other, Remedy, Statement, by_rank, sentence

Names = Callable[[Sequence[str]], str]

MORE_SEEDS: Remedy = Other(said="run more seeds (--seed)")
"""What helps where runs of one seed were compared."""


class Words(NamedTuple):
    """How labels are named, and what helps to a test where there is one seed only."""

    names: Names = listed
    more_seeds: Remedy = MORE_SEEDS


PLAIN = Words()


def answer_text(answer: Answer, words: Words = PLAIN) -> str:
    """Say who is best by a figure, or why nobody is, and who lacks the figure; empty for one group.

    Who is called best is one of ``answer.ranking.winners``.
    """
    if answer.verdict is Verdict.ALONE:
        return ""
    parts = (_verdict(answer, words), _lacking(answer, words))
    return "; ".join(part for part in parts if part)


def with_spent(answers: Sequence[Answer], spent: Sequence[Answer]) -> list[Answer]:
    """Return the answers that a headline is on: where all tie by the first, what was spent too."""
    return [*answers, *spent] if answers and _is_tie(answers[0]) else [*answers]


def _is_tie(answer: Answer) -> bool:
    """Tell whether all groups have one figure, or such that no table shows them apart."""
    ranking = answer.ranking
    return (answer.verdict is Verdict.TIE and not ranking.behind) or _is_alike(answer)


def _is_alike(answer: Answer) -> bool:
    """Tell whether all groups differ, and by less than a table shows."""
    ranking = answer.ranking
    if not ranking.behind or ranking.incomparable or ranking.without:
        return False
    found = finding_of(answer)
    return found is not None and found.alike


def headline(answers: Sequence[Answer], words: Words = PLAIN) -> str:
    """Return one sentence on several answers, the most important one first; empty of one group.

    It is on the largest difference that a test has found, or that nothing was tested of: how far
    the best is ahead of the last, and of the next where it is told from that. Where there is none,
    it is on the first answer; that all are equal by the first answer stands behind what differs.
    What was spent leads only where what was learnt does not differ: who learns least is often who
    sends least.
    """
    several = _that_may_lead([one for one in answers if one.verdict is not Verdict.ALONE])
    if not several:
        return ""
    few = words._replace(names=lambda labels: _few(labels, words))
    first = several[0]
    equal = f"; {first.measure.name}: {_in_short(first, few)}" if _is_tie(first) else ""
    # What a note stands behind is not the same figure of each.
    found = next(iter(ranked(one for one in several if not one.measure.note)), None)
    if found is not None and found.band and found.sure is not Sure.NOISE:
        answer = next(one for one in several if one.measure is found.measure)
        return f"{_largest(found, few)}{_and_next(answer, few)}{equal}."
    clear = (one for one in several if one.ranking.winners and not _is_alike(one))
    if decided := next(clear, None):
        return f"{_decided(decided, few)}."
    if first.measure.target and first.ranking.verdict is Verdict.NEVER and first.ranking.best:
        return f"{_only_one(first, few)}."
    return f"{_upper(first.measure.name)}: {_in_short(first, few)}."


def _only_one(answer: Answer, words: Words) -> str:
    """Say which group alone has reached the target with each seed, when, and who has not."""
    row, measure = answer.rows[0], answer.measure
    value = row.median if row.mean is None else row.mean
    when = "" if value is None else f" ({measure.text(value)})"
    with_each = " with each seed" if any(one.n > 1 for one in answer.rows) else ""
    best = f"{_only(answer).title()}{words.names(answer.ranking.best)}"
    return f"{best} reaches {measure.target}{with_each}{when}; {_lacking(answer, words)}"


def _only(answer: Answer) -> str:
    """Return "only " where others did not get there; nothing where they have not come so far."""
    others = {row.verdict for row in answer.rows if row.label in answer.ranking.without}
    return "only " if others - {Standing.NOT_ENDED, Standing.FAILED} else ""


def _that_may_lead(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers on what was learnt, if the best and the last differ by one of them."""
    learnt = [one for one in answers if one.measure.figure.learnt or one.measure.target]
    found = (finding_of(one) for one in learnt)
    return learnt if any(one.differs for one in found if one) else [*answers]


def _and_next(answer: Answer, words: Words) -> str:
    """Say how far the next one is behind the best, where that is another one than the last."""
    ranking = answer.ranking
    if not ranking.winners or len(ranking.against) == len(ranking.behind):
        return ""
    margin = _Shown.of(ranking.leads[ranking.against[0]], answer).lead
    return f", ahead of {words.names(ranking.against)} by {margin}"


def _largest(found: Finding, words: Words) -> str:
    """Say how far the first and the last are apart, with both values."""
    measure = found.measure
    text = measure.text
    best, last = words.names(found.best), words.names([found.last])
    values = f"{text(found.values[found.best[0]])} against {text(found.values[found.last])}"
    many = f"; best and last of {len(found.values)}" if len(found.values) > 2 else ""
    by_factor = math.isfinite(found.times)
    if measure.target and by_factor:
        verb = "reach" if len(found.best) > 1 else "reaches"
        return (
            f"{best} {verb} {measure.target} {_factor(found.times)} times sooner than {last} "
            f"({values}{many})"
        )
    if found.is_share or not by_factor:
        return f"{best}: {measure.name} {values} with {last}{many}"
    verb = "raise" if measure.rising else "cut"
    verb = verb if len(found.best) > 1 else f"{verb}s"
    times = _factor(found.times)
    many_or_much = "much" if measure.figure.is_amount else "many"
    more = f"{times} times as {many_or_much}" if measure.rising else f"by a factor of {times}"
    return (
        f"{best} {verb} the {measure.name} from {text(found.values[found.last])} ({last}) to "
        f"{text(found.values[found.best[0]])} ({more}{many})"
    )


def _factor(times: float) -> str:
    """Show a factor, from which 1 can be told."""
    digits = 0 if times >= 100 else 1 if times >= 1.05 else 2
    return f"{times:.{digits}f}"


MOST_NAMED = 3
"""Labels that a headline names together; of more it names the first two, and counts the others."""


def _few(labels: Sequence[str], words: Words) -> str:
    if len(labels) <= MOST_NAMED:
        return words.names(labels)
    named = [words.names([label]) for label in labels[: MOST_NAMED - 1]]
    return f"{', '.join(named)} and {len(labels) - len(named)} others"


def _in_short(answer: Answer, words: Words) -> str:
    """Say that nobody is best, without by how much one of those who may be is ahead."""
    if _is_alike(answer):
        return "the same to 0.5 %"
    ranking = answer.ranking
    noise = [one for one in ranking.unresolved if _is_noise(ranking.leads[one])]
    if not noise or len(noise) < len(ranking.unresolved) or ranking.incomparable:
        return answer_text(answer, words)
    seeds = len(ranking.leads[noise[0]].by_seed)
    if ranking.verdict is Verdict.TIE:
        others = "one other" if len(noise) == 1 else f"{len(noise)} others"
        return (
            f"{words.names(ranking.best)} are equal{_equal(answer, words)}, "
            f"and {others} cannot be told from them"
        )
    if ranking.verdict is Verdict.WITHIN_NOISE and len(noise) > 1:
        value = answer.rows[0].mean
        shown = "" if value is None else f" ({answer.measure.text(value)})"
        return (
            f"{words.names(ranking.best)} comes first{shown}, and {words.names(noise)} cannot be "
            f"told from it over {seeds} seeds{_told(answer, words)}"
        )
    return answer_text(answer, words)


def _told(answer: Answer, words: Words) -> str:
    """Say who is told from whom where the first one is told from nobody; empty for nobody."""
    if answer.ranking.apart is None:
        return ""
    better, worse = answer.ranking.apart
    values = [answer.row(one).mean for one in (better, worse)]
    shown = [f" ({answer.measure.text(one)})" if one is not None else "" for one in values]
    ahead = f"{words.names([better])}{shown[0]} is ahead of {words.names([worse])}{shown[1]}"
    return f"; {ahead} by more than noise"


def _is_noise(one: Lead) -> bool:
    return verdict_of(one) is Verdict.WITHIN_NOISE


def comparison_headline(answers: Sequence[Answer], groups: int, words: Words) -> str:
    """Return one sentence on a comparison of so many groups, by its answers."""
    return headline(answers, words) if groups > 1 else _alone(answers)


def comparison_limits(
    answers: Sequence[Answer],
    caveats: Sequence[Caveat],
    groups: int,
    words: Words,
    *,
    drawn: bool,
) -> list[Statement]:
    """Return what limits the meaning of a headline, to stand behind it.

    That is what is true of all groups, and how few seeds there are where anything is ``drawn``.
    Of no groups there is nothing to say.
    """
    if not groups:
        return []
    by_statement = _by_statement(caveats).items()
    whole = [said for said, of in by_statement if len(of) == groups]
    limits = [said for said in whole if said.code is not Code.STOPPED_EARLY]
    unlearnt = [one for one in caveats if one.said.code is Code.NOTHING_LEARNT]
    if not limits and len(unlearnt) == groups:  # with figures of its own each: these stand beside
        text = "nothing was learnt by any of {groups} groups"
        limits.append(Statement.note(Code.NOTHING_LEARNT, "", text, groups=groups))
    verdicts = {answer.verdict for answer in answers}
    few = few_seeds(verdicts, words) if drawn else NOTHING_DRAWN
    return by_rank([*limits, *([few] if few else [])])


NOTHING_DRAWN = Statement.note(
    Code.NOT_DRAWN, "seed", "nothing here is drawn at random: every seed gives the same figures"
)


def limit_lines(limits: Iterable[Statement]) -> list[str]:
    """Return what limits the meaning of a headline as sentences."""
    return [f"{_upper(sentence(said))}." for said in limits]


def few_seeds(verdicts: Collection[Verdict], words: Words = PLAIN) -> Statement | None:
    """Return that there are too few seeds for a test, if so, and what helps."""
    if Verdict.ONE_SEED in verdicts:
        text = "One seed, another one may give another order"
        return Statement.note(Code.FEW_SEEDS, "seed", text, words.more_seeds, seeds=1)
    if Verdict.TOO_FEW_SEEDS in verdicts:
        text = "Two seeds show no noise: a test takes {least}"
        return Statement.note(Code.FEW_SEEDS, "seed", text, seeds=2, least=FEWEST)
    return None


def _alone(answers: Sequence[Answer]) -> str:
    """Say what the only group has reached: the first figures that it has, and their values."""
    parts = []
    for answer in answers:
        [row] = answer.rows
        value = row.median if row.mean is None else row.mean
        if value is not None:
            some = "" if row.mean is not None else f" ({row.reached} of {row.n} seeds)"
            parts.append(f"{answer.measure.name}: {answer.measure.text(value)}{some}")
    return f"{_upper('; '.join(parts))}." if parts else ""


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def caveats_beside(
    limits: Collection[Statement], caveats: Sequence[Caveat], groups: int
) -> list[str]:
    """Say what has to be known and does not stand among the ``limits`` of a headline.

    It is said once for all groups of which it is true.
    """
    others = _by_statement([one for one in caveats if one.said not in limits])
    return [
        _upper(sentence(said)) if len(of) == groups else f"{listed(of)}: {sentence(said)}"
        for said, of in others.items()
    ]


def _by_statement(caveats: Sequence[Caveat]) -> dict[Statement, list[str]]:
    """Return the groups of which each of what is said is true."""
    named: dict[Statement, list[str]] = {}
    for caveat in caveats:
        named.setdefault(caveat.said, []).append(caveat.group)
    return {said: named[said] for said in by_rank(named)}


def _decided(answer: Answer, words: Words) -> str:
    """Say who has the best figure, and how far behind the next one is."""
    measure, ranking = answer.measure, answer.ranking
    first = answer.rows[0]
    verb = "have" if len(ranking.winners) > 1 else "has"
    value = "" if first.mean is None else f": {measure.text(first.mean)}"
    text = f"{words.names(ranking.winners)} {verb} the {measure.figure.best} {measure.name}{value}"
    against = ranking.leads[ranking.against[0]]
    return f"{text}, ahead of {words.names(ranking.against)} by {margin_text(against, answer)}"


def _verdict(answer: Answer, words: Words) -> str:
    ranking = answer.ranking
    if ranking.verdict is Verdict.NEVER:
        if not ranking.best:
            return ""
        each = " with each seed" if any(row.n > 1 for row in answer.rows) else ""
        return f"{_only(answer)}{words.names(ranking.best)} has it{each}"
    if ranking.verdict is Verdict.NO_ORDER:
        return "nobody is best: each is behind another one at the points that both have"
    if not ranking.leads:
        return "too few seeds in common to compare"
    best = words.names(ranking.best)
    if ranking.verdict is Verdict.TIE:
        equal = f"{best} are equal{_equal(answer, words)}"
        if ranking.winners:
            return f"{equal}, and ahead of {_next(answer, words)}"
        return "; ".join(filter(None, [equal, _undecided(answer, words)]))
    if ranking.verdict is Verdict.LEVEL:
        level = f"{best} are level in the mean{_level(ranking, words)}"
        return "; ".join(filter(None, [level, _undecided(answer, words)]))
    if ranking.winners:
        return f"{best} is best, ahead of {_next(answer, words)}"
    if ranking.verdict is Verdict.NO_COMMON_SEED:
        ahead = f"{best} is ahead of {_next(answer, words)}"
        return "; ".join(filter(None, [ahead, _undecided(answer, words)]))
    return _undecided(answer, words)


def _next(answer: Answer, words: Words) -> str:
    """Name the next behind the best, and how far behind."""
    ranking = answer.ranking
    margin = margin_text(ranking.leads[ranking.against[0]], answer)
    return f"{words.names(ranking.against)} by {margin}"


def _equal(answer: Answer, words: Words) -> str:
    """Say at how many points, or with how many seeds, those who tie are equal, and their figure."""
    ranking = answer.ranking
    tied = [one for label, one in ranking.leads.items() if label in ranking.best]
    cases = tied[0].by_case.keys()
    if any(one.by_case.keys() != cases for one in tied):
        return f" to {words.names([str(ranking.first)])} with the seeds that both have"
    points, seeds = len(cases), len(tied[0].by_seed)
    if points > seeds:
        return f" at each of {points} points"
    known = [value for value in answer.rows[0].by_seed.values() if value is not None]
    value = f": {answer.measure.text(known[0])}" if known and alike(known) else ""
    if max(one.seeds for one in tied) > seeds:
        return f"{value} with the {'one seed' if seeds == 1 else f'{seeds} seeds'} that both have"
    if seeds > 1:
        return f"{value} at each of {seeds} seeds"
    return value if ranking.unresolved else f"{value} with the one seed"


def _level(ranking: Ranking, words: Words) -> str:
    """Say of the first two that differ how often each is ahead."""
    other = next(
        label
        for label in ranking.best
        if label in ranking.leads and verdict_of(ranking.leads[label]) is Verdict.LEVEL
    )
    one = ranking.leads[other]
    ahead = sum(apart > 0.0 for apart in one.by_case.values())
    back = sum(apart < 0.0 for apart in one.by_case.values())
    what = "points" if len(one.by_case) > len(one.by_seed) else "seeds"
    first = words.names([str(ranking.first)])
    return (
        f", {first} ahead at {ahead} and {words.names([other])} at {back} "
        f"of {len(one.by_case)} {what}"
    )


def _undecided(answer: Answer, words: Words) -> str:
    """Say who cannot be told from the first one, and why; empty where nobody is."""
    ranking = answer.ranking
    parts = []
    if ranking.unresolved:
        parts.append(_unresolved(answer, words))
    if ranking.incomparable:
        lacking = words.names(ranking.incomparable)
        parts.append(f"{lacking} cannot be compared: too few seeds in common")
    return "; ".join(parts)


def _unresolved(answer: Answer, words: Words) -> str:
    ranking = answer.ranking
    one = ranking.leads[ranking.against[0]]
    verdict = verdict_of(one)
    seeds = len(one.by_seed)
    if verdict is Verdict.ONE_SEED:
        if one.seeds > 1:
            return f"one of {one.seeds} seeds in common, no test; give both the same seeds"
        return "" if ranking.verdict is Verdict.TIE else f"{_leads(answer, words)} (one seed)"
    if verdict is Verdict.TOO_FEW_SEEDS:
        return f"{_leads(answer, words)}; two seeds, where a test takes {FEWEST}"
    if verdict is Verdict.UNTESTED:
        return f"{_leads(answer, words)}; this figure is not tested"
    first, second = words.names([str(ranking.first)]), words.names(ranking.against)
    also = [label for label in ranking.unresolved if label not in ranking.against]
    more = f"; {words.names(also)} cannot be told from {first} either" if also else ""
    more += _told(answer, words)
    alike = f"{first} and {second} cannot be told apart over {seeds} seeds"
    if one.ratio is None:
        return f"{alike}: {margin_text(one, answer)}{more}"
    # What is compared by ratios is a time. A factor alone would leave open who takes longer.
    take = "takes" if len(ranking.against) == 1 else "take"
    longer = f"{second} {take} {one.ratio.mean:.2f} times as long as {first}"
    return f"{alike}: {longer}{_rests_on(one, answer)}{more}"


def _leads(answer: Answer, words: Words) -> str:
    """Say by how much the first one leads the next that it cannot be told from."""
    ranking = answer.ranking
    first, second = words.names([str(ranking.first)]), words.names(ranking.against)
    return f"{first} leads {second} by {margin_text(ranking.leads[ranking.against[0]], answer)}"


def _lacking(answer: Answer, words: Words) -> str:
    """Say how many seeds of each group got there, of those of which not all did."""
    if answer.ranking.without and all(row.reached == 0 for row in answer.rows):
        reasons = {row.verdict for row in answer.rows}
        return f"nobody {WITHOUT[reasons.pop() if len(reasons) == 1 else Standing.UNKNOWN]}"
    counts: dict[str, list[str]] = {}
    for row in answer.rows:
        if row.label not in answer.ranking.without:
            continue
        seeds = "1 seed" if row.n == 1 else f"{row.n} seeds"
        has = "reached it" if answer.measure.target else "have it"
        said = f"{row.reached} of {seeds} {has}" if row.reached else str(row.verdict)
        if row.reached and row.verdict is not Standing.SOME_NEVER:
            said += f", else {row.verdict}"
        counts.setdefault(said, []).append(row.label)
    return "; ".join(f"{words.names(labels)}: {said}" for said, labels in counts.items())


WITHOUT = {
    Standing.NEVER: "reached it",
    Standing.NOT_TRAINED: "was trained",
    Standing.UNKNOWN: "has it",
}
"""What nobody has done where no group has a figure, by their standing."""


def margin_text(lead: Lead, answer: Answer) -> str:
    """Say by how much one is ahead of another, and what that rests on.

    Like "0.004 (95 %: -0.020 to 0.030; 4 seeds)". Where p is corrected the interval is not, so that
    it may exclude 0 beside a p above 0.05: it says that it is of one test alone.
    """
    return f"{_Shown.of(lead, answer).lead}{_rests_on(lead, answer)}"


def _rests_on(lead: Lead, answer: Answer) -> str:
    """Say what the mean lead rests on, behind it."""
    shown = _Shown.of(lead, answer)
    several = len(lead.by_case) > len(lead.by_seed)
    corrected = lead.test is not None and answer.ranking.tests > 1
    level = "95 % of this test alone" if corrected else "95 %"
    notes = [*_points_note(lead), *_interval_note(lead, shown, level)]
    if lead.test is not None and corrected:
        p = p_text(lead.test.p_holm, equals="= ")
        notes.append(f"p {p} corrected for {answer.ranking.tests} tests")
    notes += _ranks_note(lead)
    is_tested = len(lead.by_seed) >= FEWEST and not (lead.same or lead.exact)
    if is_tested and not several and verdict_of(lead) in TOLD_APART:
        notes.append(f"{len(lead.by_seed)} seeds")
    means = " in the mean" if several else ""
    rest = f" ({'; '.join(notes)})" if notes else ""
    return f"{means}{rest}"


def _ranks_note(lead: Lead) -> Iterator[str]:
    """Say that the test of ranks has held a verdict back, and how many seeds it takes."""
    if held_by_ranks(lead):
        seeds = len(lead.by_seed)
        more = f", which takes {FEWEST_RANKED} seeds" if seeds < FEWEST_RANKED else ""
        p = p_text(lead.wilcoxon_p, equals="= ")
        yield f"few values, so that Wilcoxon's test must find it too{more}: its p {p}"


def _points_note(lead: Lead) -> Iterator[str]:
    """Say at how many points one is ahead, where several share their seeds.

    Points with the same seed are no independent draws: an order at all of them may be noise.
    """
    seeds = len(lead.by_seed)
    if len(lead.by_case) > seeds:
        ahead = sum(apart > 0.0 for apart in lead.by_case.values())
        shared = "one seed" if seeds == 1 else f"{seeds} seeds"
        yield f"ahead at {ahead} of {len(lead.by_case)} points, which share {shared}"


def _interval_note(lead: Lead, shown: _Shown, level: str) -> Iterator[str]:
    """Say where the lead may be, or what is known instead: nothing of one seed."""
    seeds = len(lead.by_seed)
    if lead.same or lead.exact:
        if seeds > 1:
            yield f"the same with each of {seeds} seeds"
    elif seeds < FEWEST:
        if seeds > 1:
            yield " and ".join(shown.by_seed)
    elif len(set(shown.ends)) == 1:
        yield f"{seeds} seeds differ by less than is shown"
    else:
        yield f"{level}: {' to '.join(shown.ends)}"


def distance_text(row: Row, answer: Answer) -> str:
    """Say how far a row is from the first one, and what can be said of that."""
    said = STANDINGS.get(row.verdict, str(row.verdict))
    against = row.against
    if against is None or not against.difference:
        return said
    if against.ratio is not None:
        return f"x {against.ratio:.2f}, {said}"
    form = answer.measure.text
    return f"{'-' if against.difference < 0.0 else '+'}{form(abs(against.difference))}, {said}"


STANDINGS = {
    Standing.WITHIN_NOISE: "cannot be told apart",
    Standing.TWO_SEEDS: "two seeds, no test",
    Standing.ONE_SEED: "one seed, no test",
    Standing.SOME_NEVER: "not with every seed",
    Standing.LEVEL: "equal in the mean",
}
"""How the standing of a row is said, where not by its own name."""


class _Shown(NamedTuple):
    """A lead as text: its mean, that of each seed, and the ends of the mean's interval."""

    lead: str
    by_seed: Sequence[str]
    ends: Sequence[str]

    @classmethod
    def of(cls, one: Lead, answer: Answer) -> Self:
        """Show ratios where these are compared, else differences."""
        if ratio := one.ratio:
            factors = [f"{factor:.2f}" for factor in ratio.by_seed.values()]
            ends = [f"{end:.2f}" for end in (ratio.low, ratio.high) if end is not None]
            return cls(f"a factor of {ratio.mean:.2f}", factors, ends)
        form = answer.measure.text
        values = [_signed(value, form) for value in one.by_seed.values()]
        ends = [_signed(end, form) for end in (one.low, one.high) if end is not None]
        return cls(form(abs(one.mean or 0.0)), values, ends)


def p_text(value: float | None, equals: str = "") -> str:
    """Show a p value, after ``equals`` where it is not below what is shown."""
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{equals}{value:.4f}"


def _signed(value: float, form: Callable[[float], str]) -> str:
    """Show a difference; forms of times and sizes have no sign."""
    return ("-" if value < 0.0 else "") + form(abs(value))
