from .cluster import ClusterState as ClusterState
from .round_trip import RoundTrip as RoundTrip
from .updates import ServerModel as ServerModel
from .updates import Update as Update
from .updates import Weighted as Weighted
from .updates import changes as changes
from .updates import mean_change as mean_change
from .updates import merge as merge
