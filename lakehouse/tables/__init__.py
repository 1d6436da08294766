"""Delta tables: their declarations, logs, data files and history."""
