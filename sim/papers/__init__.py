"""What papers state, what was measured of it, and how it is run again."""
