"""The kernel under every layer: settings, engines, Delta tables, model registry, storage."""
