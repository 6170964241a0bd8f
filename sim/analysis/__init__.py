"""What the tables of a run say: summary, comparison, critical path, as figures and as text."""
