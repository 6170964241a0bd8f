"""One run: its folder, resume, forks, cache, manifest and result."""
