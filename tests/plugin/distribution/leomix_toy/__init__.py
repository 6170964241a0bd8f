"""A small extension of leomix by somebody else: one of each thing that an entry point can add."""
