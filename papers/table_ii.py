"""What a run's language model answers before and after its training: Table II of EMS-FL.

    python papers/table_ii.py RUN [questions] [tokens]

Some test questions of each domain, the right option, and what the model at time 0 and the trained
one write behind the question: the likeliest token, again and again. The files are those that the
run learnt from; questions that it was trained on have another `split` there, or are none of these.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import leomix

QUESTIONS = 2
TOKENS = 24
HEADS = ("question", "right", "before", "after")


def test_questions(path: Path, count: int) -> list[dict[str, Any]]:
    """Return the first test questions of a file that has the column `split`."""
    with path.open(encoding="utf-8") as lines:
        rows = map(json.loads, filter(str.strip, lines))
        return list(islice((row for row in rows if row.get("split") == "test"), count))


def main(folder: str, questions: str = str(QUESTIONS), tokens: str = str(TOKENS)) -> None:
    """Answer, and print the table."""
    run = leomix.load(folder)
    files = run.manifest["scenario"]["learning"]["data"]["paths"]
    rows = {name: test_questions(Path(path), int(questions)) for name, path in files.items()}
    asked = [row["question"] for own in rows.values() for row in own]
    before, after = (run.generate(asked, int(tokens), before=first) for first in (True, False))
    answers = iter(zip(before, after, strict=True))
    for name, own in rows.items():
        print(f"\n{name}")
        for row in own:
            cells = (row["question"], row["options"][row["answer"]], *next(answers))
            for head, text in zip(HEADS, cells, strict=True):
                print(f"  {head:<9} {' '.join(text.split())}")


if __name__ == "__main__":
    main(*sys.argv[1:])
