"""The command: the only place that knows all layers."""
