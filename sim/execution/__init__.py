"""One run: its folder, resume, cache, manifest and result."""
