"""How a sample is answered when some of the experts that were asked have not answered."""

from __future__ import annotations

from collections.abc import Collection


def outcome_of(
    experts: Collection[int], answered: Collection[int], own: int | None, late: str
) -> str:
    """Return how samples are answered whose ``experts`` were asked, by the policy ``late``.

    What is missing makes a sample ``failed`` (``wait``), ``renormalised`` over the others, or a
    ``fallback`` on the client's ``own`` expert, if none is there or by policy ``local``. A client
    without an expert (``own`` None) has the others renormalised, or fails.
    """
    if experts and len(answered) == len(experts):
        return "local" if list(experts) == [own] else "complete"
    if late == "wait" or (own is None and not answered):
        return "failed"
    alone = late == "local" and own is not None
    return "renormalised" if answered and not alone else "fallback"
