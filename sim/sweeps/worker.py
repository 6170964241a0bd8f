"""A worker of the local engine: reads points as JSON lines from stdin, answers on stdout.

`python -m sim.sweeps.worker` is started by :class:`sim.sweeps.worker_process.WorkerProcess`. What a
run prints goes to stderr, so that stdout holds answers only. When stdin ends, the supervisor has no
more points, or is gone: the worker exits at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from sim.errors import Interrupted
from sim.interrupt import stop_on_interrupt
from sim.sweeps.attempt import attempt
from sim.sweeps.engine import Point

STOP = "stop"
"""What the supervisor writes, as a line of JSON, to have the point saved and ended."""


class Desk:
    """What has come in: points to be run, and whether they are to be stopped."""

    def __init__(self) -> None:
        self.tasks: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._stopped = False

    def listen(self) -> None:
        """Take in lines until there are no more; then end the process, whatever it does."""
        for line in sys.stdin:
            said = json.loads(line)
            if said == STOP:
                self._stopped = True
            else:
                self.tasks.put(said)
        os._exit(0)

    def watching(self, each_event: Callable[[int], None]) -> Callable[[int], None]:
        """Return what is called behind each event of a run."""

        def look(number: int) -> None:
            if self._stopped:
                raise Interrupted("stopped on request")
            each_event(number)

        return look


def main() -> None:
    """Run the points that come until there are no more."""
    answers = own_stdout()
    # Between points there is nothing to save; the supervisor says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    desk = Desk()
    threading.Thread(target=desk.listen, daemon=True).start()
    while True:
        task = desk.tasks.get()
        point, folder = Point.from_json(task["point"]), Path(task["folder"])
        with stop_on_interrupt() as each_event:
            outcome = attempt(point, folder, task["cache"], desk.watching(each_event))
        print(json.dumps(outcome.as_json()), file=answers, flush=True)


def own_stdout() -> TextIO:
    """Keep stdout for answers, and send all else that is printed there to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
