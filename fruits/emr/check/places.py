"""Checks of what lies on S3: buckets and their regions, photographs, weights, labels, the lake, and missing keys."""

from collections.abc import Iterator
from typing import Any

from fruits.emr.aws import client
from fruits.emr.check.finding import Finding, Outcome, Subject, is_denied, is_missing
from fruits.emr.sent import check_reach, on_cluster
from fruits.settings import Settings
from lakehouse.storage import aws, aws_errors
from lakehouse.storage.uri import S3

_NONE = "fruits-emr-check/there-is-no-such-object"
_UNNAMED = "Name them: `--images s3://… --lake s3://…`, or `--config`."


def reach(subject: Subject) -> Iterator[Finding]:
    """Whether the settings can go along to a cluster, and name places that the stack's roles are made for."""
    if subject.settings is None:
        yield Finding("settings", Outcome.NOT_CHECKED, "neither photographs nor a lake are named.", _UNNAMED)
        return
    on_cluster(subject.settings, subject.emr)
    check_reach(subject.settings, subject.emr)
    yield Finding("settings", Outcome.OK, "what they name is on S3, where the stack's roles reach it.")


def buckets(subject: Subject) -> Iterator[Finding]:
    """Whether each bucket is there, and in the cluster's region."""
    from botocore.exceptions import ClientError

    s3 = client("s3", subject.emr.region)
    for bucket in sorted(_buckets(subject)):
        what = f"bucket {bucket}"
        try:
            answer = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]
        except ClientError as error:
            answer = error.response["ResponseMetadata"]
            if is_missing(error):
                yield Finding(what, Outcome.FAILURE, "there is none of this name.", "Create it, or name another.")
                continue
        found = answer["HTTPHeaders"].get("x-amz-bucket-region", subject.emr.region)
        if answer["HTTPStatusCode"] == 403:
            said = f"is in {found}, and refuses to be looked at (403, s3:ListBucket)."
            yield Finding(
                what, Outcome.WARNING, said, "Allow the credentials s3:ListBucket there, at least for `lake/`."
            )
        if found != subject.emr.region:
            advice = f"Run in {found} (`--region`), or copy it: reading across regions costs by the gigabyte."
            yield Finding(what, Outcome.FAILURE, f"is in {found}, and the cluster in {subject.emr.region}.", advice)
        elif answer["HTTPStatusCode"] != 403:
            yield Finding(what, Outcome.OK, f"is in {found}.")


def images(subject: Subject) -> Iterator[Finding]:
    """Whether there is a photograph, or at least an object, where they are said to be."""
    uri = subject.settings.root if subject.settings else None
    if uri is None:
        yield Finding("images", Outcome.NOT_CHECKED, "no folder of photographs is named.", _UNNAMED)
    elif not uri.startswith(S3):
        yield Finding("images", Outcome.FAILURE, f"{uri} is not on S3.", "Name an s3:// URI.")
    elif page := _first_page(subject, uri):
        more = " or more" if page["IsTruncated"] else ""
        yield Finding("images", Outcome.OK, f"{uri} holds {page['KeyCount']:,}{more} objects.")
    else:
        advice = f"aws s3 sync YOUR-FOLDER {uri}"
        yield Finding("images", Outcome.FAILURE, f"{uri} is empty.", advice)


def files(subject: Subject) -> Iterator[Finding]:
    """Whether the weights and the file of labels are there, where they are named."""
    from botocore.exceptions import ClientError

    settings = subject.settings
    named = {"weights": settings.weights, "labels": settings.labels} if settings else {}
    for what, uri in named.items():
        if uri is None or not uri.startswith(S3):
            continue  # a model of one's own making, or none: `reach` refuses a local file
        try:
            size = _head(subject, uri)["ContentLength"]
        except ClientError as error:
            if is_missing(error):
                yield Finding(what, Outcome.FAILURE, f"{uri} is not there.", f"aws s3 cp YOUR-FILE {uri}")
            elif is_denied(error):
                said = f"{uri} cannot be looked at (403)."
                yield Finding(what, Outcome.NOT_CHECKED, said, "Allow the credentials s3:GetObject and s3:ListBucket.")
            else:
                raise
        else:
            empty = Finding(what, Outcome.FAILURE, f"{uri} is empty.", "Copy it there again.")
            yield Finding(what, Outcome.OK, f"{uri}, {size:,} bytes.") if size else empty


