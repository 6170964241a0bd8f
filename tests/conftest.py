"""A cache folder of the tests' own, and profiles for property tests.

Properties are tried on new examples at every run, on the same ones in CI.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

os.environ["LEOMIX_CACHE"] = tempfile.mkdtemp(prefix="leomix-cache-")
atexit.register(shutil.rmtree, os.environ["LEOMIX_CACHE"], ignore_errors=True)

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")
