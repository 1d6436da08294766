"""`fruits report`: what it tells is what SQL answers, whatever names hold, on lakes that hold less than all."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import decomposition
from sklearn.preprocessing import StandardScaler

from bronze.judgement import Limits
from bronze.photograph import salvage
from bronze.tables import CONTENTS, IMAGES, QUARANTINE
from fruits.catalog import TABLES
from fruits.query.sql import answer, connect
from fruits.report import write_report
from fruits.report.contents import gather
from fruits.report.neighbours import compare
from fruits.report.page import make_page
from fruits.report.sample import Sample, draw_sample, find_ends
from fruits.report.thumbnails import read_thumbnails
from fruits.settings import Settings, load_settings
from gold.compare import principal_angles, under_scale
from gold.likeness import find_centroids
from gold.tables import EXPLAINED_VARIANCE, MODELS, PCA, PROJECTIONS
from lakehouse.errors import LakehouseError, StorageError
from lakehouse.models.registry import Registry
from lakehouse.models.tables import MODELS as REGISTERED
from lakehouse.progress import NullProgress
from lakehouse.tables import delta
from lakehouse.tables.delta import Lake
from lakehouse.tables.table import Table
from silver.tables import SCALER
from tests.conftest import photograph
from tests.fruits.conftest import MARKUP

THEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
NASTY = "<script>alert('x')</script>&\"b\"</style>{{ 7*7 }}"
LIMITS = Limits(("JPEG", "PNG"), 1 << 20, 1 << 20)


def write(lake: Lake, table: Table, rows: list[dict[str, Any]]) -> None:
    """Append rows to a table."""
    delta.create(lake, [table])
    content = pa.Table.from_pylist(rows, schema=table.schema)
    delta.write_small(content, lake, table, mode="append")


def add_images(lake: Lake, names: Sequence[tuple[str | None, str | None, str]], batch: int = 1, k: int = 5) -> None:
    """Add photographs (label, split, name), their components around a place of their label's."""
    rows, contents, projections = [], [], []
    for number, (label, split, name) in enumerate(names):
        path = f"file:///fruits/{split or ''}/{label or ''}/{name}"
        sha256 = f"{batch}-{number}"
        rows.append(
            {"path": path, "label": label, "split": split, "format": "PNG", "width": 8, "height": 8, "length": 250,
             "modification_time": THEN, "sha256": sha256, "batch": batch, "ingested_at": THEN + timedelta(days=batch)}
        )  # fmt: skip
        content = photograph(number)
        contents.append({"sha256": sha256, "length": len(content), "first_batch": batch, "content": content})
        place = np.random.default_rng(sum(map(ord, label or ""))).normal(0, 10, k)
        components = place + np.random.default_rng(number + 1000 * batch).normal(0, 1, k)
        projections.append(
            {"path": path, "label": label, "split": split, "sha256": sha256, "pc1": components[0],
             "pc2": components[1] if k > 1 else None, "pc3": components[2] if k > 2 else None,
             "components": components.tolist(), "scaler_version": 1, "pca_version": 1}
        )  # fmt: skip
    held = {row["sha256"] for row in delta.read_rows(lake, CONTENTS, ["sha256"])}
    write(lake, CONTENTS, [row for row in contents if row["sha256"] not in held])
    write(lake, IMAGES, rows)
    write(lake, PROJECTIONS, projections)


def add_version(lake: Lake, number: int = 1, k: int = 5, ratio: Sequence[float] = (0.4, 0.2, 0.1, 0.07, 0.05)) -> None:
    """Add a version of the PCA that explains so much."""
    cumulative = np.cumsum(ratio)
    spectrum = [
        {"pca_version": number, "component": n, "variance": r, "ratio": r, "cumulative": c}
        for n, (r, c) in enumerate(zip(ratio, cumulative, strict=True), start=1)
    ]
    write(lake, EXPLAINED_VARIANCE, spectrum)
    model = {"pca_version": number, "scaler_version": number,
             "feature_version": "f", "images": 10, "components": k, "explained_variance": float(cumulative[k - 1]),
             "threshold": 0.8, "fitted_at": THEN, "reason": "first fit"}  # fmt: skip
    write(lake, MODELS, [model])


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """A lake with photographs of three labels in two splits and two batches, a PCA, and files held back."""
    lake = Lake(settings.lake)
    delta.create(lake, TABLES)
    add_images(lake, [(label, "Training", f"{n}.png") for label in ("Apple", "Kiwi", NASTY) for n in range(12)])
    add_images(lake, [(label, "Test", f"{n}.png") for label in ("Apple", "Kiwi") for n in range(5)], batch=2)
    add_version(lake)
    held = {"path": f"file:///fruits/{NASTY}.jpg", "label": NASTY, "length": 3, "modification_time": THEN,
            "reason": "not_an_image", "detail": NASTY, "batch": 1, "quarantined_at": THEN}  # fmt: skip
    write(lake, QUARANTINE, [held])
    return lake


