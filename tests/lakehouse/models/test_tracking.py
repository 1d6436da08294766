"""MLflow's records of a lake on S3: put back whole, never over somebody else's, and unchanged by who dies."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.preprocessing import StandardScaler

from lakehouse.errors import LeaseLostError, StorageError
from lakehouse.models.registry import Fit, Registry, make_database
from lakehouse.models.tracking import open_store

MODEL = "fruits-scaler"


def fit(images: int) -> Fit:
    """A fit of two columns."""
    scaler = StandardScaler().fit([[0.0, 1.0], [1.0, float(images)]])
    return Fit(scaler, (2, 2), {"fitted_on": str(images)}, {"images": images}, {"images": images}, {"curve": [0.5, 1]})


def test_models_on_s3_are_there_for_the_next_process(on_s3: str, s3: Any, bucket: str) -> None:
    """Version, alias, metrics and artifact: another registry reads what one has published."""
    first = Registry(None, "fruits", on_s3)
    version = first.register(MODEL, fit(3))
    first.set_champion(version)
    second = Registry(None, "fruits", on_s3)
    found = second.champion(MODEL)
    assert found == version
    assert second.load(version).mean_.tolist() == fit(3).model.mean_.tolist()
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="lake/mlflow/artifacts/")["Contents"]]
    assert any(key.endswith("model.skops") for key in keys)


def test_writer_that_was_overtaken_publishes_nothing(on_s3: str) -> None:
    """Who has lost the lease and does not know it is refused by S3 itself, and what the other wrote stays."""
    slow, quick = Registry(None, "fruits", on_s3), Registry(None, "fruits", on_s3)
    assert slow.tracking_uri != quick.tracking_uri  # each has fetched a copy of its own
    version = quick.register(MODEL, fit(3))
    with pytest.raises(LeaseLostError, match="was changed by somebody else"):
        slow.register(MODEL, fit(4))
    assert [one.tags["fitted_on"] for one in Registry(None, "fruits", on_s3).versions(MODEL)] == ["3"]
    quick.set_champion(version)
    assert Registry(None, "fruits", on_s3).champion(MODEL) == version


def test_run_that_dies_before_it_publishes_has_changed_nothing(
    on_s3: str, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit that is made again gets the same number."""
    before = s3.get_object(Bucket=bucket, Key="lake/mlflow/mlflow.db")["Body"].read()

    class DiedError(BaseException):
        pass

    def die(point: str) -> None:
        if point == "registry.logged":
            raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.models.registry.crash_point", die)
        with pytest.raises(DiedError):
            Registry(None, "fruits", on_s3).register(MODEL, fit(3))
    assert s3.get_object(Bucket=bucket, Key="lake/mlflow/mlflow.db")["Body"].read() == before
    assert Registry(None, "fruits", on_s3).register(MODEL, fit(3)).number == 1


def test_copy_is_removed_with_the_store(on_s3: str) -> None:
    """Nothing of the registry stays on this machine."""
    store = open_store(None, on_s3, make_database)
    copy = Path(store.uri.removeprefix("sqlite:///"))
    assert copy.is_file()
    del store
    assert not copy.parent.exists()


def test_bucket_that_is_not_there_is_named(s3: Any) -> None:
    """Not taken for a lake without models."""
    with pytest.raises(
        StorageError, match=r"no-such-bucket/lake/mlflow/mlflow\.db is out of reach.* Create the bucket"
    ):
        open_store(None, "s3://no-such-bucket/lake/mlflow", make_database)
