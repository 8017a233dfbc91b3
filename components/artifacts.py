"""The artifact types that travel between the components.

All carry custom properties only: Kubeflow's compiler rejects types with declared ones. ``TYPE_NAME`` is the
path under which a type is imported at run time, hence the re-export in `components`.

| type | files | custom properties |
|---|---|---|
| Recordings | ``recordings.json``, ``audio/<instrument>/<recording_id>.flac`` | instruments, accepted, rejected |
| Features | ``Split-*/…tfrecord.gz``, ``features.json``, ``statistics.json`` | fingerprints (JSON), takes |
| SweepPlan | ``plan.json`` | n_trials, instruments |
| Trials | ``results.json`` (rung results), ``survivors.json`` (ids: survivors or students) | rung, n_done, n_failed |
| WebModels | ``models.json``, ``failures.json``, ``<trial_id>/<quantisation>/…`` | n_models, n_failed |
| SweepReport | tables of `tinytimbre.report.tables`, ``renderings/`` | n_candidates |
| Selection | ``verdicts.json`` … as SweepReport, ``report.html`` | chosen (JSON: instrument → candidate id) |
"""

from __future__ import annotations

from tfx.types.artifact import Artifact


class Recordings(Artifact):
    """Checked recordings: 16 kHz mono, grouped into takes, split; rejected files with their reasons."""

    TYPE_NAME = "components.Recordings"


class Features(Artifact):
    """TFRecord examples per split and instrument, with statistics and fingerprints."""

    TYPE_NAME = "components.Features"


class SweepPlan(Artifact):
    """Every trial with its identity, size and stratum."""

    TYPE_NAME = "components.SweepPlan"


class Trials(Artifact):
    """Results of one rung (or one shard of it); after promotion also who goes on."""

    TYPE_NAME = "components.Trials"


class WebModels(Artifact):
    """The finalists as TensorFlow.js bundles in every quantisation."""

    TYPE_NAME = "components.WebModels"


class SweepReport(Artifact):
    """Tables of a sweep and what the exported models sound like."""

    TYPE_NAME = "components.SweepReport"


class Selection(Artifact):
    """The verdict for each instrument, and the report."""

    TYPE_NAME = "components.Selection"
