"""A run's settings as they go along to a cluster, and what of them is refused before anything is paid for."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from fruits.emr.settings import EmrSettings
from fruits.settings import DEFAULT_FILE, Settings
from lakehouse.errors import SettingsError
from lakehouse.settings import shipped, to_yaml
from lakehouse.storage.access import Access
from lakehouse.storage.uri import S3, check_read_by_java

_LOCAL = ("spark.master", "spark.driver.host", "spark.driver.bindAddress", "spark.ui.")
"""Settings of Spark's that are for one small machine, wherever they were put: a cluster has its own."""
_LAPTOP = {"processes", "spark_local"}
"""Settings that a cluster has no use for."""


def on_cluster(settings: Settings, emr: EmrSettings) -> str:
    """A run's settings as a file for the cluster: the engine is Spark, with the platform's jars, master and memory.

    Raises:
        SettingsError: what the cluster must reach lies in a folder of this machine, or listens on it; or Spark could
            not open the lake's bucket.
    """
    for key, uri in _places(settings).items():
        if not uri.startswith(S3):
            raise SettingsError(f"`{key}` is {uri}, which a cluster cannot reach. Name an s3:// URI.")
    check_read_by_java(settings.lake)
    _check_tracking(settings.tracking_uri)
    if settings.images is None:
        settings.source  # noqa: B018 - says that no folder was named
    # The file is laid over the shipped one on the cluster: what shall not count there is null.
    shipped_spark = shipped(DEFAULT_FILE)["spark"]
    assert isinstance(shipped_spark, dict)
    spark: dict[str, object] = dict.fromkeys(shipped_spark)
    spark |= {key: value for key, value in settings.spark.items() if not key.startswith(_LOCAL)}
    changed = {"packages": [], "s3_packages": [], "spark": spark, "region": emr.region, "register_tables": emr.glue}
    return to_yaml({**settings.model_dump(mode="json", exclude=_LAPTOP), **changed, "engine": "spark"})


def check_reach(settings: Settings, emr: EmrSettings) -> None:
    """Refuse what the roles of the stack may not read or write: on a cluster that shows after eight paid minutes.

    Args:
        settings: of the run, with everything on S3.
        emr: completed by the stack's outputs, of which the roles are.

    Raises:
        SettingsError: a place is none of the stack's; the message names those that are.
    """
    own = f"{S3}{emr.bucket}"
    photographs = [f"{own}/photographs", *([f"{S3}{emr.photographs_bucket}"] if emr.photographs_bucket else [])]
    read = [*photographs, f"{own}/code", f"{own}/lake"]
    allowed = {"images": photographs, "inventory": read, "labels": read, "weights": read, "lake": [f"{own}/lake"]}
    for key, uri in _places(settings).items():
        if key == "images" and settings.images_access is Access.PUBLIC:
            continue  # which needs no role
        if not _is_within(uri, allowed[key]):
            raise SettingsError(
                f"`{key}` is {uri}, which the roles of the stack {emr.stack} do not reach: put it under "
                f"{' or '.join(allowed[key])}. (Another bucket of photographs is the template's parameter "
                "PhotographsBucket; roles of your own, which `fruits emr`'s settings name, are not checked.)"
            )


def _places(settings: Settings) -> dict[str, str]:
    places = {
        "images": settings.root,
        "inventory": settings.inventory,
        "lake": settings.lake,
        "weights": settings.weights,
        "labels": settings.labels,
    }
    return {key: str(uri) for key, uri in places.items() if uri not in (None, "untrained")}


def _is_within(uri: str, folders: Iterable[str]) -> bool:
    return any(uri == folder or uri.startswith(f"{folder}/") for folder in folders)


def _check_tracking(uri: str | None) -> None:
    """Refuse a tracking server of this machine's: the models' records would end with the cluster."""
    if uri is None:
        return
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.scheme in ("http", "https") and host and not _is_here(host):
        return
    shown = f"{parts.scheme}://{host}" if host else uri  # without a password
    raise SettingsError(
        f"`tracking_uri` is {shown}, which a cluster cannot reach. Name a server by http(s):// and a host to which the "
        "cluster's network leads, or none (null, and MLFLOW_TRACKING_URI unset): then the records are in the lake."
    )


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified or address.is_link_local
