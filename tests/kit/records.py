"""Inner names of ``sim`` that tests use: traces, run folders, invariants, the cache."""

from sim import columns, folder, limits
from sim.arrow import array, coded_text
from sim.books import Books, books_of, check_books
from sim.cache import windows
from sim.cache.place import TAG
from sim.cache.results import Results
from sim.cache.shelf import Shelf
from sim.cache.upkeep import TALLY, keep_within_bound, trim
from sim.cache.windows import WindowCache, key_of
from sim.checkpoint import CHECKPOINT, JOURNAL
from sim.coded import Coded, Vocabulary
from sim.digest import digests, sha256
from sim.fingerprints import fingerprint, without_places
from sim.folder import (
    read_manifest,
    read_tables,
    write_tables,
)
from sim.grouping import grouped, numbers_of
from sim.health import _faults
from sim.invariants import Invariants, check
from sim.invariants.gate import MANY
from sim.invariants.moved import Moved
from sim.invariants.tables import TOLERANCE, _sums
from sim.invariants.versions import WAITING, Versions
from sim.journal import Journal, checksum
from sim.offers import cut_lines
from sim.result import Result, load
from sim.run_counts import counts_of, end_of
from sim.run_log import LOG, RUN_LOG
from sim.schema import COLUMNS, KINDS, OPTIONAL
from sim.table_files import write_table
from sim.tables import Tables
from sim.timing_grid import on_grid, stamps_on_grid
from sim.trace import BLOCK, Trace