def page_of(settings: Settings) -> str:
    """The report on the lake of these settings."""
    return make_page(gather(settings, NullProgress()))


def cells(page: str, caption: str) -> list[list[str]]:
    """The text of the cells of the table whose caption begins so, its head first."""
    tables = re.findall(r"<table.*?</table>", page, re.DOTALL)
    table = next(one for one in tables if unescape(re.sub("<.*?>", "", one)).startswith(caption))
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    return [[unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def points_of(page: str) -> dict[str, Any]:
    """What the page's script draws."""
    found = re.search(r'<script type="application/json" id="points">(.*?)</script>', page)
    assert found
    points: dict[str, Any] = json.loads(found[1])
    return points


# ---- what it tells --------------------------------------------------------------------------------------------------


def test_counts_are_those_of_sql(lake: Lake, settings: Settings) -> None:
    """Label by split, and batch by batch."""
    _, rows = answer(lake, "SELECT label, split, count(*) FROM bronze.images GROUP BY ALL")
    expected = {(str(label), str(split)): int(str(count)) for label, split, count in rows}
    page = page_of(settings)
    head, *body = cells(page, "Photographs by label and split")
    assert head[:4] == ["label", "Test", "Training", "all"]
    assert {row[0]: row[1:4] for row in body} == {
        label: [f"{expected.get((label, split), 0)}" for split in ("Test", "Training")]
        + [str(sum(count for (one, _), count in expected.items() if one == label))]
        for label in ("Apple", "Kiwi", NASTY)
    }
    growth = cells(page, "Growth by batch")[1:]
    assert [row[:4] for row in growth] == [["1", "2026-01-03 03:04", "36", "36"], ["2", "2026-01-04 03:04", "10", "46"]]


def test_variance_is_that_of_the_version_in_use(lake: Lake, settings: Settings) -> None:
    """The curve, k and the table are of the version that the projections are of, not of the newest."""
    write(lake, EXPLAINED_VARIANCE, [{"pca_version": 2, "component": 1, "variance": 1, "ratio": 1, "cumulative": 1}])
    page = page_of(settings)
    assert "5 components explain 82.00% of the variance; the threshold is 80%." in page
    assert cells(page, "Components that are needed")[1:] == [["50%", "2"], ["80%", "5"], ["90%", "–"], ["95%", "–"]]


def test_points_are_the_projections(lake: Lake, settings: Settings) -> None:
    """Every photograph of a small lake is drawn where `gold.projections` has it, and can be seen."""
    page = page_of(settings)
    points = points_of(page)
    _, rows = answer(lake, "SELECT label, pc1, pc2, pc3 FROM gold.projections")
    drawn = [(points["labels"][label], *at) for label, *at in zip(points["label"], *points["at"], strict=True)]
    assert sorted(drawn) == sorted((row[0], *(float(f"{v:.5g}") for v in row[1:])) for row in rows)
    assert all(points["picture"])
    assert "All 46 photographs are drawn." in page


def test_distances_of_labels_are_those_of_their_means(lake: Lake, settings: Settings) -> None:
    """The heat map holds the distance between the average components of two labels."""
    _, rows = answer(lake, "SELECT label, components FROM gold.projections")
    apples, kiwis = (np.array([row[1] for row in rows if row[0] == label]) for label in ("Apple", "Kiwi"))
    expected = float(np.linalg.norm(apples.mean(axis=0) - kiwis.mean(axis=0)))
    table = cells(page_of(settings), "Distance between the centroids")
    place = table[0].index("Kiwi")
    (apple,) = [row for row in table[1:] if row[0] == "Apple"]
    assert apple[place] == f"{expected:.3g}"


def test_ends_are_the_extremes(lake: Lake) -> None:
    """The outermost photographs of each component, as ORDER BY finds them."""
    ends = find_ends(connect(lake), 5)
    assert len(ends) == 5
    for n, (low, high) in enumerate(ends, start=1):
        _, rows = answer(lake, f"SELECT path FROM gold.projections ORDER BY components[{n}]")
        ordered = [row[0] for row in rows]
        assert [path for path, _ in low.photographs] == ordered[:5]
        assert [path for path, _ in high.photographs] == ordered[:-6:-1]


def test_reason_and_advice_are_told(lake: Lake, settings: Settings) -> None:
    """What was held back, how many, and what to do."""
    (row,) = cells(page_of(settings), "Files that are no photographs")[1:]
    assert row == ["not_an_image", "1", "It is no picture, whatever its name: remove it, or name it in skip."]


def test_bytes_held_twice_are_told(lake: Lake, settings: Settings) -> None:
    """The same bytes under another label are the first to be told."""
    add_images(lake, [("Kiwi", "Test", "copy.png")])  # content and digest of the first apple
    page = page_of(settings)
    assert "1 of 47 photographs are held under another path too." in page
    assert "2 paths, under different labels or splits" in page


def test_cut_picture_is_shown_as_far_as_it_goes() -> None:
    """What can be seen of a truncated file is seen; of what is no picture, or too large, nothing is."""
    content = photograph(1, size=(64, 64), encoding="JPEG")
    found = salvage(content[: len(content) * 2 // 3], LIMITS)
    assert found is not None
    assert found.size == (64, 64)
    assert salvage(b"no picture", LIMITS) is None
    assert salvage(content, Limits(("PNG",), 1 << 20, 1 << 20)) is None
    assert salvage(content, Limits(("JPEG",), 1 << 20, 100)) is None


# ---- names ----------------------------------------------------------------------------------------------------------


def test_names_are_text(lake: Lake, settings: Settings) -> None:
    """A label, a path or a detail that is markup is shown, and is nowhere an element; the script's data neither."""
    page = page_of(settings)
    assert "<script>alert" not in page
    assert page.count("</style>") == 1
    assert page.count("<script") == page.count("</script>") == 2
    assert NASTY in points_of(page)["labels"]


class Read(HTMLParser):
    """A page as a browser reads it: its elements, and the texts by what they are in, or by `@` and the attribute."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element and its attributes."""
        self.elements.append(tag)
        self.texts += [(f"@{name}", value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Take a text."""
        self.texts.append((self.elements[-1] if self.elements else "", data))

    def places(self, text: str) -> set[str]:
        """Where a text stands."""
        return {place for place, found in self.texts if text in found}


def read_named(lake: str, names: Sequence[str]) -> Read:
    """The report on a lake in which all that can have a name has these."""
    at = Lake(load_settings(lake=lake).lake)
    delta.create(at, TABLES)
    add_images(at, [(name, name, f"{n}{name}.png") for name in names for n in range(3)])
    add_images(at, [(name, name, f"copy {name}.png") for name in names], batch=1)
    add_version(at)
    held = {"length": 3, "modification_time": THEN, "reason": "truncated", "batch": 1, "quarantined_at": THEN}
    write(at, QUARANTINE, [{**held, "path": f"file:///gone/{n}", "label": n, "detail": n} for n in names])
    report = gather(load_settings(lake=lake), NullProgress())
    (version,) = report.versions
    versions = [replace(version, reason=name, unknown=name) for name in names]
    return Read(make_page(replace(report, lake=f"file:///{' '.join(names)}", versions=versions)))


def test_names_are_text_in_every_place(tmp_path: Path) -> None:
    """Labels, splits, files, details and reasons that are markup: in tables, cards, sentences and attributes.

    A character that would turn the text round is shown as its code. The page has the elements that it has when the
    names are harmless, and no other.
    """
    read = read_named(str(tmp_path / "markup"), MARKUP)
    for name in MARKUP:
        shown = name.replace("\u202e", "\\u202e")
        assert {"th", "td", "small", "span", "p", "title", "@title", "@alt"} - read.places(shown) == set(), name
    assert not any("\u202e" in text for _, text in read.texts)
    harmless = read_named(str(tmp_path / "harmless"), [f"name {n}" for n in range(len(MARKUP))])
    assert Counter(read.elements) == Counter(harmless.elements)


def test_policy_allows_what_is_there_and_nothing_else(lake: Lake, settings: Settings) -> None:
    """No address, no handler and no style in an attribute: the policy forbids them, and needs no exception."""
    page = page_of(settings)
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in unescape(page)
    assert "unsafe" not in page
    assert not re.search(r"<[a-z][^>]* (on\w+|style)=", page)
    assert not re.search(r'(src|href)="(?!data:|#)', page)


# ---- lakes that hold less -------------------------------------------------------------------------------------------


def test_lake_without_tables_says_how_to_fill_it(settings: Settings, tmp_path: Path) -> None:
    """As every reader of the lake does; no file is written."""
    with pytest.raises(LakehouseError, match="fruits run --images"):
        write_report(settings, str(tmp_path / "report.html"))
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("tables", [[IMAGES, QUARANTINE], list(TABLES)], ids=["bronze alone", "all tables"])
def test_empty_tables_are_told_as_such(settings: Settings, tables: list[Table]) -> None:
    """Each section says that there is nothing, and the page is one."""
    delta.create(Lake(settings.lake), tables)
    page = page_of(settings)
    assert "There are no photographs yet" in page
    assert "Nothing is held back." in page
    assert "There is no PCA yet" in page
    assert page.count("<h2") == 9


def test_lake_without_gold_shows_bronze(settings: Settings) -> None:
    """Photographs are counted before there is a projection."""
    lake = Lake(settings.lake)
    add_images(lake, [("Apple", None, "a.png")])
    delta.write_small(PROJECTIONS.schema.empty_table(), lake, PROJECTIONS, mode="overwrite")
    page = page_of(settings)
    assert cells(page, "Photographs by label")[1][:3] == ["Apple", "1", "1"]
    assert "There are no projections yet" in page


def test_flat_folder_has_no_labels(settings: Settings) -> None:
    """Photographs without a label are drawn, and no label is in doubt."""
    lake = Lake(settings.lake)
    add_images(lake, [(None, None, f"{n}.png") for n in range(6)])
    add_version(lake)
    page = page_of(settings)
    assert points_of(page)["labels"] == ["(no label)"]
    assert cells(page, "Photographs by label")[1][:3] == ["(no label)", "6", "6"]
    assert "There are not two labels to compare." in page
    assert "No photograph has a neighbour of another label." in page


@pytest.mark.parametrize(("images", "k"), [(1, 1), (2, 1), (3, 2)])
def test_few_photographs_and_few_components(settings: Settings, images: int, k: int) -> None:
    """One photograph, or one component, is drawn like any other."""
    lake = Lake(settings.lake)
    add_images(lake, [("Apple", None, f"{n}.png") for n in range(images)], k=k)
    add_version(lake, k=k, ratio=(0.9, 0.1)[: max(k, 1)])
    assert len(points_of(page_of(settings))["at"]) == k


# ---- samples --------------------------------------------------------------------------------------------------------


def test_sample_is_bounded_fair_and_the_same_each_time(lake: Lake) -> None:
    """A label with one photograph among many is seen, and the same lake gives the same sample."""
    add_images(lake, [("Rare", None, "one.png")], batch=3)
    first, second = (draw_sample(connect(lake), most=12) for _ in range(2))
    assert len(first) == 12
    assert first.of == 47
    assert first.paths == second.paths
    assert {"Rare", "Apple", "Kiwi"} <= set(first.labels)


def test_page_says_how_it_was_sampled(lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for all is told as that, with both numbers."""
    monkeypatch.setattr("fruits.report.sample.draw_sample.__defaults__", (20,))
    page = page_of(settings)
    assert "20 of 46 photographs are drawn and compared: a fourth shared evenly among the labels" in page
    assert len(points_of(page)["label"]) == 20


def test_thumbnails_stop_where_content_would_be_too_much(lake: Lake) -> None:
    """The first paths are the ones that are seen."""
    paths = draw_sample(connect(lake)).paths
    found = read_thumbnails(connect(lake), paths, lambda _: None, most=10 * 250)
    assert sorted(found) == sorted(paths[:10])


# ---- likeness -------------------------------------------------------------------------------------------------------


def sample(components: list[list[float]], labels: list[str | None], sha256: list[str] | None = None) -> Sample:
    """A sample of photographs named after their numbers."""
    names = [str(n) for n in range(len(labels))]
    rows = np.array(components, dtype=np.float32)
    return Sample(len(names), names, labels, [None] * len(names), sha256 or names, rows)


def test_wrong_label_is_the_most_suspicious() -> None:
    """Who lies among another label's photographs is told first, with the nearest of those, and it is not told back."""
    found = compare(sample([[0, 0], [0, 1], [10, 10], [10, 11], [0, 0.4]], ["a", "a", "b", "b", "b"]))
    assert (found.suspects[0].photograph, found.suspects[0].other) == (4, 0)
    assert found.suspects[0].ratio == pytest.approx(np.hypot(10, 9.6) / 0.4)
    assert 0 not in [suspect.photograph for suspect in found.suspects]


def test_same_bytes_under_another_label_are_the_most_suspicious() -> None:
    """Nothing is more in doubt than a picture that carries two labels."""
    points = [[0.0], [1.0], [5.0], [0.0], [5.5]]
    found = compare(sample(points, ["a", "a", "b", "b", "b"], ["x", "y", "z", "x", "w"]))
    assert found.suspects[0].ratio == np.inf
    assert {found.suspects[0].photograph, found.suspects[0].other} == {0, 3}


def test_near_duplicates_are_the_closest_pairs_of_different_content() -> None:
    """Each photograph is in one pair at the most, and a copy of the same bytes is in none with its original."""
    found = compare(sample([[0.0], [0.1], [5.0], [5.5], [0.0]], ["a"] * 5, ["p", "q", "r", "s", "p"]))
    assert [(pair.one, pair.other) for pair in found.pairs][1] == (2, 3)
    assert {found.pairs[0].one, found.pairs[0].other} in ({0, 1}, {1, 4})
    assert found.pairs[0].distance == pytest.approx(0.1, abs=1e-6)


def test_centroids_do_not_depend_on_the_batches() -> None:
    """Sums add up: one pass in many batches equals the mean of all rows."""
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    labels = ["a", "b", None, "c"] * 10
    table = pa.table({"label": labels, "components": pa.array(rows.tolist(), pa.list_(pa.float32()))})
    kept = table.filter(pa.compute.is_valid(table.column("label")))
    found = find_centroids(kept.to_batches(max_chunksize=7))
    assert found.labels == ["a", "b", "c"]
    np.testing.assert_allclose(found.centers[0], rows[::4].mean(axis=0), rtol=1e-6)
    spread = np.sqrt(((rows[::4] - rows[::4].mean(axis=0)) ** 2).sum(axis=1).mean())
    assert found.spread[0] == pytest.approx(spread, rel=1e-5)
    np.testing.assert_allclose(found.distances, found.distances.T)


# ---- versions -------------------------------------------------------------------------------------------------------


def test_versions_are_compared_with_the_one_before(lake: Lake, settings: Settings) -> None:
    """The angle is that of the registered components; a version whose model is lost is told."""
    rows = np.random.default_rng(0).normal(size=(2, 50, 6))
    models = [(StandardScaler().fit(one), decomposition.PCA(2).fit(one)) for one in rows]
    registry = Registry(lake)
    for number, (scaler, pca) in enumerate(models):
        registry.register(SCALER, {"fitted_on": str(number)}, {"mean": scaler.mean_, "scale": scaler.scale_})
        registry.register(PCA, {"fitted_on": str(number)}, {"mean": pca.mean_, "components": pca.components_})
    add_version(lake, 2, k=4)
    (before, basis), (scaler, pca) = models
    degrees = principal_angles(under_scale(pca.components_, scaler.scale_, before.scale_), basis.components_)
    newest, oldest = cells(page_of(settings), "Versions of the PCA")[1:]
    assert newest[7] == f"mean {degrees.mean():.1f}°, largest {degrees.max():.1f}°"
    assert newest[8].startswith("2, another: means moved by")
    assert (oldest[0], oldest[7]) == ("1 (in use)", "–")
    delta.existing(lake, REGISTERED).delete("version = 1")
    assert "not in `registry.models`" in cells(page_of(settings), "Versions of the PCA")[1][7]


# ---- the file -------------------------------------------------------------------------------------------------------


def test_file_is_there_whole_and_in_place_of_the_old_one(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    """The name is returned, the old file is replaced, nothing is left beside it, and nothing in the lake changed."""
    output = tmp_path / "out" / "report.html"
    versions = {table.name: delta.existing(lake, table).version() for table in TABLES}
    for _ in range(2):
        assert write_report(settings, str(output)) == str(output)
    assert output.read_text().startswith("<!doctype html>")
    assert [*output.parent.iterdir()] == [output]
    assert versions == {table.name: delta.existing(lake, table).version() for table in TABLES}


def test_report_is_written_where_a_link_points(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    """The link stays one, as in a folder that a web server shows."""
    (tmp_path / "latest.html").symlink_to("of today.html")
    write_report(settings, str(tmp_path / "latest.html"))
    assert (tmp_path / "latest.html").readlink() == Path("of today.html")
    assert (tmp_path / "of today.html").read_text().startswith("<!doctype html>")


def test_file_that_cannot_be_written_is_told(lake: Lake, settings: Settings, tmp_path: Path) -> None:
    """Which file, and why."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/report\.html cannot be written"):
        write_report(settings, str(tmp_path / "file" / "report.html"))
