"""Options of benchmarks that take real weights and the data of their clusters."""

from argparse import ArgumentParser


def with_weights() -> ArgumentParser:
    """Return a parser of the checkpoints and files of Experiment 1, and those of Experiment 2."""
    parser = ArgumentParser()
    parser.add_argument("--weights", nargs=3, default=[])
    parser.add_argument("--data", nargs=3, default=[])
    parser.add_argument("--encoder", nargs=1, default=[])
    parser.add_argument("--tasks", nargs=4, default=[])
    return parser
