"""Delta tables: as data, by their logs, their files, their history."""
