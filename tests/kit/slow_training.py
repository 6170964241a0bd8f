"""``leomix`` of which a training lasts as long as there is a file ``slow``: ``python -m`` this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from learning.training import sgd
from sim.cli.app import main

descend = sgd._descend


def slowly(*given: Any) -> Any:
    """Begin when the file is gone."""
    Path("in-training").touch()
    while Path("slow").exists():
        torch.ones(100).sum()
    return descend(*given)


if __name__ == "__main__":
    sgd._descend = slowly
    main()
