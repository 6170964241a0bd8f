"""The process that a run lives in: how it begins, its memory, its terminal, what is installed."""
