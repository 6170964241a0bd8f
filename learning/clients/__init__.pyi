from .cluster import ClusterState as ClusterState
from .round_trip import RoundTrip as RoundTrip
from .round_trip import run_round_trip as run_round_trip
from .updates import ServerModel as ServerModel
from .updates import Update as Update
from .updates import merge as merge
