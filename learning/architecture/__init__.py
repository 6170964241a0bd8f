"""Shapes, bytes, FLOPs and memory of a kind of model, without torch."""
