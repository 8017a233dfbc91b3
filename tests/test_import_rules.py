from __future__ import annotations

import pathlib

import pytest

from tests.import_rules import violations

ROOT = pathlib.Path(__file__).resolve().parents[1]

ALLOWED = {
    "tinytimbre/audio/reading.py": "import numpy as np\nfrom tinytimbre.config import AudioConfig\n",
    "tinytimbre/export/converter.py": "def convert():\n    import tensorflowjs\n",
    "tinytimbre/ddsp_door.py": "import importlib\nddsp = importlib.import_module('ddsp')\n",
    "components/feature_extractor/executor.py": "import apache_beam as beam\nfrom tinytimbre import features\n",
    "components/sweep_planner/component.py": "from tfx.types import channel\n",
    "pipelines/cli.py": "import argparse\nfrom components import Recordings\n",
    "notebooks/helper.py": "from pipelines.lineage import History\n",
}

FORBIDDEN = [
    ("tinytimbre/sweep/plan.py", "import tfx.types\n", "tfx may be imported only in"),
    ("tinytimbre/sweep/plan.py", "from components.scope import scoped\n", "tinytimbre must not import components"),
    ("tinytimbre/features/x.py", "def late():\n    import apache_beam\n", "apache_beam may be imported only in"),
    ("tinytimbre/synthesis/x.py", "from ddsp import core\n", "ddsp may be imported only in"),
    ("tinytimbre/synthesis/x.py", "m = __import__('ddsp.core')\n", "ddsp may be imported only in"),
    ("tinytimbre/export/bundle.py", "from tensorflowjs import quantization\n", "tensorflowjs may be imported only in"),
    ("tinytimbre/quality/x.py", "import argparse\n", "argparse may be imported only in"),
    ("components/model_pusher/x.py", "import pipelines.cli\n", "components must not import pipelines"),
    ("tinytimbre/export/x.py", "import s3fs\n", "s3fs may be imported only in"),
    ("components/model_pusher/x.py", "import apache_beam\n", "apache_beam may be imported only in"),
    ("pipelines/x.py", "import notebooks.helper\n", "pipelines must not import notebooks"),
    ("notebooks/x.py", "import tfx\n", "tfx may be imported only in"),
]


def test_the_repository_keeps_the_rules() -> None:
    assert violations(ROOT) == []


def test_the_checker_sees_the_repository() -> None:
    # An empty listing would also "keep the rules".
    assert len(list((ROOT / "tinytimbre").rglob("*.py"))) > 20
    assert len(list((ROOT / "components").rglob("*.py"))) > 20


def test_what_is_allowed_passes(tmp_path: pathlib.Path) -> None:
    for name, source in ALLOWED.items():
        _write(tmp_path / name, source)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(("name", "source", "message"), FORBIDDEN)
def test_what_is_forbidden_is_found(tmp_path: pathlib.Path, name: str, source: str, message: str) -> None:
    _write(tmp_path / name, source)
    (found,) = violations(tmp_path)
    assert found.startswith(f"{name}:")
    assert message in found


def _write(path: pathlib.Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
