"""Photographs named by an S3 Inventory: which rows count, what a run reads again, and what it does not remove."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import bronze.inventory_files
from bronze.inventory import inventory_of, photographs_of
from bronze.tables import IMAGES
from fruits.cli.options import settings_of
from fruits.operations.passed_over import examine_images
from fruits.settings import Settings, load_settings
from lakehouse.errors import SettingsError, StorageError
from lakehouse.storage.access import Access, access_to
from lakehouse.tables import delta
from lakehouse.workspace import Workspace
from tests.bronze.inventories import LONG_AGO, Named, make_inventory, write_inventory
from tests.bronze.test_job import run
from tests.conftest import Opening, photograph

MADE = datetime(2026, 3, 7, 1, 0, tzinfo=UTC)
ODD = ("a b+c%20.png", "é 漢/100%.png", "null", "NA/NaN.png", "Apple//1.png", 'it\'s, "so".png')
"""Keys of which CSV, URLs, or whoever reads numbers, have opinions."""


def inventory_on_disk(tmp_path: Path, kind: str, *files: Sequence[Named], **settings: object) -> Settings:
    """Settings with an inventory of the bucket `pictures` on a disk; nothing is read from the bucket."""
    folder = write_inventory(tmp_path / "told", make_inventory("pictures", kind, files, MADE))
    return load_settings(images=f"inventory+file://{folder}", lake=str(tmp_path / "lake"), **settings)


def listed(opened: Opening, engine_name: str, settings: Settings) -> list[dict[str, Any]]:
    """The rows of the listing, by their paths."""
    engine = opened(engine_name)
    with photographs_of(engine, settings, inventory_of(settings)) as (listing, seen):
        rows: list[dict[str, Any]] = engine.arrow(listing).to_pylist()
    assert seen.files == len(rows)
    return sorted(rows, key=lambda row: str(row["path"]))


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_keys_of_all_files_are_as_they_are(tmp_path: Path, opened: Opening, engine_name: str, kind: str) -> None:
    """Labels, splits, sizes and times are those of a listing, whatever characters a key has."""
    rows = [Named(key) for key in ODD]
    settings = inventory_on_disk(tmp_path, kind, rows, [Named("Training/Pear/3.png", 7)])
    found = listed(opened, engine_name, settings)
    assert [row["path"] for row in found] == sorted(f"s3://pictures/{key}" for key in (*ODD, "Training/Pear/3.png"))
    pear = next(row for row in found if row["path"].endswith("Pear/3.png"))
    assert (pear["label"], pear["split"], pear["length"], pear["rule"]) == ("Pear", "Training", 7, None)
    assert pear["modification_time"] == LONG_AGO


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_what_is_not_there_now_or_not_below_the_prefix_is_left_out(tmp_path: Path, opened: Opening, kind: str) -> None:
    """Older versions, delete markers, and other folders, of which one has the prefix for the start of its name."""
    rows = [
        Named("in/Apple/now.png"),
        Named("in/Apple/before.png", latest=False),
        Named("in/Apple/gone.png", None, deleted=True),
        Named("in/Apple/gone.png", latest=False),
        Named("inside/Apple/other.png"),
        Named("in/Apple/Thumbs.db"),
        Named("in/.git/1.png"),
        Named("in/Apple/", 0),
    ]
    settings = inventory_on_disk(tmp_path, kind, rows, inventory_prefix="/in/")
    assert {
        row["path"].removeprefix("s3://pictures/in/"): row["rule"] for row in listed(opened, "local", settings)
    } == {
        "Apple/now.png": None,
        "Apple/Thumbs.db": "skip: Thumbs.db",
        ".git/1.png": "skip: .git/",
        "Apple/": "folder_marker",
    }


def test_lake_in_the_bucket_is_one_entry(tmp_path: Path, opened: Opening) -> None:
    """However many files of the inventory name what is in it."""
    settings = inventory_on_disk(tmp_path, "CSV", [Named("lake/a/1.parquet"), Named("A/1.png")], [Named("lake/2.json")])
    settings = settings.model_copy(update={"lake": "s3://pictures/lake"})
    rules = {row["path"]: row["rule"] for row in listed(opened, "local", settings)}
    assert rules == {"s3://pictures/A/1.png": None, "s3://pictures/lake": "lake"}


def test_newest_whole_inventory_is_taken(tmp_path: Path) -> None:
    """One that S3 still writes has no manifest yet; an older one can be named."""
    for day in ("06", "07"):
        date = f"2026-03-{day}T01-00Z"
        made = make_inventory("pictures", "CSV", [[Named("1.png")]], MADE, date)
        folder = write_inventory(tmp_path, made)
    (folder / "2026-03-08T01-00Z").mkdir()
    for named, day in (("", "07"), ("/2026-03-06T01-00Z", "06"), ("/2026-03-06T01-00Z/manifest.json", "06")):
        inventory = inventory_of(load_settings(images=f"inventory+file://{folder}{named}", lake=str(tmp_path / "lake")))
        assert inventory is not None
        assert inventory.uri == f"file://{folder}/2026-03-{day}T01-00Z/manifest.json"


def changed_manifest(folder: Path, **fields: object) -> None:
    """Other values in the manifest."""
    manifest = next(folder.glob("*/manifest.json"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **fields}))


def other_content(folder: Path) -> None:
    """A data file that is what its manifest says by its MD5, and no gzip."""
    data = next(folder.glob("data/*"))
    data.write_bytes(b"other")
    one = {"key": data.name, "size": 5, "MD5checksum": hashlib.md5(b"other").hexdigest()}
    changed_manifest(folder, files=[one])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda folder: changed_manifest(folder, fileFormat="ORC"), "has the format ORC, which is not read here"),
        (lambda folder: changed_manifest(folder, fileSchema="Bucket, Key"), "no field Size and no LastModifiedDate"),
        (
            lambda folder: changed_manifest(folder, fileSchema="Key, VersionId, Size, LastModifiedDate"),
            "field IsLatest",
        ),
        (
            lambda folder: changed_manifest(folder, sourceBucket="other"),
            "inventory of the bucket other, and lies where",
        ),
        (lambda folder: changed_manifest(folder, files=[{"key": "1"}]), "not whole .it has no 'MD5checksum'"),
        (lambda folder: next(folder.glob("*/manifest.json")).write_text("{"), "is no manifest of an S3 Inventory"),
        (lambda folder: next(folder.glob("*/manifest.json")).unlink(), "holds no inventory, which S3 writes as"),
        (lambda folder: next(folder.glob("data/*")).write_bytes(b"half"), "is not whole, or was changed: its MD5 is"),
        (
            lambda folder: next(folder.glob("data/*")).unlink(),
            "data file of the inventory, cannot be read: No such file",
        ),
        (other_content, "is no data file as the inventory's manifest describes it"),
    ],
)
def test_inventory_that_is_not_whole_is_said(
    tmp_path: Path, opened: Opening, wrong: Callable[[Path], object], says: str
) -> None:
    """In a sentence, and nothing is taken from it."""
    settings = inventory_on_disk(tmp_path, "CSV", [Named("1.png")])
    wrong(tmp_path / "told/pictures/all")
    with pytest.raises(StorageError, match=says):
        listed(opened, "local", settings)


def test_names_that_are_no_inventorys_are_refused(tmp_path: Path) -> None:
    """Nobody would know the bucket; and a prefix without an inventory would restrict nothing."""
    with pytest.raises(SettingsError, match="an inventory is named as S3 puts it"):
        load_settings(images="inventory+s3://bucket/manifest.json", lake=str(tmp_path))
    with pytest.raises(SettingsError, match="`images` names none"):
        load_settings(images="s3://bucket/a", inventory_prefix="b", lake=str(tmp_path))


class Bucket:
    """Photographs in a bucket, and inventories of them in the same one."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name
        self.objects: dict[str, Named] = {}

    def put(self, key: str, seed: int, modified: datetime = LONG_AGO) -> None:
        """Put a photograph, which inventories name from then on."""
        content = photograph(seed)
        self._client.put_object(Bucket=self.name, Key=key, Body=content)
        self.objects[key] = Named(key, len(content), modified)

    def remove(self, key: str) -> None:
        """Remove an object, which inventories still name."""
        self._client.delete_object(Bucket=self.name, Key=key)

    def tell(self, kind: str, made: datetime) -> None:
        """Write an inventory, of two data files."""
        rows = [*self.objects.values()]
        date = f"{made:%Y-%m-%dT%H-%MZ}"
        for name, content in make_inventory(self.name, kind, [rows[::2], rows[1::2]], made, date).items():
            self._client.put_object(Bucket=self.name, Key=f"told/{name}", Body=content)


