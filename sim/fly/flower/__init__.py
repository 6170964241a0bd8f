"""Flower apps on the simulated clock, unchanged; needs the extra ``leomix[flower]``."""
