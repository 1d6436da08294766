"""The whole lakehouse once, on photographs that are drawn."""
