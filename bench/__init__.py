"""Measurements against which the promises of speed are held; run by `make bench`."""
