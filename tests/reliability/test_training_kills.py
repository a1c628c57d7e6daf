"""G6: a killed and resumed training ends in the same bits and the same query.

A resumed training keeps its ``--set`` after a kill at any moment; after a kill behind the final
checkpoint no later training uses it.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from class_labels import as_label, name_of
from label_workspaces import DGAAL

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer

Drive = Callable[..., Any]
pytestmark = pytest.mark.slow

SMALL = """
[network]
width = 4
latent = 4
residual_blocks = 1
latent_hidden = 8
critic_width = 4
classifier_width = 4

[pretrain]
epochs = 0
min_steps = 16
batch = 8

[coevolve]
steps = 16
batch = 16

[classifier]
steps = 16
batch = 16

[vaal]
width = 4
epochs = 0
min_steps = 16
batch = 8
settle_steps = 16

[gaal]
latent = 8
width = 4
epochs = 0
min_steps = 16
batch = 16
descent_steps = 12
restarts = 2
"""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace of dgaal, whose round 1 also synthesizes."""
    return answered_round(tmp_path_factory.mktemp("kills"), "dgaal")


def answered_round(tmp_path: Path, method: str) -> Path:
    """Make a workspace whose query of round 0 is answered."""
    options = ("--preset", "tiny", "--query-size", "6", "-q")

    def dgaal(*arguments: str) -> None:
        done = subprocess.run(
            [*DGAAL, *arguments], cwd=tmp_path, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    dgaal("init", "w", "--pool", "builtin:digits#test", *options, "--labels-from-source")
    dgaal("init", "pristine", "--pool", "builtin:digits#test", "--method", method, *options)
    root = tmp_path / "pristine"
    toml = (root / "dgaal.toml").read_text()
    (root / "dgaal.toml").write_text(f"{toml}\n{SMALL}".replace('"auto"', '"cpu"', 1))
    with (
        open_store(tmp_path / "w" / "labels.db") as source,
        open_store(root / "labels.db") as store,
    ):
        truth = {label.sample_id: name_of(source, label) for label in source.labels()}
        uids = {name: store.add_class(name).uid for name in sorted(set(truth.values()))}

        def answer(items: list[Any]) -> None:
            given = [
                Answer(
                    op_id=f"op{item.item_id}",
                    kind="label",
                    item_id=item.item_id,
                    # gaal synthesizes the images that it asks; any class is valid
                    label=as_label(uids[truth.get(item.sample_id, str(item.item_id % 10))]),
                )
                for item in items
            ]
            store.submit_many(given, annotator="o", session="s", provenance="simulated")

        answer(store.items()[:30])
        dgaal("-C", "pristine", "train", "--threads", "1", "-q")
        dgaal("-C", "pristine", "query", "-q")
        asked_items = [store.item(entry.item_id) for entry in store.open_query().entries]
        answer(asked_items)
    toml = (root / "dgaal.toml").read_text()
    (root / "dgaal.toml").write_text(f"threads = 1\n{toml}")
    return root


@pytest.mark.parametrize(("runs", "kills"), [(1, 3), pytest.param(20, 3, marks=pytest.mark.deep)])
def test_killed_trainings_end_in_the_same_bits(drive: Drive, pristine: Path, runs: int, kills: int):
    report = drive("kill_training", pristine, runs, kills, "sound")
    assert (report["identical"], report["kills"]) == (runs, runs * kills)
    assert report["handed_on"] == 0
    assert report["in_saves"] > 0 or runs < 5


@pytest.mark.deep
@pytest.mark.parametrize("method", ["vaal", "gaal"])
def test_killed_trainings_of_other_methods_end_in_the_same_bits(
    drive: Drive, tmp_path: Path, method: str
):
    report = drive("kill_training", answered_round(tmp_path, method), 3, 3, "sound")
    assert (report["identical"], report["kills"]) == (3, 9)


@pytest.mark.deep
def test_control_lost_optimizer_state_is_caught(drive: Drive, pristine: Path):
    assert drive("kill_training", pristine, 1, 3, "forgetful")["identical"] == 0
