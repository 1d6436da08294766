"""`fruits emr status` and `down`: of one stack, and asked before anything ends."""

import json

import pytest
from typer.testing import CliRunner, Result

from fruits.cli.emr import app
from fruits.console import log
from fruits.emr.aws import completed
from fruits.emr.run import bring_up
from fruits.emr.serverless import Application
from fruits.emr.settings import EmrSettings, load_emr_settings
from fruits.settings import Settings
from lakehouse.errors import LakehouseError
from tests.fruits.emr.conftest import emr_backend, serverless_backend
from tests.fruits.emr.test_serverless import as_aws  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("as_aws")


@pytest.fixture
def ours(aws: dict[str, str], settings: Settings) -> str:
    """A standing cluster of the stack `fruits`."""
    return bring_up(load_emr_settings(), settings)


@pytest.fixture
def theirs(settings: Settings) -> str:
    """One of a stack of somebody else's in the same account and region."""
    given = completed(load_emr_settings()).model_dump() | {"stack": "theirs"}
    return bring_up(EmrSettings(**given), settings)


def command(*words: str, answer: str | None = None) -> Result:
    """What a command of `fruits emr` says."""
    return CliRunner().invoke(app, [*words], input=answer)


def states() -> dict[str, str]:
    """Each cluster's state."""
    return {cluster.id: str(cluster.state) for cluster in emr_backend().clusters.values()}


def test_status_shows_the_stacks_own_clusters_and_applications(ours: str, theirs: str) -> None:
    """Told apart by their tag; an application is billed by its jobs, and has no price an hour."""
    application = Application(completed(load_emr_settings()), log)
    application.create()
    found = {row["cluster"]: row["price"] for row in json.loads(command("status", "--format", "json").stdout)}
    assert found.keys() == {ours, application.id}
    assert found[application.id] is None
    other = json.loads(command("status", "--stack", "theirs", "--format", "json").stdout)
    assert [row["cluster"] for row in other] == [theirs]


@pytest.mark.parametrize("answer", ["n\n", "\n", None])
def test_down_ends_nothing_unless_it_is_told_yes(ours: str, answer: str | None) -> None:
    """Where nobody can answer, too; it says what would end."""
    said = command("down", answer=answer)
    assert isinstance(said.exception, LakehouseError)
    assert "`--yes` ends them without asking" in str(said.exception)
    assert ours in said.stderr
    assert states()[ours] != "TERMINATED"


@pytest.mark.parametrize(("words", "answer"), [((), "y\n"), (("--yes",), None)])
def test_down_ends_all_of_the_stack_and_nothing_of_another(
    ours: str, theirs: str, words: tuple[str, ...], answer: str | None
) -> None:
    """Clusters, and an application that a run could not remove."""
    application = Application(completed(load_emr_settings()), log)
    application.create()
    assert command("down", *words, answer=answer).exit_code == 0
    assert (states()[ours], states()[theirs] != "TERMINATED") == ("TERMINATED", True)
    assert serverless_backend().applications[application.id].state == "TERMINATED"
    assert "Nothing of the stack fruits runs in eu-west-3." in command("down").stdout


def test_down_of_a_named_cluster_does_not_ask(ours: str) -> None:
    """Who names it means it."""
    assert command("down", ours).exit_code == 0
    assert states() == {ours: "TERMINATED"}
