"""Random small scenarios through the whole simulator.

    python tests/soak/random_scenarios.py --count 500 --seed 8      # the long form

What is drawn, and what each must keep, is in tests/kit/drawn.py. One scenario in eight trains.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kit.drawn import METHODS, campaign
from tests.kit.scripted import RESTLESS

TRAINED = 8
"""One scenario in so many trains."""


def main():
    """Try scenarios; print how many there were of what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=8)
    asked = parser.parse_args()
    seen = Counter()
    trained = asked.count // TRAINED
    if trained:
        campaign(trained, seen, asked.seed, methods=METHODS, train=True)()
    each = METHODS + RESTLESS
    for number, method in enumerate(each):  # else half of them may be drawn not once
        share = (asked.count - trained + number) // len(each)
        if share:
            campaign(share, seen, asked.seed + number, methods=(method,))()
    print(f"random scenarios: {seen['tried']} run thrice, all invariants hold")
    for name in sorted(seen):
        print(f"  {seen[name]:5} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
