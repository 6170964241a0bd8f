"""``python -m sim`` is the command ``leomix``."""

from sim.cli import main

main()