@pytest.fixture
def told(s3: Any, bucket: str) -> Bucket:
    """A bucket with three photographs, of which no inventory tells yet."""
    told = Bucket(s3, bucket)
    for seed, key in enumerate(("in/Apple/a b+%20.png", "in/Apple/é.png", "in/Pear/2.png")):
        told.put(key, seed)
    return told


@pytest.fixture
def following(told: Bucket, workspace: Workspace) -> Iterator[Workspace]:
    """A workspace that follows the bucket's newest inventory, and removes what is gone."""
    settings = load_settings(
        images=f"inventory+s3://{told.name}/told/{told.name}/all",
        inventory_prefix="in",
        lake=workspace.settings.lake,
        removed_images="delete",
    )
    following = Workspace(settings)
    yield following
    following.close()


def keys(workspace: Workspace) -> set[str]:
    """The keys of the photographs in the lake."""
    found = delta.existing(workspace.lake, IMAGES).to_pyarrow_table().column("path").to_pylist()
    return {path.split("/", 3)[3] for path in found}


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_run_follows_inventories(
    told: Bucket, following: Workspace, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same one is not read again; the next one has one more and one gone, and names one that is gone by then."""
    told.tell(kind, MADE)
    run(following, ingested=3)
    with monkeypatch.context() as patch:
        patch.setattr(bronze.inventory_files, "read_file", lambda uri: pytest.fail(f"{uri} is read again"))
        run(following, unchanged=3)
    del told.objects["in/Pear/2.png"]
    told.put("in/Pear/3.png", 3)
    told.put("in/Pear/4.png", 4)
    told.remove("in/Pear/4.png")
    told.tell(kind, MADE + timedelta(days=7))
    assert run(following, ingested=1, unchanged=2, removed=1, skipped=1)["skipped_by"] == {"in_motion": 1}
    assert keys(following) == {"in/Apple/a b+%20.png", "in/Apple/é.png", "in/Pear/3.png"}
    with monkeypatch.context() as patch:
        patch.setattr(bronze.inventory_files, "read_file", lambda uri: pytest.fail(f"{uri} is read again"))
        run(following, unchanged=3, skipped=1)
    assert examine_images(following.section(Settings)) == (4, {})


def test_older_inventory_removes_and_replaces_nothing_newer(told: Bucket, following: Workspace) -> None:
    """Nor what came within the day before it: S3 may have left that out."""
    told.tell("CSV", MADE)
    old = dict(told.objects)
    told.put("in/Pear/hour-before.png", 5, MADE - timedelta(hours=1))
    told.put("in/Pear/after.png", 6, MADE + timedelta(hours=1))
    told.put("in/Pear/days-before.png", 7, MADE - timedelta(days=2))
    told.put("in/Pear/2.png", 8, MADE + timedelta(hours=2))
    told.tell("CSV", MADE + timedelta(days=1))
    run(following, ingested=6)
    settings = following.section(Settings)
    earlier = settings.model_copy(update={"images": f"{settings.images}/{MADE:%Y-%m-%dT%H-%MZ}"})
    told.objects = old
    summary = run(Workspace(earlier), unchanged=3, removed=1)
    assert summary["unlisted"] == 2
    assert keys(following) == {*old, "in/Pear/hour-before.png", "in/Pear/after.png"}
    images = delta.existing(following.lake, IMAGES).to_pyarrow_table().to_pylist()
    replaced = next(row for row in images if row["path"].endswith("/2.png"))
    assert replaced["modification_time"] == MADE + timedelta(hours=2)


def test_source_bucket_is_asked_as_the_setting_says() -> None:
    """It, and not the bucket that the inventory lies in, is somebody else's; the lake may lie in the latter alone."""
    images = "inventory+s3://ours/told/theirs/all"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_BUCKET_ACCESS", "")
        settings = settings_of(None, images=images, images_access="public", lake="s3://ours/lake")
        assert (access_to("theirs"), access_to("ours")) == (Access.PUBLIC, Access.SIGNED)
    assert (settings.source, settings.inventory) == ("s3://theirs", "s3://ours/told/theirs/all")
    with pytest.raises(SettingsError, match="the lake is in the photographs' bucket theirs"):
        load_settings(images=images, images_access="public", lake="s3://theirs/lake")
