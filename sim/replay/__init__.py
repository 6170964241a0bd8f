"""Replays: where satellites are, who is served and what is learnt, on one clock.

``orbits`` fits a few numbers to each satellite's positions, ``traffic`` thins the transfers and
counts their bytes, ``scene`` puts the data of runs together, and ``replay`` shows them: as a part
of a page, as a page of its own, or in a notebook.
"""
