"""Advice: what to doubt of a scenario before it runs, what it takes, and which keys to change."""
