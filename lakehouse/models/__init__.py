"""The model registry: versions, artifacts, and MLflow, which records and shows them."""
