"""Fig. 3 of EMS-FL: who is covered by one satellite, as a map of a simulated orbit.

python papers/ems_fl_fig_3.py
"""

from paper_runs import save, table

import leomix

MINUTE = 15


def main() -> None:
    """Run a day of `quickstart` without training, list its contacts and draw a minute of it."""
    result = leomix.run(leomix.load("quickstart", {"learning.train": False, "stop.days": 1}))
    served = result.contacts[result.contacts.served]
    rows = [
        [name, f"{len(own)}", f"{(own.set_s - own.rise_s).mean() / 60:.1f}"]
        for name, own in served.groupby("cluster")
    ]
    print(table(("cluster", "contacts", "mean length (min)"), rows))
    save(result.plot.map(minute=MINUTE).figure, "ems_fl_fig_3")


if __name__ == "__main__":
    main()
