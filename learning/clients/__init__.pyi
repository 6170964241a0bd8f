from .cluster import ClusterSide as ClusterSide
from .round_trip import Turn as Turn
from .round_trip import take_turn as take_turn
from .updates import Update as Update
