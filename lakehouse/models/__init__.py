"""The model registry: versions and artifacts, recorded and shown by MLflow."""
