"""The forms of drawings without numbers of their own: who is covered, and what goes on when."""

from __future__ import annotations

from collections.abc import Sequence

from sim.papers.forms import PaperRun, Shown, panels


def coverage(runs: Sequence[PaperRun], *, minute: float = 0.0) -> Shown:
    """Draw places, ground track and the circle of instantaneous coverage; list the contacts."""
    result = runs[0].result
    figure, [axes] = panels(1, (6.4, 3.6))
    result.plot.map(axes, minute)
    served = result.contacts[result.contacts.served]
    rows = [
        [cluster, f"{len(own)}", f"{(own.set_s - own.rise_s).mean() / 60:.1f}"]
        for cluster, own in served.groupby("cluster")
    ]
    return Shown(("cluster", "contacts", "mean length (min)"), rows, figure)


def schedule(runs: Sequence[PaperRun], *, cycles: int = 2) -> Shown:
    """Draw, a panel a variant, who is connected, trains and transfers in the first cycles."""
    firsts = {run.variant: run.result for run in reversed(runs)}
    figure, drawn = panels(len(firsts), (5.2, 3.0))
    rows = []
    for axes, (name, result) in zip(drawn, sorted(firsts.items()), strict=True):
        slots = result.contacts.sort_values("rise_s")
        cycle_s = (slots.set_s - slots.rise_s).iloc[0] * slots.cluster.nunique()
        result.plot.timeline(axes, days=cycles * cycle_s / 86400)
        axes.set_title(name, loc="right")
        events = result.events[result.events.time_s < cycles * cycle_s]
        ends = events[events.kind == "train_end"].groupby("cluster")
        rounds = ends.rounds.sum() / ends.device.nunique()
        rows += [[name, str(one), f"{rounds.get(one, 0):g}"] for one in slots.cluster.unique()]
    return Shown(
        ("scheme", "cluster", f"rounds of a device, ended in {cycles} cycles"), rows, figure
    )
