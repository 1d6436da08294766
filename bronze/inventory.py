"""Photographs named by an S3 Inventory instead of by listing: for buckets of so many keys that listing takes hours.

S3 writes an inventory once a day or week: `<prefix>/<source bucket>/<configuration>/<date>/manifest.json` names data
files under `<configuration>/data/`, in which each object has a row. What it names may be gone by now, and what is newer
it does not name.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bronze.discover import LISTING, Rules
from bronze.inventory_files import FILES, LATEST, NEEDED, InventoryFiles, plain
from bronze.inventory_uri import DATE, MANIFEST
from bronze.links import listed
from bronze.survey import ListingFingerprint, fingerprint_listing
from lakehouse.engine.port import Engine, Rows, Work
from lakehouse.errors import StorageError
from lakehouse.failures import why
from lakehouse.storage import list_folders, list_names, read_file

if TYPE_CHECKING:
    from bronze.settings import BronzeSettings  # as in `bronze.discover`

_FORMATS = ("CSV", "Parquet")
_A_DAY = 86_400_000_000
_FIELD = re.compile(r"(?:required|optional)\s+\w+\s+(\w+)")


@dataclass(frozen=True)
class Inventory:
    """A manifest that was read.

    Attributes:
        uri: the manifest's.
        made: when S3 began to make it, microseconds since 1970-01-01 UTC.
        columns: of the CSV files, in order; of Parquet files None.
        files: URI, MD5 in hexadecimal digits, and size of each data file.
        digest: of the manifest, and with it of all data files.
    """

    uri: str
    made: int
    columns: tuple[str, ...] | None
    files: tuple[tuple[str, str, int], ...]
    digest: str

    @property
    def known_until(self) -> int:
        """Of objects from before this time, microseconds since 1970-01-01 UTC, it surely knows whether they are there.

        S3 leaves out some of what is written shortly before, and an upload in parts has the time at which it began.
        """
        return self.made - _A_DAY

    def named(self, rules: Rules) -> str:
        """What changes when it would give another listing under the same root."""
        names = rules.names
        told = (sorted(names.splits), sorted(names.unlabelled), [*rules.skip], rules.lake)
        return f"inventory {self.digest} {hashlib.sha256(repr(told).encode()).hexdigest()}"


@contextmanager
def photographs_of(
    engine: Engine, settings: "BronzeSettings", inventory: Inventory | None
) -> Iterator[tuple[Rows, ListingFingerprint]]:
    """Everything under the images' root as LISTING, kept, and that in short: by an inventory, or listed where None.

    Raises:
        StorageError: the folder cannot be listed, or the inventory's files are not what the manifest says.
    """
    rules = Rules.of(settings)
    if inventory is None:
        with listed(engine, settings.source, rules, settings.readers) as found:
            yield found
        return
    with engine.kept(_objects_of(engine, inventory, settings.source, rules)) as listing:
        yield listing, fingerprint_listing(engine, listing)


def _objects_of(engine: Engine, inventory: Inventory, root: str, rules: Rules) -> Rows:
    rows = [
        {"number": number, "file": file, "md5": md5, "size": size}
        for number, (file, md5, size) in enumerate(inventory.files)
    ]
    files = engine.of(pa.Table.from_pylist(rows, FILES))
    work = Work("inventory files read", len(rows), sum(size for _, _, size in inventory.files), "size")
    return engine.map(files, InventoryFiles(root, inventory.columns, rules), LISTING, work)


def inventory_of(settings: "BronzeSettings") -> Inventory | None:
    """The inventory that the setting `images` names, the newest one of a configuration; None where it names a folder.

    Raises:
        StorageError: there is none, it is not whole, it is for another bucket, or it lacks what is needed.
    """
    if settings.inventory is None:
        return None
    uri = _manifest_of(settings.inventory)
    try:
        content = read_file(uri)
    except OSError as error:
        raise StorageError(f"The inventory {uri} cannot be read: {why(error)}") from error
    try:
        manifest = json.loads(content)
        files = tuple(_data_file(uri, one) for one in manifest["files"])
        bucket, made = str(manifest["sourceBucket"]), int(manifest["creationTimestamp"]) * 1_000
        kind, schema = str(manifest["fileFormat"]), str(manifest["fileSchema"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{uri} is no manifest of an S3 Inventory, or not whole ({_in_words(error)}). Name another, or have S3 "
            "write it anew."
        ) from error
    _check(uri, bucket, settings.source, kind)
    return Inventory(uri, made, _columns(uri, kind, schema), files, hashlib.sha256(content).hexdigest())


def _data_file(manifest: str, told: Mapping[str, Any]) -> tuple[str, str, int]:
    """URI, MD5 and size: the file beside the manifest, where S3 has put both, wherever they have been copied to."""
    name = str(told["key"]).rpartition("/")[2]
    return f"{manifest.rsplit('/', 2)[0]}/data/{name}", str(told["MD5checksum"]).lower(), int(told["size"])


def _in_words(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _manifest_of(uri: str) -> str:
    if uri.endswith(f"/{MANIFEST}"):
        return uri
    if DATE.fullmatch(uri.rpartition("/")[2]):
        return f"{uri}/{MANIFEST}"
    dates = sorted((one for one in list_folders(uri) if DATE.fullmatch(one.rpartition("/")[2])), reverse=True)
    # S3 writes the manifest last: a date without one is still being written.
    whole = next((one for one in dates if MANIFEST in list_names(one)), None)
    if whole is None:
        raise StorageError(
            f"{uri} holds no inventory, which S3 writes as <date>/{MANIFEST}. Check the name, or wait for the first."
        )
    return f"{whole}/{MANIFEST}"


def _check(uri: str, bucket: str, root: str, kind: str) -> None:
    if root.split("/")[2] != bucket:
        raise StorageError(
            f"{uri} is an inventory of the bucket {bucket}, and lies where those of {root.split('/')[2]} do. Name the "
            "manifest where S3 has put it, or keep these folders in a copy."
        )
    if kind not in _FORMATS:
        raise StorageError(
            f"The inventory {uri} has the format {kind}, which is not read here. Have S3 write CSV or Parquet: it is "
            "said in the inventory's configuration."
        )


def _columns(uri: str, kind: str, schema: str) -> tuple[str, ...] | None:
    columns = tuple(name.strip() for name in schema.split(",")) if kind == "CSV" else tuple(_FIELD.findall(schema))
    there = {plain(name) for name in columns}
    needed = (*NEEDED, LATEST) if "versionid" in there else NEEDED
    if lacking := [name for name in needed if plain(name) not in there]:
        raise StorageError(
            f"The inventory {uri} has no field {' and no '.join(lacking)}. Add it in the inventory's configuration, "
            "and wait for the next one."
        )
    return columns if kind == "CSV" else None
