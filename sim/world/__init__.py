"""A scenario resolved: its satellites, its places on the ground, its start, each made once."""
