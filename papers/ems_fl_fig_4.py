"""Fig. 4 of EMS-FL: clusters take turns in slots; in EMS-FL the others train meanwhile.

python papers/ems_fl_fig_4.py
"""

from paper_runs import table

import leomix

METHODS = {"EMS-FL": "emsfl-enhanced", "baseline": "synchronous"}
CYCLES = 2


def main() -> None:
    """Count the rounds of a device that have ended by the end of two cycles."""
    rows = []
    for scheme, method in METHODS.items():
        keys = {"learning.train": False, "stop.cycles": 4, "learning.method": method}
        result = leomix.run(leomix.load("paper-slots", keys))
        slots = result.contacts.sort_values("rise_s")
        cycle_s = (slots.set_s - slots.rise_s).iloc[0] * slots.cluster.nunique()
        events = result.events
        ends = events[(events.time_s < CYCLES * cycle_s) & (events.kind == "train_end")]
        ended = ends.groupby("cluster")
        rounds = ended.rounds.sum() / ended.device.nunique()
        rows += [[scheme, name, f"{rounds.get(name, 0):g}"] for name in slots.cluster.unique()]
    print(table(("scheme", "cluster", f"rounds of a device, ended in {CYCLES} cycles"), rows))


if __name__ == "__main__":
    main()
