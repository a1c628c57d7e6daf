"""Every method that works on the features of an encoder trains, asks, and exports its sampler.

Most are ``deep``: a method takes about five seconds.
"""

import numpy as np
import pytest
from feature_workspaces import NAMES, feature_workspace

from dgaal_cli.api.export import export
from dgaal_cli.api.query import query
from dgaal_cli.api.score import ScoreOptions, score
from dgaal_cli.api.train import train
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.methods.registry import METHODS, scores_by_networks

SMALL = (
    "pretrain.min_steps=6",
    "pretrain.epochs=0",
    "coevolve.steps=10",
    "classifier.steps=20",
    "discriminative.epochs=10",
    "vaal.epochs=0",
    "vaal.min_steps=6",
    "vaal.settle_steps=10",
    "discriminator.form=mlp",
    "threads=1",
)
ON_FEATURES = [name for name, info in METHODS.items() if not info.needs_pixels]
TRAINED = [name for name in ON_FEATURES if not METHODS[name].feature_rule and name != "random"]
"""Those whose choice needs a training with networks."""

IN_CI = ("dal", "dgaal", "svm-active", "ta-vaal", "vaal-released", "waal")
DRAWS = ("bald", "dbal")
"""Their scores are means over dropout masks, which a query draws anew."""


def test_the_successors_of_vaal_and_the_vector_machine_work_on_features():
    assert {"vaal", "vaal-released", "ta-vaal", "sraal", "waal", "dal", "svm-active"} <= {*TRAINED}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in IN_CI else pytest.mark.deep) for name in TRAINED],
)
def test_a_method_on_features_trains_asks_and_its_sampler_scores(name: str, tmp_path) -> None:
    workspace = feature_workspace(tmp_path / "w")
    config = configuration(workspace, f"method={name}", *SMALL)
    train(workspace, config)
    asked = query(workspace, config, count=4)
    assert len({item.sample_id for item in asked.items} - set(NAMES[:8])) == 4
    written = export(workspace, config, formats=["onnx"], device="cpu").artifacts
    roles = {artifact.role for artifact in written}
    assert ("sampler" in roles) == METHODS[name].has_sampler
    if "sampler" not in roles:
        return
    path = workspace.artifacts_path / "sampler.onnx"
    options = ScoreOptions(device="cpu", is_trusted=True)
    result = score(config.pool.source, artifact=path, base=workspace.root, options=options)
    scores = {row.id: row.score for row in result.rows}
    assert np.isfinite(list(scores.values())).all()
    if scores_by_networks(config) and not METHODS[name].has_own_query_rule and name not in DRAWS:
        in_query = [entry.score for entry in asked.entries]
        assert in_query == pytest.approx([scores[i.sample_id] for i in asked.items], abs=1e-3)
        assert len(set(in_query)) > 1
