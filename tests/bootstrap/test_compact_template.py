"""`bootstrap/infrastructure.json`: the template as CloudFormation takes it from a file, without comments and blanks.

It is made of `bootstrap/infrastructure.yaml`, which people read and change:
`python -m tests.bootstrap.test_compact_template > /tmp/template && cp /tmp/template bootstrap/infrastructure.json`.
"""

import json

from cfnlint.decode.cfn_yaml import load

from tests.bootstrap.conftest import ROOT

SOURCE, COMPACT = (ROOT / "bootstrap" / f"infrastructure.{kind}" for kind in ("yaml", "json"))
MOST_BYTES = 51_200
"""Of a `--template-body`: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""


def compact() -> str:
    """The template in the fewest bytes; a section a line, so that changes can be seen."""
    sections = (f"{json.dumps(name)}:{_dumped(value)}" for name, value in load(str(SOURCE)).items())
    return "{" + ",\n".join(sections) + "}\n"


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def test_compact_template_says_what_its_source_does() -> None:
    """Made of it anew."""
    assert COMPACT.read_text(encoding="utf-8") == compact()


def test_template_can_be_given_to_cloudformation_as_a_file() -> None:
    """A larger one would have to be in a bucket first, which the stack is to make."""
    assert len(COMPACT.read_bytes()) <= MOST_BYTES


if __name__ == "__main__":
    print(compact(), end="")
