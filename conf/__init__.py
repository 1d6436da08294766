"""The settings files, shipped as package data (`lakehouse.conf` in an installation)."""
