"""`fruits app` over HTTP: what it answers, and what it refuses."""

import hashlib
import io
import shutil
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable
from PIL import Image

import fruits.app.known
from bronze.judgement import Limits
from bronze.reasons import Reason
from bronze.tables import IMAGES
from fruits.app.known import MOST_POINTS, PIXELS, LakeView, Map
from fruits.app.messages import REFUSALS, refusal
from fruits.catalog import Layer
from fruits.operations.run import run_layers
from fruits.settings import Settings
from gold.tables import PROJECTIONS
from lakehouse.tables.delta import Lake
from tests.bronze.corpus import broken, encoded, noise, png_bomb, turned
from tests.fruits.app.conftest import KINDS, App

BROKEN = {
    Reason.EMPTY: b"",
    Reason.NOT_AN_IMAGE: b"a shopping list\n",
    Reason.UNSUPPORTED_FORMAT: encoded(noise(8, 8), "ICO"),
    Reason.TOO_MANY_PIXELS: png_bomb(10_001),
    **{reason: next(iter(broken(0)[reason].values())) for reason in (Reason.TRUNCATED, Reason.CORRUPT)},
}


def test_photograph_of_the_lake_is_recognised(app: App, fruit: bytes) -> None:
    """A photograph that the lake holds: its label, itself as the nearest at no distance, and its place."""
    answer = app.ask("POST", "/identify", fruit)
    assert (answer.status, answer.json["label"], answer.json["known"]) == (200, "Kiwi", True)
    nearest, *others = answer.json["neighbours"]
    assert nearest["sha256"] == hashlib.sha256(fruit).hexdigest()
    assert nearest["distance"] == pytest.approx(0, abs=1e-2)
    assert nearest["at"] == pytest.approx(answer.json["at"], abs=1e-3)
    assert [one["distance"] for one in others] == sorted(one["distance"] for one in others)


def test_map_has_every_photograph(app: App) -> None:
    """Its labels, how many of each, and a point for each."""
    drawn = app.ask("GET", "/map").json
    assert (drawn["labels"], drawn["counts"], drawn["photographs"]) == ([*KINDS], [8] * 3, 24)
    assert [drawn["label"].count(label) for label in range(3)] == [8] * 3
    assert len(drawn["pc1"]) == len(drawn["pc2"]) == 24
    assert drawn["pca_version"] == 1


