"""Local training, aggregation and evaluation, in torch."""
