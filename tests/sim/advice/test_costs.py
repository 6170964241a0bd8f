"""What is doubted of a run, told before it."""

import re

import yaml

from tests.kit import small


def test_a_dry_run_warns_of_endless_gaps(leomix, tmp_path):
    """FedAvg trains a round per contact, FedBuff all day: 360 rounds of five, less the passes."""
    mine = small.merged(small.ORBIT, {"stop": {"days": 1}, "compute": {"seconds_per_round": 240}})
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(mine))
    said = leomix("sweep", file, "-p", "learning.method=fedavg,fedbuff", "--dry-run").out
    (endless,) = (line for line in said.splitlines() if "per_gap_max" in line)
    told = r"learning.rounds.per_gap_max: up to ([\d,]+) device rounds of training, as method 'fed"
    most = re.search(told, endless)
    assert 0.8 * 5 * 360 < int(most[1].replace(",", "")) < 5 * 360
    assert endless.endswith(": give it, like 3 (at learning.method=fedbuff)")
