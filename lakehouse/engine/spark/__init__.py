"""The engine of a cluster, or of whoever wants it on one machine: Spark and Delta Lake. Needs Java."""
