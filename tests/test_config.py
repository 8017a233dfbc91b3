"""Configurations that cannot be are refused when they are read, in words about the file."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml

from tinytimbre.config import config_from_json, load_config
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep.space import expand

ROOT = pathlib.Path(__file__).resolve().parents[1]


def written(tmp_path: pathlib.Path, section: str, **values: object) -> pathlib.Path:
    """A configuration with one section, "" for the top."""
    config: dict[str, object] = {"name": "test", "search": {"space": {"width": [8]}}}
    config |= {section: values} if section else values
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_of_the_repository_are_valid(path: pathlib.Path) -> None:
    assert expand(load_config(path))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("features", "frame_rate_hz", 0),
        ("features", "frame_rate_hz", -50),
        ("features", "frame_rate_hz", 1),
        ("training", "clip_secs", 1e6),
        ("training", "warmup_secs", 1e9),
        ("training", "fft_sizes", [2**20]),
        ("export", "quantisations", []),
        ("distillation", "control_share", 0),
        ("distillation", "control_share", 1.5),
        ("distillation", "students", 0),
        ("distillation", "steps", 0),
        ("", "seed", -1),
        ("kubeflow", "mount_path", "workspace"),
        ("kubeflow", "volume_claim", "My_Claim"),
        ("kubeflow", "retries", -1),
    ],
)
def test_values_no_sweep_can_run_with(tmp_path: pathlib.Path, section: str, key: str, value: object) -> None:
    with pytest.raises(TinyTimbreError) as caught:
        load_config(written(tmp_path, section, **{key: value}))
    assert key in str(caught.value)
    assert caught.value.remedy


def test_a_quantisation_named_twice_is_exported_once(tmp_path: pathlib.Path) -> None:
    config = load_config(written(tmp_path, "export", quantisations=["uint8", "float32", "uint8"]))
    assert config.export.quantisations == ("uint8", "float32")


def test_rates_that_do_not_divide_are_told_without_the_whole_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match="16000 / 37") as caught:
        load_config(written(tmp_path, "features", frame_rate_hz=37))
    assert "search" not in str(caught.value)


def test_findings_speak_of_yaml_not_of_python(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match="should be a list"):
        load_config(written(tmp_path, "budget", rung_steps=10))
    with pytest.raises(TinyTimbreError, match="section of keys"):
        load_config(written(tmp_path, "", training=None))


def test_only_a_near_key_is_suggested(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError) as caught:
        load_config(written(tmp_path, "training", optimizer="adam"))
    assert not caught.value.cause
    with pytest.raises(TinyTimbreError, match="did you mean 'clip_secs'"):
        load_config(written(tmp_path, "training", clip_sec=1))


@pytest.mark.parametrize(
    ("key", "value"), [("width", 0), ("width", "wide"), ("learning_rate", -1), ("learning_rate", 0), ("seed", -1)]
)
def test_impossible_values_of_the_search_are_named(tmp_path: pathlib.Path, key: str, value: object) -> None:
    config = load_config(written(tmp_path, "search", space={key: [value]}))
    with pytest.raises(TinyTimbreError, match=key) as caught:
        expand(config)
    assert "pydantic" not in str(caught.value)
    assert caught.value.got.count("\n") == 0


def test_a_key_twice_in_a_section(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\nsearch:\n  space: {width: [8]}\n  space: {width: [16]}\n")
    with pytest.raises(TinyTimbreError, match="'space' is there twice"):
        load_config(path)


@pytest.mark.parametrize(
    ("section", "unknown", "nearest"),
    [
        ({"pods": {"sweep_trainer": {"cpu": 2}}}, "kubeflow.pods.sweep_trainer.cpu", "cpus"),
        ({"pods": {"trainer": {"cpus": 2}}}, "kubeflow.pods.trainer", "sweep_trainer"),
        (
            {"tolerations": [{"key": "gpu"}, {"key": "x", "efect": "NoSchedule"}]},
            "kubeflow.tolerations.1.efect",
            "effect",
        ),
    ],
)
def test_an_unknown_key_deep_in_lists_and_sections_names_the_nearest(
    tmp_path: pathlib.Path, section: dict[str, object], unknown: str, nearest: str
) -> None:
    with pytest.raises(TinyTimbreError, match=f"unknown key '{unknown}'") as caught:
        load_config(written(tmp_path, "kubeflow", **section))
    assert caught.value.cause == f"did you mean {nearest!r}?"


IGNORED = [
    ({"distillation": {"students": 4}}, "distillation.students"),
    ({"distillation": {"control_share": 0.3, "steps": 10}}, "distillation.control_share"),
    ({"export": {"quantisations": ["int4"], "tuning_steps": 100}}, "export.tuning_steps"),
    ({"training": {"learning_rate": 0.01}, "search": {"space": {"learning_rate": [0.1]}}}, "training.learning_rate"),
    (
        {"training": {"learning_rate": 0.01}, "search": {"gru": {"learning_rate": [1]}, "cnn": {"learning_rate": [1]}}},
        "training.learning_rate",
    ),
    ({"budget": {"rung_steps": [10], "eta": 2}}, "budget.eta"),
    ({"budget": {"rung_steps": [10], "min_per_stratum": 2}}, "budget.min_per_stratum"),
    ({"search": {"space": {"decoder": ["cnn"]}, "gru": {"width": [4]}}}, "search.gru"),
    ({"search": {"space": {"decoder": ["gru"]}, "cnn": {"depth": [4]}}}, "search.cnn"),
    ({"search": {"space": {"width": [4]}, "gru": {"width": [8]}, "cnn": {"width": [8]}}}, "search.space.width"),
    ({"search": {"space": {"decoder": ["gru"], "width": [4]}, "gru": {"width": [8]}}}, "search.space.width"),
    ({"search": {"cnn": {"decoder": ["gru"]}}}, "search.cnn.decoder"),
    ({"search": {"gru": {"kernel_size": [3]}}}, "search.gru.kernel_size"),
    ({"search": {"space": {"decoder": ["gru"], "kernel_size": [3]}}}, "search.space.kernel_size"),
    ({"search": {"space": {"kernel_size": [2, 3]}}}, "search.space.kernel_size"),  # a cnn of depth 0 has none either
    ({"search": {"space": {"depth": [2]}, "cnn": {"depth": [0], "kernel_size": [3]}}}, "search.cnn.kernel_size"),
    (
        {"search": {"space": {"depth": [2], "kernel_size": [2]}, "cnn": {"kernel_size": [3]}}},
        "search.space.kernel_size",
    ),
    ({"search": {"include": [{"decoder": "gru", "width": 4, "kernel_size": 3}]}}, "kernel_size"),
    ({"search": {"include": [{"decoder": "cnn", "width": 4, "kernel_size": 3}]}}, "kernel_size"),
    ({"search": {"seed": 1}}, "search.seed"),
    ({"kubeflow": {"pods": {"sweep_trainer": {"accelerators": 2}}}}, "accelerators"),
]


@pytest.mark.parametrize(("sections", "named"), IGNORED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_would_do_nothing_is_refused(tmp_path: pathlib.Path, sections: dict[str, Any], named: str) -> None:
    search = {"space": {"input": ["loudness"]}, **sections.get("search", {})}
    path = written(tmp_path, "", **{**sections, "search": search})
    with pytest.raises(TinyTimbreError, match=f"{re.escape(named)}.* not used") as caught:
        load_config(path)
    assert "add" in str(caught.value) or "remove" in str(caught.value)


@pytest.mark.parametrize(
    "sections",
    [
        {"distillation": {"enabled": False, "students": 9}},
        {"distillation": {"enabled": True, "students": 9}},
        {"export": {"quantisations": ["tuned3"], "tuning_steps": 100}},
        {"training": {"learning_rate": 0.01}, "search": {"space": {}, "gru": {"learning_rate": [1]}}},
        {
            "training": {"learning_rate": 0.01},
            "search": {"space": {"learning_rate": [1]}, "include": [{"decoder": "gru", "width": 4}]},
        },
        {"search": {"space": {"depth": [0, 2], "kernel_size": [2, 3], "width": [4]}, "gru": {"width": [8]}}},
        {"search": {"space": {}, "include": [{"decoder": "cnn", "width": 4, "depth": 2, "kernel_size": 2}]}},
        {"search": {"space": {}, "method": "sobol", "trials": 4, "seed": 7}},
        {"kubeflow": {"pods": {"sweep_trainer": {"accelerator": "nvidia.com/gpu", "accelerators": 2}}}},
    ],
)
def test_what_does_something_is_taken_and_read_back_as_it_was(tmp_path: pathlib.Path, sections: dict[str, Any]) -> None:
    """The resolved configuration, which names every key, is as valid as the one that was written."""
    config = load_config(written(tmp_path, "", **sections))
    assert config_from_json(config.to_json()) == config
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    assert load_config(tmp_path / "resolved.yaml") == config


@pytest.mark.parametrize(
    ("scale", "steps", "students"),
    [(1, (4, 12, 36), 10), (0.5, (2, 6, 18), 5), (0.01, (1, 2, 3), 1), (2.5, (10, 30, 90), 25)],
)
def test_a_scaled_budget_still_grows(
    tmp_path: pathlib.Path, scale: float, steps: tuple[int, ...], students: int
) -> None:
    path = written(tmp_path, "", budget={"rung_steps": [4, 12, 36]}, distillation={"enabled": True, "steps": 10})
    scaled = load_config(path).with_budget_scaled(scale)
    assert scaled.budget.rung_steps == steps
    assert scaled.distillation.steps == students
    assert load_config(written(tmp_path, "")).with_budget_scaled(scale).distillation.steps is None


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(tmp_path: pathlib.Path, scale: float) -> None:
    with pytest.raises(TinyTimbreError, match="positive number"):
        load_config(written(tmp_path, "")).with_budget_scaled(scale)


def test_flags_of_beam_are_taken_as_they_are(tmp_path: pathlib.Path) -> None:
    flags = ["--runner=FlinkRunner", "--flink_master=flink:8081", "--environment_options=a=b,c=d", "--no_flag"]
    assert load_config(written(tmp_path, "", beam=flags)).beam == tuple(flags)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("runner=FlinkRunner", "one text, --name or --name=value"),
        ("--runner FlinkRunner", "one text, --name or --name=value"),
        ("-runner=x", "one text, --name or --name=value"),
        ("--runner=", "one text, --name or --name=value"),
        ("--runner=DirectRunner", "would try to download"),
        ("--runner=direct", "would try to download"),
        ("--runner=apache_beam.runners.direct.SwitchingDirectRunner", "would try to download"),
    ],
)
def test_flags_that_are_none_or_download_are_refused(tmp_path: pathlib.Path, flag: str, message: str) -> None:
    with pytest.raises(TinyTimbreError, match=message) as caught:
        load_config(written(tmp_path, "", beam=["--job_name=x", flag]))
    assert "beam" in caught.value.got
