"""A corrected rule reaches what is there: records of "nothing new" name the rules that they were made by."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bronze.job
import gold.publish
import silver.features
import silver.scaler
from fruits.operations.run import LAYERS, run_pipeline
from lakehouse.workspace import Workspace
from silver.encoders.base import Encoder
from tests.conftest import add_photographs

pytestmark = pytest.mark.usefixtures("blank_pictures")

RULES = {
    bronze.job: "difference_of_files",
    silver.features: "difference",
    silver.scaler: "sync_table",
    gold.publish: "sync_table",
}
"""By the module that has the rules and their revision: what finds the difference under them."""


@pytest.mark.parametrize("module", RULES, ids=lambda module: module.__name__)
def test_raised_revision_has_the_next_run_look_again_once(
    workspace: Workspace, photographs: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    """The run after that finds its record again."""
    add_photographs(photographs, "Apple", range(4))
    run_pipeline(workspace, LAYERS, lambda: encoder)
    looked = []
    find = getattr(module, RULES[module])

    def finding(*arguments: Any, **named: Any) -> Any:
        looked.append(module)
        return find(*arguments, **named)

    monkeypatch.setattr(module, RULES[module], finding)
    for revision, times in ((module._REVISION, 0), (module._REVISION + 1, 1), (module._REVISION + 1, 1)):
        monkeypatch.setattr(module, "_REVISION", revision)
        run_pipeline(workspace, LAYERS, lambda: encoder)
        assert len(looked) == times
