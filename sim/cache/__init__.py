"""Results that runs share: what was trained, what was taken out of it, and contact windows.

    CACHE/CACHEDIR.TAG                   says whose folder this is
    CACHE/size                           how large it is, about
    CACHE/results/CONTEXT/KEY.tensors    a training's result
    CACHE/results/CONTEXT/KEY.number     what was taken out of tensors
    CACHE/results/CONTEXT/KEY.model      a final model, as its file is
    CACHE/windows/KEY.windows            contact windows

CONTEXT digests all that results hang on beside what they are made of: files, program, machine.
"""

from sim.cache.place import cache_folder
from sim.cache.run_cache import RunCache
from sim.cache.upkeep import clear_cache, contents

__all__ = ["RunCache", "cache_folder", "clear_cache", "contents"]
