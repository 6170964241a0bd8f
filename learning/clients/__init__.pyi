from .cluster import ClusterState as ClusterState
from .round_trip import RoundTrip as RoundTrip
from .round_trip import run_round_trip as run_round_trip
from .updates import Update as Update
