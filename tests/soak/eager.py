"""``leomix`` whose runs save a checkpoint many times a second: ``python eager.py run ...``."""

from runpy import run_module

import sim

EVERY_S = 0.05

if __name__ == "__main__":
    defaults = sim.run.__kwdefaults__
    assert "checkpoint_every_s" in defaults
    defaults["checkpoint_every_s"] = EVERY_S
    run_module("sim", run_name="__main__")
