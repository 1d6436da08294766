"""MLflow's records of a lake on S3: put back whole, never over somebody else's, and unchanged by who dies."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from lakehouse.errors import LeaseLostError, StorageError
from lakehouse.models.mirror import Mirror, make_database
from lakehouse.models.registry import Registry
from lakehouse.models.tracking import open_store
from lakehouse.tables.delta import Lake
from tests.lakehouse.models.mirrored import MODEL, describe


@pytest.fixture
def lake(bucket: str) -> Lake:
    """A lake on S3 with one version, champion."""
    lake = Lake(f"s3://{bucket}/lake")
    fit(lake, 3)
    return lake


def fit(lake: Lake, images: int) -> None:
    """Register a version and make it champion."""
    registry = Registry(lake)
    registry.choose(registry.register(MODEL, {"fitted_on": str(images)}, {}), "a fit")


def show(lake: Lake, mirror: Mirror) -> int:
    """Show what there is to show."""
    model = mirror.model_of(Registry(lake), MODEL)
    assert model is not None
    return mirror.show(model, describe)


def opened(on_s3: str) -> Mirror:
    """A mirror as the next process opens it."""
    return Mirror(None, "fruits", on_s3, lambda: None)


def lacking(lake: Lake, on_s3: str) -> list[str]:
    """What MLflow does not show, as the next process finds."""
    model = opened(on_s3).model_of(Registry(lake), MODEL)
    assert model is not None
    return opened(on_s3).lacks(model)


def test_models_on_s3_are_shown_to_the_next_process(on_s3: str, s3: Any, bucket: str, lake: Lake) -> None:
    """Version, alias and artifact; asked again, the database is not even fetched."""
    assert lacking(lake, on_s3) == [f"{MODEL} version 1"]
    assert show(lake, opened(on_s3)) == 1
    assert lacking(lake, on_s3) == []
    again = opened(on_s3)
    assert show(lake, again) == 0
    assert again._store is None
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="lake/mlflow/artifacts/")["Contents"]]
    assert any(key.endswith("model.skops") for key in keys)


@pytest.mark.parametrize("folder", ["tmp", "a%20b#c?d"])
def test_lake_on_s3_that_has_no_store_yet_gets_one(
    bucket: str, lake: Lake, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the name of the folder that the database is made in, and beside it nothing."""
    (tmp_path / folder).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
    assert show(lake, opened(f"s3://{bucket}/lake/mlflow")) == 1
    assert lacking(lake, f"s3://{bucket}/lake/mlflow") == []
    assert [path.name for path in tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("folder", ["home", "a%20b#c?d"])
def test_empty_database_is_made_in_a_folder_of_any_name(folder: str, tmp_path: Path) -> None:
    """Which MLflow's address for it has to escape."""
    (tmp_path / folder).mkdir()
    make_database(tmp_path / folder / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert (tmp_path / folder / "mlflow.db").stat().st_size > 100_000


def test_writer_that_was_overtaken_publishes_nothing(on_s3: str, lake: Lake) -> None:
    """Who has lost the lease and does not know it is refused by S3 itself, and what the other wrote stays."""
    slow, quick = opened(on_s3), opened(on_s3)
    assert slow.tracking_uri != quick.tracking_uri  # each has fetched a copy of its own
    assert show(lake, quick) == 1
    fit(lake, 4)
    with pytest.raises(LeaseLostError, match="was changed by somebody else"):
        show(lake, slow)
    assert lacking(lake, on_s3) == [f"{MODEL} version 2"]
    assert show(lake, opened(on_s3)) == 1
    assert lacking(lake, on_s3) == []


def test_run_that_dies_before_it_publishes_has_changed_nothing(
    on_s3: str, s3: Any, bucket: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have shown is shown by the next one."""
    before = s3.get_object(Bucket=bucket, Key="lake/mlflow/mlflow.db")["Body"].read()

    class DiedError(BaseException):
        pass

    def die(point: str) -> None:
        if point == "mirror.registered":
            raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.models.mirror.crash_point", die)
        with pytest.raises(DiedError):
            show(lake, opened(on_s3))
    assert s3.get_object(Bucket=bucket, Key="lake/mlflow/mlflow.db")["Body"].read() == before
    assert show(lake, opened(on_s3)) == 1
    assert lacking(lake, on_s3) == []


def test_lake_on_s3_under_another_prefix_shows_its_own_artifacts(on_s3: str, s3: Any, bucket: str, lake: Lake) -> None:
    """The addresses are put right in the file on S3."""
    show(lake, opened(on_s3))
    for one in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        source = {"Bucket": bucket, "Key": one["Key"]}
        s3.copy_object(Bucket=bucket, Key=f"copy of {one['Key']}", CopySource=source)
    place = f"s3://{bucket}/copy of lake/mlflow"
    assert show(Lake(f"s3://{bucket}/copy of lake"), opened(place)) == 0
    mirror = opened(place)
    client = MlflowClient(mirror.tracking_uri)
    assert client.get_model_version(MODEL, "1").source.startswith(f"{place}/artifacts/")


def test_copy_is_removed_with_the_store(on_s3: str) -> None:
    """Nothing of the store stays on this machine."""
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
