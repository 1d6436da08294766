"""botocore's descriptions of services are read once a process, wherever they lie."""

import json
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader

from lakehouse.storage.aws import session
from lakehouse.storage.service_models import shared_models


def test_second_session_reads_no_description_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client has a session of its own, and its service's description is read by the first."""
    session().client("sts", region_name="eu-west-3")
    read: list[str] = []
    really = JSONFileLoader.load_file

    def load_file(loader: JSONFileLoader, path: str) -> object:
        read.append(path)
        return really(loader, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", load_file)
    again = session().client("sts", region_name="us-east-1")
    assert again.meta.endpoint_url == "https://sts.us-east-1.amazonaws.com"
    assert read == []


def test_description_in_a_folder_of_ones_own_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`AWS_DATA_PATH` counts, also where it is set after a session was made."""
    session().client("sts", region_name="eu-west-3")
    described = tmp_path / "orchard" / "2020-01-01"
    described.mkdir(parents=True)
    metadata = {"apiVersion": "2020-01-01", "endpointPrefix": "orchard", "protocol": "json", "serviceId": "Orchard"}
    (described / "service-2.json").write_text(json.dumps({"metadata": metadata, "operations": {}, "shapes": {}}))
    rules = {"version": "1.0", "parameters": {}, "rules": []}
    (described / "endpoint-rule-set-1.json").write_text(json.dumps(rules))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    made = session().client("orchard", region_name="eu-west-3", endpoint_url="http://127.0.0.1:9")
    assert made.meta.service_model.service_id == "Orchard"


def test_sessions_leave_the_places_to_look_as_they_are() -> None:
    """boto3 adds its own folder to the list of each session."""
    before = shared_models(None).search_paths
    session()
    assert shared_models(None).search_paths == before
