"""What tests share, by what it is for.

Inner names:

- ``inner``: a module for each package; what is imported from a face is not in it.

What is run:

- ``small``: scenarios of milliseconds, on the ground and in orbit;
- ``small_nmoe``: the same with networked experts;
- ``every_source``: a scenario for each source of contacts, and each key;
- ``sources``: what a source has to have;
- ``mesh``: links between satellites;
- ``drawn``: scenarios drawn at random, and a campaign of them;
- ``skies``: satellites, sites and windows, and roots of functions of time;
- ``tiny_checkpoints``: weights, and runs that tune them;
- ``choices``: questions with options;
- ``spoilt``: data that teach nothing.

By hand:

- ``handmade``: contacts, protocols that are run over them, tables and rows;
- ``scripted``: methods that do what a script says;
- ``fly``: functions of a user;
- ``rounds``: rounds of a learner.

What a run is held against:

- ``plain_loop``: local rounds in plain PyTorch, and their minibatches;
- ``promises``: what a finished run promises;
- ``spy``: who trained what, and what became of it;
- ``replay``: packed numbers read anew;
- ``surfaces``: what others build on, listed from the code: docs/surfaces.

Around a run:

- ``folders``: run folders, and limits so small that a small run reaches them;
- ``sweep_place``: a folder to sweep in;
- ``processes``: waiting for processes, and modules that are imported anew;
- ``slow_training``: a training that lasts;
- ``browser``: pages in a browser.
"""

import pytest

pytest.register_assert_rewrite("tests.kit.promises", "tests.kit.spy")
