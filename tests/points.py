"""The points at which a test can kill a run: read from the code, so that none is forgotten and none is only named."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("lakehouse", "bronze", "silver", "gold", "fruits")


def crash_points(*parts: str) -> list[str]:
    """The points in these packages, folders or modules, by default everywhere, in the order of the files' names."""
    here = Path(__file__).parents[1]
    roots = [here / part for part in parts or PACKAGES]
    files = [file for root in roots for file in (sorted(root.rglob("*.py")) if root.is_dir() else [root])]
    return [point for file in files for point in _called(ast.parse(file.read_text(encoding="utf-8")))]


def _called(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crash_point":
            (point,) = node.args
            assert isinstance(point, ast.Constant), f"line {node.lineno}: a point is written out where it is"
            yield str(point.value)
