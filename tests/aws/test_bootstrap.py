"""The bootstrap action under AWS's own names: `aws` fetches the code with the credentials of the instances' role."""

from pathlib import Path

import pytest

from tests.aws.box import Box
from tests.aws.buckets import fill
from tests.aws.stack import make_stack
from tests.bootstrap.conftest import EMR, PATH, python311, small_node  # noqa: F401 - python311 is a fixture


@pytest.mark.slow
def test_node_installs_what_the_role_may_fetch(box: Box, tmp_path: Path, python311: str) -> None:  # noqa: F811
    """From the prefix that `fruits emr` uploads to; packages come from a folder, for the box leads to no index."""
    node = small_node(tmp_path)
    stack = box.call(make_stack, "bootstrap")
    bucket, role = stack["Bucket"], stack["InstanceRole"]
    box.call(fill, bucket, str(node.code), "code/1/")
    told = {**node.environment, "PATH": PATH, "FRUITS_INSTANCE_INFO": str(tmp_path / "instance.json")}
    with box.role(role):
        done = box.run(str(EMR), f"s3://{bucket}/code/1", "--prefix", str(node.prefix), **told)
    assert done.returncode == 0, done.stderr
    assert (node.prefix / "settings.yaml").read_text() == "lake: s3://bucket/lake\n"
    assert node.python("import PIL, fruits.cli, sys; print(sys.prefix)") == str(node.prefix)
    asked = [one for one in box.requests(bucket) if one["role"] == role]
    assert {one["key"].rpartition("/")[0] for one in asked if one["key"]} == {"code/1"}
    assert [one for one in asked if one["refused"]] == []
