from .cluster import ClusterState as ClusterState
from .round_trip import RoundTrip as RoundTrip
from .updates import ServerModel as ServerModel
from .updates import Update as Update
from .updates import merge as merge
