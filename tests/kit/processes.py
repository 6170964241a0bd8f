"""Waiting for what other processes do."""

import time
from pathlib import Path


def wait_until(happened, what, patience_s=60.0):
    until = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