def lake(subject: Subject) -> Iterator[Finding]:
    """Whether there is a lake yet: either is well."""
    uri = subject.settings.lake if subject.settings else None
    if uri and uri.startswith(S3):
        there = _first_page(subject, f"{uri}/bronze")
        said = f"{uri} has tables." if there else f"{uri} has no tables yet: the first run makes them."
        yield Finding("lake", Outcome.OK, said)


def missing_keys(subject: Subject) -> Iterator[Finding]:
    """Whether S3 tells "it is not there" from "you may not know": all that writes a lake stands on the first.

    S3 answers 404 for a missing key only to who may list the bucket for that key; else 403, and neither the lease nor a
    table's log can be made. Asked with the credentials at hand; the roles' own answer shows on a cluster alone, and by
    `permissions.roles` as far as IAM simulates it.
    """
    lake_uri = subject.settings.lake if subject.settings else f"{S3}{subject.emr.bucket}/lake"
    if not lake_uri.startswith(S3):
        return
    for uri in (lake_uri, f"{S3}{subject.emr.bucket}/code"):
        what, status = f"missing key under {uri}", _status_of_none(subject, f"{uri}/{_NONE}")
        if status == 404:
            yield Finding(what, Outcome.OK, "S3 answers 404: what is missing is told from what is forbidden.")
        elif status == 403:
            advice = "Allow the credentials s3:ListBucket there: `run` and `sql` ask for files that may be missing."
            yield Finding(what, Outcome.FAILURE, "S3 answers 403, as it does to who may not list it.", advice)
        else:
            yield Finding(what, Outcome.NOT_CHECKED, f"S3 answers {status}.", "Try again later.")
    status = _status_of_none(subject, f"{S3}{subject.emr.bucket}/elsewhere/{_NONE}")
    known = {
        404: "404: these credentials may list the whole bucket.",
        403: "403: these credentials may not list there.",
    }
    said = f"S3 answers {known.get(status, str(status))} On a cluster the roles must get 403 here."
    yield Finding(f"missing key elsewhere in {subject.emr.bucket}", Outcome.OK, said)


def s3_places(settings: Settings) -> dict[str, str]:
    """The s3:// URIs that a run's settings name, by their keys."""
    named = {
        "images": settings.root,
        "inventory": settings.inventory,
        "lake": settings.lake,
        "weights": settings.weights,
        "labels": settings.labels,
    }
    return {key: uri for key, uri in named.items() if uri is not None and uri.startswith(S3)}


def _buckets(subject: Subject) -> set[str]:
    places = s3_places(subject.settings) if subject.settings else {}
    return {str(subject.emr.bucket), *(aws.split(uri)[0] for uri in places.values())}


def _first_page(subject: Subject, uri: str) -> dict[str, Any] | None:
    """The first thousand objects below a folder; None where there is none."""
    bucket, key = aws.split(uri)
    prefix = f"{key}/" if key else ""
    page: dict[str, Any] = client("s3", subject.emr.region).list_objects_v2(Bucket=bucket, Prefix=prefix)
    return page if page["KeyCount"] else None


def _head(subject: Subject, uri: str) -> dict[str, Any]:
    bucket, key = aws.split(uri)
    found: dict[str, Any] = client("s3", subject.emr.region).head_object(Bucket=bucket, Key=key)
    return found


def _status_of_none(subject: Subject, uri: str) -> int:
    from botocore.exceptions import ClientError

    try:
        return int(_head(subject, uri)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return aws_errors.status_of(error)
