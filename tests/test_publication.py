"""A reader sees one whole version: while models are fitted again, and after a death at any point of that."""

import threading
from pathlib import Path

import pytest

from fruits.identify.identifier import Identifier
from fruits.operations.run import run_layers
from fruits.settings import Settings, load_settings
from lakehouse import failpoint
from lakehouse.failpoint import VARIABLE
from tests import stub
from tests.conftest import add_photographs, photograph
from tests.points import crash_points
from tests.world import World

REFITS = 3
OF_OTHERS = (
    "forget.",
    "relabel.",
    "upkeep.",
    *(f"silver.features-{done}" for done in ("copied", "repeated", "relabelled")),
)
OF_A_RUN = [point for point in crash_points() if not point.startswith(OF_OTHERS)]
OF_A_REFIT = [point for point in OF_A_RUN if point.startswith(("silver.scale", "gold", "registry", "mirror"))]


class StruckError(BaseException):
    """What a run dies of in this process: no `except Exception` may hold it up."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, stub_encoder: str, blank_pictures: None) -> World:
    """A lake of three labels, fitted once."""
    world = World(tmp_path_factory.mktemp("publication"))
    for number, label in enumerate(("Apple", "Kiwi", "Lemon")):
        add_photographs(world.photographs, label, range(8 * number, 8 * number + 8))
    run_layers(settings_of(world))
    world.keep("fitted")
    return world


@pytest.fixture
def lake(world: World) -> Settings:
    """That lake, which is fitted anew by each run that finds photographs of another size."""
    world.go_back("fitted")
    return settings_of(world)


def settings_of(world: World) -> Settings:
    """Under which each run fits."""
    return load_settings(images=str(world.photographs), lake=str(world.lake), encoder=stub.NAME, refit="always")


def change(settings: Settings, number: int) -> None:
    """Add photographs that another fit is needed for."""
    folder = Path(str(settings.images).removeprefix("file://")) / "Apple"
    for seed in range(3):
        (folder / f"{number}-{seed}.png").write_bytes(photograph(100 * number + seed, size=(8 + 9 * number, 8)))


def whole_version(settings: Settings) -> int:
    """The version that answers, each of its rows projected by its own arrays; fails where they are of two."""
    identifier = Identifier.open(settings)
    content = photograph(3)
    answer = identifier.identify(content)
    # The photograph itself is in the lake: under arrays of another version than its row's it would lie elsewhere.
    assert answer.neighbours[0].distance == pytest.approx(0, abs=1e-3)
    assert answer.neighbours[0].path.endswith("/Apple/3.png")
    return identifier.pca_version


def test_reader_sees_old_or_new_and_never_nothing_while_models_are_fitted_again(lake: Settings) -> None:
    """Opened again and again from another thread, through three refits."""
    seen: list[int] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                seen.append(whole_version(lake))
        except BaseException as error:  # noqa: BLE001 - raised below, by the test
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, REFITS + 1):
        change(lake, number)
        assert run_layers(lake)["gold"]["pca_version"] == number + 1
    done.set()
    reader.join()
    assert failed == []
    assert seen == sorted(seen)
    assert {*seen} <= {*range(1, REFITS + 2)}
    assert len(seen) > REFITS
    assert whole_version(lake) == REFITS + 1


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in OF_A_REFIT else (pytest.mark.slow,)) for point in OF_A_RUN]
)
def test_reader_after_a_death_sees_a_whole_version(lake: Settings, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each point of a refit and (slow) of the run around it; and the next run publishes the new one."""

    def strike() -> None:
        raise StruckError

    change(lake, 1)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, point)
        patch.setattr(failpoint, "die", strike)
        with pytest.raises(StruckError):
            run_layers(lake)
    assert whole_version(lake) in (1, 2)
    run_layers(lake)
    assert whole_version(lake) == 2
