"""MLflow's store of a lake on S3."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def on_s3(bucket: str, s3: Any, tracking_store: Path) -> str:
    """A lake's MLflow folder on S3, with an empty store: making its tables takes MLflow seconds."""
    s3.put_object(Bucket=bucket, Key="lake/mlflow/mlflow.db", Body=tracking_store.read_bytes())
    return f"s3://{bucket}/lake/mlflow"
