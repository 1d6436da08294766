"""What brings the platform up, shipped as package data (`lakehouse.bootstrap` in an installation)."""
