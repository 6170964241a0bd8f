"""The shipped federated methods, one file each."""
