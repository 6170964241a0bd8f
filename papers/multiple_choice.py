"""How many questions three variants of a small model, and the merged one, answer: or chance.

    python papers/multiple_choice.py VARIANTS DATA [questions] [tokens]

VARIANTS and DATA are those of `experiment_1.py`. Nothing but the gate is trained: each model is
tested as it is. It chooses the option whose tokens are the likeliest in the mean, given the
question. Behind an accuracy stands its interval of 95 % (Clopper and Pearson's, for a share of
test questions), and `chance` where that contains what guessing gives; of twenty such intervals
one leaves it out by luck. The last column pools the questions of all domains, as many of each.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from batch import learner_of
from experiment_1 import CHECKPOINTS, DOMAINS, SCENARIO, asked
from real_weights import line
from scipy.stats import binomtest

QUESTIONS = 120
TOKENS = 128
CONFIDENCE = 0.95
WIDTH = 29
MERGED = "merged, gate trained on the origin"


def point(folders: Sequence[Path], data: Path, questions: int, tokens: int) -> dict[str, Any]:
    """Return the settings that test variants, merged where they are several."""
    return {
        **asked(data),
        CHECKPOINTS: [str(folder.resolve()) for folder in folders],
        "stop.cycles": 1,
        "learning.data.objective": "label",
        "learning.data.tokens": tokens,
        "learning.data.test_samples": questions,
        "learning.precision": "float32",
        **({} if len(folders) > 1 else {"learning.pretraining": {"gate_steps": 0}}),
        **({} if len(folders) > 1 else {"learning.method": "fedavg"}),
    }


def tested(given: Mapping[str, Any]) -> tuple[list[int], list[int], list[float]]:
    """Return right answers, questions and the share that guessing gives, by domain."""
    learner = learner_of(SCENARIO, given)
    scores = learner.evaluate(learner.start())
    options = [(x[:, :, 0] >= 0).any(-1).sum(-1) for x, _, _ in learner.task.test.values()]
    counts = [score["samples"] for score in scores]
    right = [round((score["accuracy"] or 0.0) * score["samples"]) for score in scores]
    return right, counts, [float((1.0 / each).mean()) for each in options]


def cell(right: int, count: int, chance: float) -> str:
    """Show an accuracy with its interval, and whether that contains chance."""
    low, high = binomtest(right, count).proportion_ci(CONFIDENCE)
    said = " chance" if low <= chance <= high else ""
    return f"{right / count:.3f} [{low:.2f}, {high:.2f}]{said}"


def main(
    variants: str, data: str, questions: str = str(QUESTIONS), tokens: str = str(TOKENS)
) -> None:
    """Test, and print the table."""
    folders = [Path(variants) / name for name in DOMAINS.values()]
    models = {f"variant {folder.name} alone": [folder] for folder in folders} | {MERGED: folders}
    print(f"accuracy of multiple choice, {questions} questions a domain, as they are")
    for number, (name, own) in enumerate(models.items()):
        right, counts, chance = tested(point(own, Path(data), int(questions), int(tokens)))
        if number == 0:
            print(line("", (*DOMAINS.values(), "all"), WIDTH))
            print(line("guessing", [f"{one:.3f}" for one in (*chance, mean(chance))], WIDTH))
        every = [*zip(right, counts, chance, strict=True), (sum(right), sum(counts), mean(chance))]
        print(line(name, [cell(*one) for one in every], WIDTH), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