def test_map_of_many_photographs_is_drawn_in_part(
    app: App, served_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more photographs than can be told apart, some are drawn, from first to last; all are counted."""
    monkeypatch.setattr(fruits.app.known, "MOST_POINTS", 12)
    whole, part = app.ask("GET", "/map").json, LakeView(served_settings).map()
    assert (part["counts"], len(part["label"]), len(part["pc1"])) == ([8] * 3, 12, 12)
    assert (part["pc1"][0], part["pc1"][-1]) == (whole["pc1"][0], whole["pc1"][-1])


def test_camera_photograph_is_read_as_it_is_seen(app: App) -> None:
    """A picture that is stored lying on its side, as phones do, is answered as the upright one is."""
    picture = noise(64, 48)
    upright, lying = (app.ask("POST", "/identify", turned(picture, turn, "PNG")).json for turn in (1, 6))
    assert lying["at"] == pytest.approx(upright["at"], abs=1e-3)


@pytest.mark.parametrize("reason", BROKEN)
def test_what_is_no_photograph_is_refused_for_the_reason_of_the_quarantine(app: App, reason: Reason) -> None:
    """Each class of broken files is told apart, and said in words."""
    answer = app.ask("POST", "/identify", BROKEN[reason])
    assert (answer.status, answer.json["reason"]) == (REFUSALS[reason][0], reason)
    assert len(answer.json["error"]) > 20


def test_every_reason_has_its_words() -> None:
    """A sentence each for the whole vocabulary of `bronze.quarantine`, with the limits that hold."""
    assert REFUSALS.keys() == set(Reason)
    said = [refusal(reason, Limits(["JPEG", "PNG", "WEBP"], 32 << 20, 100_000_000))[1] for reason in Reason]
    for words in ("JPEG, PNG or WebP", "32 MB", "100 megapixels"):
        assert any(words in sentence for sentence in said)
    assert not any("{" in sentence for sentence in said)


def test_pictures_are_of_the_lake_alone_and_small(app: App, fruit: bytes, served_settings: Settings) -> None:
    """A picture is asked for by the SHA-256 of what `bronze.images` holds; nothing else is found, whatever it is."""
    found = app.ask("GET", f"/photographs/{hashlib.sha256(fruit).hexdigest()}")
    assert (found.status, found.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(found.body)) as image:
        assert image.format == "WEBP"
        assert max(image.size) <= PIXELS
    path = str(served_settings.images).removeprefix("file://")
    for name in ("0" * 64, "", "..%2f..%2fetc%2fpasswd", "%27%20OR%20true--", path, path.replace("/", "%2f")):
        assert app.ask("GET", f"/photographs/{name}").status == 404


def test_large_photograph_is_shown_small() -> None:
    """The longer side counts, and no picture grows."""
    sizes = {(400, 200): (192, 96), (20, 10): (20, 10)}
    for (width, height), expected in sizes.items():
        content = io.BytesIO()
        Image.fromarray(noise(width, height)).save(content, "PNG")
        with Image.open(io.BytesIO(fruits.app.known.small(content.getvalue()))) as image:
            assert image.size == expected


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/page.py", "/../setup.py", "//", "/static/"])
def test_there_is_nothing_else(app: App, path: str) -> None:
    """No documentation of the interface, no other files; the error is JSON as every error is."""
    answer = app.ask("GET", path)
    assert answer.status == 404
    assert answer.json.keys() == {"error"}


def copied(settings: Settings, folder: Path) -> Settings:
    """The settings of a copy of a lake."""
    shutil.copytree(settings.lake.removeprefix("file://"), folder / "lake")
    return settings.model_copy(update={"lake": str(folder / "lake")})


def newer_map(known: LakeView, before: Map) -> Map:
    """The map of the rows that the view turns to, while the old ones go on to answer."""
    for _ in range(600):
        found = known.map()
        if found["map"] != before["map"]:
            return found
        time.sleep(0.05)
    raise AssertionError("the view has not turned to the new rows")


def test_erased_photograph_is_shown_no_more(
    served_settings: Settings, fruit: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When rows have gone from the lake, what was answered from them is forgotten: neighbour, point and picture."""
    monkeypatch.setattr(fruits.app.known, "_POLL_SECONDS", 0.0)
    settings = copied(served_settings, tmp_path)
    lake, known = Lake(settings.lake), LakeView(settings)
    sha256 = hashlib.sha256(fruit).hexdigest()
    assert known.identify(fruit)["neighbours"][0]["sha256"] == sha256
    assert known.picture(sha256) is not None
    before = known.map()
    for table in (IMAGES, PROJECTIONS):
        DeltaTable(lake.path(table)).delete(f"sha256 = '{sha256}'")
    assert known.picture(sha256) is None
    assert sha256 not in [one["sha256"] for one in known.identify(fruit)["neighbours"]]
    after = newer_map(known, before)
    assert (before["photographs"], after["photographs"]) == (24, 23)
    assert after["map"] > before["map"]
    assert MOST_POINTS > 24


def test_new_champion_answers_from_then_on(
    served_settings: Settings, fruit: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version of the PCA that is fitted while the app runs is the one that answers next, on its own map."""
    monkeypatch.setattr(fruits.app.known, "_POLL_SECONDS", 0.0)
    settings = copied(served_settings, tmp_path)
    known = LakeView(settings)
    before = known.map()
    run_layers(settings.model_copy(update={"refit": "always", "threshold": 0.5}), [Layer.GOLD])
    after = newer_map(known, before)
    answer = known.identify(fruit)
    assert (before["pca_version"], after["pca_version"]) == (1, 2)
    assert answer["map"] == after["map"] > before["map"]
    assert answer["label"] == "Kiwi"
