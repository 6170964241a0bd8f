from .cluster import ClusterState as ClusterState
