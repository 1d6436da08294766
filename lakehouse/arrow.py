"""Arrow without pandas, which takes half a second to import and is not used where nothing is fitted."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa


class _WithoutPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not imported yet", name=name)


def keep_pandas_out() -> None:
    """Have pyarrow convert its first value without importing pandas, which it does only to ask whether that is its.

    pyarrow asks once in a process. Whoever imports pandas later can use it, with pyarrow's conversions from and to it.
    """
    if "pandas" in sys.modules:
        return
    blind = _WithoutPandas()
    sys.meta_path.insert(0, blind)
    try:
        pa.array([], pa.int64())
    finally:
        sys.meta_path.remove(blind)
