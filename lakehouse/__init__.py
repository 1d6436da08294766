"""The kernel under every layer: settings, Spark session, Delta tables, model registry, storage."""
