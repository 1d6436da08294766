"""The history of runs: what each command that writes to a lake did, how long it took, and how it ended."""
