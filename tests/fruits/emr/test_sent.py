"""What a cluster could not reach is refused before anything is made."""

import re

import pytest

from fruits.emr.run import bring_up, run_serverless, run_transient
from fruits.emr.sent import check_reach, on_cluster
from fruits.emr.settings import load_emr_settings
from fruits.settings import Settings, load_settings
from lakehouse.errors import SettingsError
from tests.fruits.emr.conftest import emr_backend, serverless_backend, settings_in
from tests.fruits.emr.test_request import completed


@pytest.mark.parametrize(
    ("key", "uri"),
    [
        ("images", "s3://{}/pictures"),
        ("images", "s3://another/photographs"),
        ("lake", "s3://{}/lake2"),
        ("lake", "s3://{}/photographs/lake"),
        ("weights", "s3://{}/weights.h5"),
        ("labels", "s3://another/labels.csv"),
    ],
)
def test_place_that_the_roles_do_not_reach_is_refused_before_launch(aws: dict[str, str], key: str, uri: str) -> None:
    """Eight paid minutes later it would be an AccessDenied of a node's; the message says where to put it."""
    place = uri.format(aws["Bucket"])
    settings = settings_in(aws["Bucket"]).model_copy(update={key: place})
    for launch in (run_transient, run_serverless, bring_up):
        with pytest.raises(SettingsError, match=re.escape(f"`{key}` is {place}, which the roles of the stack fruits")):
            launch(load_emr_settings(), settings)
    assert not emr_backend().clusters
    assert not serverless_backend().applications


def test_open_bucket_needs_no_role() -> None:
    """Photographs that anybody may read."""
    emr = completed({})
    check_reach(load_settings(images="s3://anybodys/pictures", images_access="public", lake="s3://b/lake"), emr)


def test_inventory_and_its_photographs_must_both_be_reached() -> None:
    """The one lies in a bucket, and names the objects of another."""
    emr = completed({"PhotographsBucketName": "pictures"})
    for images, refused in (
        ("inventory+s3://b/photographs/told/pictures/all", None),
        ("inventory+s3://elsewhere/told/pictures/all", "`inventory` is s3://elsewhere/told/pictures/all"),
        ("inventory+s3://b/photographs/told/theirs/all", "`images` is s3://theirs"),
    ):
        settings = load_settings(images=images, lake="s3://b/lake")
        if refused is None:
            check_reach(settings, emr)
        else:
            with pytest.raises(SettingsError, match=refused):
                check_reach(settings, emr)
    sent = on_cluster(
        load_settings(images="inventory+s3://b/told/pictures/all", lake="s3://b/lake"), load_emr_settings()
    )
    assert "images: inventory+s3://b/told/pictures/all\n" in sent


def test_what_the_roles_reach_is_not_refused() -> None:
    """The stack's prefixes and what is below them, and the other bucket of photographs."""
    emr = completed({"PhotographsBucketName": "pictures"})
    for images in ("s3://b/photographs", "s3://b/photographs/2026", "s3://pictures", "s3://pictures/a"):
        for weights in ("s3://b/code/weights/w.h5", "untrained"):
            check_reach(load_settings(images=images, lake="s3://b/lake", weights=weights), emr)


def test_bucket_that_spark_cannot_open_is_refused() -> None:
    """Java's addresses know no host `fruits.2026`; names with other dots are opened."""

    def sent(bucket: str) -> str:
        settings = load_settings(images="s3://pictures", lake=f"s3://{bucket}/lake", weights="untrained")
        return on_cluster(settings, completed({}))

    with pytest.raises(SettingsError, match=r"bucket fruits\.2026 cannot be opened by Spark"):
        sent("fruits.2026")
    for bucket in ("fruits.with.dots", "2026.fruits"):
        assert f"s3://{bucket}/lake" in sent(bucket)


def test_roles_of_ones_own_are_not_judged(aws: dict[str, str], settings: Settings) -> None:
    """Nobody knows here what they may."""
    bring_up(load_emr_settings(instance_profile="mine"), settings.model_copy(update={"lake": "s3://another/lake"}))
    assert len(emr_backend().clusters) == 1


@pytest.mark.parametrize(
    "uri",
    [
        *("sqlite:////home/me/mlflow.db", "/home/me/mlruns", "file:///mlruns", "http://localhost:5000"),
        *("http://127.0.0.1:5000", "http://[::1]:5000", "https://0.0.0.0", "postgresql://me:secret@db/mlflow"),
    ],
)
def test_tracking_server_of_this_machine_is_refused(uri: str) -> None:
    """The models' records would end with the cluster's disk. A password in it is not shown."""
    settings = load_settings(images="s3://b/photographs", lake="s3://b/lake", tracking_uri=uri)
    with pytest.raises(SettingsError, match=r"`tracking_uri` is .*, which a cluster cannot reach") as caught:
        on_cluster(settings, load_emr_settings())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", [None, "https://mlflow.example.org", "http://10.0.3.4:5000"])
def test_tracking_server_that_may_be_reached_goes_along(uri: str | None) -> None:
    """Whether it is, the cluster's network decides."""
    settings = load_settings(images="s3://b/photographs", lake="s3://b/lake", tracking_uri=uri)
    assert f"tracking_uri: {uri or 'null'}\n" in on_cluster(settings, load_emr_settings())
