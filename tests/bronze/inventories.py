"""S3 Inventories made for tests, in the layout that AWS documents."""

import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq

CSV_SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
PARQUET_SCHEMA = (
    "message s3.inventory { required binary bucket (STRING); required binary key (STRING); "
    "optional binary version_id (STRING); optional boolean is_latest; optional boolean is_delete_marker; "
    "optional int64 size; optional int64 last_modified_date (TIMESTAMP(MILLIS,true)); optional binary e_tag (STRING); "
    "optional binary storage_class (STRING);}"
)
_ARROW = pa.schema(
    [
        ("bucket", pa.string()),
        ("key", pa.string()),
        ("version_id", pa.string()),
        ("is_latest", pa.bool_()),
        ("is_delete_marker", pa.bool_()),
        ("size", pa.int64()),
        ("last_modified_date", pa.timestamp("ms", "UTC")),
        ("e_tag", pa.string()),
        ("storage_class", pa.string()),
    ]
)


LONG_AGO = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Named:
    """A row: a version of an object."""

    key: str
    size: int | None = 100
    modified: datetime = LONG_AGO
    latest: bool = True
    deleted: bool = False


def make_inventory(
    bucket: str, kind: str, files: Sequence[Sequence[Named]], made: datetime, date: str = "2026-03-07T01-00Z"
) -> dict[str, bytes]:
    """A manifest and its data files, by their paths below the destination's prefix.

    Args:
        bucket: whose objects are named.
        kind: CSV or Parquet.
        files: the rows of each data file.
        made: when it was begun.
        date: the folder of the manifest.
    """
    content = _csv if kind == "CSV" else _parquet
    made_files = {
        f"{bucket}/all/data/{date}-{number}.{'csv.gz' if kind == 'CSV' else 'parquet'}": content(bucket, rows)
        for number, rows in enumerate(files)
    }
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": "arn:aws:s3:::inventories",
        "version": "2016-11-30",
        "creationTimestamp": str(int(made.timestamp() * 1000)),
        "fileFormat": kind,
        "fileSchema": CSV_SCHEMA if kind == "CSV" else PARQUET_SCHEMA,
        "files": [
            {"key": f"told/{name}", "size": len(one), "MD5checksum": hashlib.md5(one).hexdigest()}
            for name, one in made_files.items()
        ],
    }
    return {**made_files, f"{bucket}/all/{date}/manifest.json": json.dumps(manifest, indent=1).encode()}


def write_inventory(folder: Path, made: dict[str, bytes]) -> Path:
    """Write an inventory below a folder; returns the folder of its configuration."""
    for name, content in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return (folder / next(iter(made))).parents[1]


def _csv(bucket: str, rows: Sequence[Named]) -> bytes:
    lines = []
    for row in rows:
        said = (str(row.latest).lower(), str(row.deleted).lower(), "" if row.size is None else str(row.size))
        time = f"{row.modified:%Y-%m-%dT%H:%M:%S}.000Z"
        # The slashes of a key stay as they are, and a blank is a plus.
        fields = (bucket, quote_plus(row.key, safe="/"), "null", *said, time, "e", "STANDARD")
        lines.append(",".join(f'"{field}"' for field in fields) + "\n")
    return gzip.compress("".join(lines).encode(), 1)


def _parquet(bucket: str, rows: Sequence[Named]) -> bytes:
    values = [(bucket, r.key, "null", r.latest, r.deleted, r.size, r.modified, "e", "STANDARD") for r in rows]
    table = pa.Table.from_pylist([dict(zip(_ARROW.names, row, strict=True)) for row in values], _ARROW)
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()
