"""Every method is trained and exported in both formats; its artifacts score the pool.

All but one are ``deep``: a method takes about ten seconds.
"""

import numpy as np
import pytest

from dgaal_cli.api.export import export
from dgaal_cli.api.generate import GenerateOptions, generate, needs_parents
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.score import ScoreOptions, score
from dgaal_cli.api.train import train
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items, true_labels
from exporters.manifest import ROLES

POOL = "builtin:digits#test"  # 500 images
SMALL = (
    "pretrain.min_steps=6",
    "pretrain.epochs=0",
    "coevolve.steps=10",
    "classifier.steps=20",
    "discriminative.epochs=10",
    "vaal.epochs=0",
    "vaal.min_steps=6",
    "vaal.settle_steps=10",
    "gaal.epochs=0",
    "gaal.min_steps=6",
    "gaal.atoms=16",
    "threads=1",
)
SLOW_TIER = ("vaal",)
TOLERANCE = 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SLOW_TIER else pytest.mark.deep) for name in METHODS],
)
def test_exported_artifacts_of_every_method_score_and_generate(name: str, tmp_path) -> None:
    request = InitRequest(
        root=tmp_path / "w",
        pool=POOL,
        base=tmp_path,
        classes=[str(digit) for digit in range(10)],
        preset="tiny",
    )
    workspace = init(request).workspace
    with open_store(workspace.store_path) as store:
        items = [item.item_id for item in store.items()][:40]
        answer_items(store, items, true_labels(POOL, base=tmp_path))
    config = configuration(workspace, f"method={name}", *SMALL)
    train(workspace, config)
    written = export(workspace, config, formats=["onnx", "torchscript"], device="cpu").artifacts
    roles = {artifact.role for artifact in written}
    assert "classifier" in roles
    assert roles <= set(ROLES)
    assert ("sampler" in roles) == METHODS[name].has_sampler
    assert len(written) == 2 * len(roles)
    if "generator" in roles:
        path = workspace.artifacts_path / "generator.onnx"
        parents = POOL if needs_parents(path) else None
        options = GenerateOptions(count=3, device="cpu")
        folder = tmp_path / "drawn"
        result = generate(parents, artifact=path, base=tmp_path, output=folder, options=options)
        assert len(result.files) == 3
    assert ("generator" in roles) == bool(METHODS[name].generator)
    if not METHODS[name].has_sampler:
        return
    ranked: list[dict[str, float]] = []
    for suffix in (".onnx", ".ts"):
        path = workspace.artifacts_path / f"sampler{suffix}"
        options = ScoreOptions(device="cpu", is_trusted=True)
        result = score(POOL, artifact=path, base=tmp_path, options=options)
        assert (result.scored, result.unreadable) == (500, 0)
        ranked.append({row.id: row.score for row in result.rows})
    onnx, script = (np.array([scores[name] for name in sorted(scores)]) for scores in ranked)
    assert np.abs(onnx - script).max() <= TOLERANCE
    assert len(np.unique(onnx)) > 1
