"""Text models and their data, behind a door: the core finds them by name."""
