"""Answers that no S3 server sends are told from those that one does."""

import pytest

from lakehouse.storage.foreign import is_foreign

XML = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": "text/html; charset=utf-8"}, None),
        (404, {"content-type": "text/html"}, b"<html>"),
        (404, {"Content-Type": "text/plain"}, b"404 page not found"),
        (404, {}, b""),
        (302, {"Location": "http://login.example"}, b""),
    ],
)
def test_page_empty_refusal_or_redirect_is_foreign(status: int, headers: dict[str, str], body: bytes | None) -> None:
    """Of a website, a proxy, a network's page to sign in."""
    assert is_foreign(status, headers, body)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": "application/xml"}, None),
        (200, {"Content-Type": "text/html", "x-amz-request-id": "1"}, None),  # an object that somebody stored so
        (404, {"Content-Type": "application/xml"}, XML),
        (404, {}, None),  # to HEAD, which has no body
        (301, {"x-amz-bucket-region": "eu-west-3"}, XML),
        (304, {}, b""),
        (503, {"Content-Type": "text/plain"}, b"upstream connect error"),  # of a proxy before a real one: tried again
    ],
)
def test_answer_of_an_s3_server_is_not(status: int, headers: dict[str, str], body: bytes | None) -> None:
    """Whatever its error; what may be one is left to boto3."""
    assert not is_foreign(status, headers, body)
