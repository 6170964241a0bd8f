"""Satellites, stations and clusters of devices: where they are, and how fast they compute."""
