"""The Spark engine, for a cluster or one machine: Spark and Delta Lake. Needs Java."""
