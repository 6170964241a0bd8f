"""A worker of the local engine: reads points as JSON lines from stdin, answers on stdout.

`python -m sim.sweeps.worker FOLDER` is started by :class:`sim.sweeps.local_engine.LocalEngine`. What
a run prints goes to stderr, so that stdout holds answers only. When stdin ends, the supervisor has
no more points, or is gone: the worker exits at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from sim.interrupt import stop_on_interrupt
from sim.sweeps.attempt import attempt
from sim.sweeps.engine import Point

Tasks = SimpleQueue[dict[str, Any]]


def main() -> None:
    """Run the points that come until there are no more."""
    answers = _own_stdout()
    # Between points there is nothing to save: only a run may be asked to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tasks: Tasks = SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while True:
        task = tasks.get()
        point, folder = Point.from_json(task["point"]), Path(task["folder"])
        with stop_on_interrupt() as each_event:
            outcome = attempt(point, folder, task["cache"], each_event)
        print(json.dumps(outcome.as_json()), file=answers, flush=True)


def _own_stdout() -> TextIO:
    """Keep stdout for answers, and send all else that is printed there to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _listen(tasks: Tasks) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
