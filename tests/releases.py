"""Lakes that releases have written, each unpacked from its folder of `tests/data`."""

import os
import shutil
import sqlite3
import tarfile
from contextlib import closing, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from fruits.settings import Settings, load_settings
from lakehouse.storage.uri import FILE, local_path
from silver.encoders.base import UNTRAINED
from silver.encoders.mobilenet import converted_model
from silver.moments import Moments

DATA = Path(__file__).parent / "data"
ROOT_0_1_0 = Path("/tmp/fruits-0.1.0")
"""Where the lake of 0.1.0 was, and the photographs that its rows name."""


def unpack(folder: Path, *, model: bool = False) -> Settings:
    """Unpack the lake of release 0.1.0 into a folder; `model` adds the converted network, made once a machine.

    Returns:
        Settings with the lake `<folder>/lake` and the photographs beside it, which the lake knows under other paths.
    """
    with tarfile.open(DATA / "lake-0.1.0" / "lake.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    lake = folder / "lake"
    for file in (lake / "silver" / "moments").glob("*.parquet"):
        _put_back_scatter(lake, file)
    if model:
        _, converted = converted_model(UNTRAINED, f"{FILE}{folder / 'converted'}")
        (lake / "models").mkdir(exist_ok=True)
        shutil.copy(local_path(converted), lake / "models" / "mobilenetv2-untrained-r1.tflite")
    return load_settings(lake=str(lake), images=str(folder / "photographs"), weights=UNTRAINED)


def settle(settings: Settings) -> None:
    """Have MLflow's database name the unpacked lake's present place, as that of a lake which was never moved."""
    lake = settings.lake.removeprefix(FILE)
    with closing(sqlite3.connect(f"{lake}/mlflow/mlflow.db")) as connection, connection:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", [f"{ROOT_0_1_0}/lake", lake])


def put_photographs_back(settings: Settings) -> Settings:
    """Copy an unpacked lake's photographs to where its rows name them; who needs others changes them elsewhere."""
    if not ROOT_0_1_0.exists():
        whole = ROOT_0_1_0.with_name(f"{ROOT_0_1_0.name}-{os.getpid()}")
        shutil.copytree(Path(str(settings.images).removeprefix(FILE)), whole / "photographs")
        with suppress(OSError):  # another process was faster
            whole.rename(ROOT_0_1_0)
        shutil.rmtree(whole, ignore_errors=True)
    return settings.model_copy(update={"images": f"{FILE}{ROOT_0_1_0 / 'photographs'}"})


def _put_back_scatter(lake: Path, file: Path) -> None:
    """Compute what the archive leaves out: the scatter matrix of the features that the row of moments is of."""
    (row,) = pq.read_table(file).to_pylist()
    table = DeltaTable(lake / "silver" / "features", version=row["features_version"])
    features = table.to_pyarrow_table(columns=["features"]).column("features").combine_chunks()
    moments = Moments.of(features.flatten().to_numpy().reshape(-1, 1280))
    assert moments.count == row["count"]
    schema = pq.read_schema(file).append(pa.field("scatter", pa.binary()))
    rows = pa.Table.from_pylist([{**row, "scatter": moments.to_bytes()[2]}], schema)
    wide = ("mean", "scatter")
    pq.write_table(
        rows,
        file,
        compression={name: "NONE" if name in wide else "SNAPPY" for name in schema.names},
        use_dictionary=["feature_version"],
        write_statistics=[name for name in schema.names if name not in wide],
    )
