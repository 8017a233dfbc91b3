"""Finds imports that break the rules of the house; used by test_import_rules.py, which also tests it."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

LAYERS = ("tinytimbre", "components", "pipelines", "notebooks")
"""Each may import itself and those before it."""

DOORS = {
    "tfx": ("components/", "pipelines/"),
    "ml_metadata": ("components/", "pipelines/"),
    "kfp": ("pipelines/",),
    "apache_beam": ("components/recording_example_gen/", "components/feature_extractor/", "pipelines/"),
    "tensorflowjs": ("tinytimbre/export/converter.py",),
    "ddsp": ("tinytimbre/ddsp_door.py",),
    "argparse": ("pipelines/",),
    **dict.fromkeys(("aiohttp", "botocore", "fsspec", "gcsfs", "s3fs"), ("tinytimbre/storage/",)),
}
"""Where a package may be imported."""


def violations(root: pathlib.Path) -> list[str]:
    """One line per forbidden import below `root`."""
    return [
        f"{path.relative_to(root)}:{line}: {problem}"
        for layer in LAYERS
        for path in sorted((root / layer).rglob("*.py"))
        for line, name in imported(path.read_text())
        if (problem := _problem(path.relative_to(root).as_posix(), name))
    ]


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, also inside functions and by `import_module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and _is_import_call(node.func) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def _is_import_call(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def _problem(path: str, name: str) -> str:
    package, layer = name.partition(".")[0], path.partition("/")[0]
    if package in LAYERS and LAYERS.index(package) > LAYERS.index(layer):
        return f"{layer} must not import {package}"
    if package in DOORS and not path.startswith(DOORS[package]):
        return f"{package} may be imported only in {', '.join(DOORS[package])}"
    return ""
