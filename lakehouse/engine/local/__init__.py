"""The embedded engine: one machine, no Java."""
