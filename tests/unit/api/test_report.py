"""Report pages of a workspace and of a simulation."""

import re

import numpy as np
import pytest
from PIL import Image
from small_simulations import CONFIG, images, small_plan, write_pool

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.report import report, report_simulation
from dgaal_cli.api.simulate import simulate
from dgaal_cli.api.train import train
from dgaal_cli.config.load import build_config
from dgaal_cli.errors import UsageError
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items, true_labels

HOSTILE = "<b>dark"


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulation")
    path = write_pool(root / "pool.npz")
    plan = small_plan(
        path, "random", "dgaal", rounds=1, full_data=True, published=("Guo: <b>80.6</b> %",)
    )
    simulate(plan, root / "out", base=root)
    return root / "out"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Create a workspace with two classes, one with a hostile name, after one round and query."""
    root = tmp_path_factory.mktemp("workspace")
    labels = np.arange(60) % 2
    for place, (label, image) in enumerate(zip(labels, images(2 * labels), strict=True)):
        folder = root / "pool" / (HOSTILE, "bright")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{place:02d}<i>.png")
    made = init(
        InitRequest(
            root=root / "w", pool="pool", base=root, classes=[HOSTILE, "bright"], query_size=5
        )
    )
    truth = true_labels("pool", base=root)
    with open_store(made.workspace.store_path) as store:
        answer_items(store, [item.item_id for item in store.items()][::2], truth)
    config = build_config(
        {
            **CONFIG,
            "name": "a <script> name",
            "threads": 1,
            "pool": {"source": str(root / "pool"), "image_size": 8, "channels": 1},
            "query": {"size": 5},
        }
    )
    train(made.workspace, config)
    query(made.workspace, config)
    return made.workspace, config


def pictures_of(result):
    return {path.name for path in result.pictures}


def test_simulation_report_has_curves_queries_and_confusion(simulation, tmp_path):
    result = report_simulation(simulation, folder=tmp_path / "r")
    assert {"curves.png", "differences.png", "confusion-0.png", "query-0.png", "query-1.png"} <= (
        pictures_of(result)
    )
    assert any(name.startswith("health-") for name in pictures_of(result))
    html = result.page.read_text("utf-8")
    assert html.count("<img ") == len(result.pictures)
    assert "random" in html
    assert "beats random" in html or "does not beat random" in html or "is worse" in html
    assert "system AUBC %" in html  # dgaal has its own training of T
    assert "Guo: &lt;b&gt;80.6&lt;/b&gt; %" in html
    for path in result.pictures:
        Image.open(path).verify()
    assert result.notes == ()


def test_simulation_report_without_images_has_no_query_sheets(simulation, tmp_path):
    pool = simulation.parent / "pool.npz"
    moved = pool.rename(pool.with_suffix(".aside"))
    try:
        result = report_simulation(simulation, folder=tmp_path / "r")
    finally:
        moved.rename(pool)
    assert "curves.png" in pictures_of(result)
    assert "query-0.png" not in pictures_of(result)
    assert "no query sheets" in result.notes[0]


def test_folder_without_simulation_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a simulation"):
        report_simulation(tmp_path)


def test_workspace_report_has_confusion_query_losses_and_health(trained):
    workspace, config = trained
    result = report(workspace, config)
    assert result.page == workspace.root / "report" / "index.html"
    assert result.notes == ()
    assert {"confusion.png", "health.png", "query-000.png", "losses.png"} <= pictures_of(result)
    html = result.page.read_text("utf-8")
    assert "a &lt;script&gt; name" in html
    assert "<script" not in html
    assert not re.findall(r'src="(?!data:)', html)


def test_missing_image_is_left_out_of_the_query_sheet(trained):
    workspace, config = trained
    query_row = (workspace.round_path(0) / "query.csv").read_text("utf-8").splitlines()[1]
    path = workspace.root.parent / "pool" / query_row.split(",")[1]
    moved = path.rename(path.with_suffix(".aside"))
    try:
        result = report(workspace, config)
    finally:
        moved.rename(path)
    assert "query-000.png" in pictures_of(result)
    assert any("missing on a sheet" in note for note in result.notes)


def test_workspace_without_trained_round_is_refused(tmp_path):
    write_pool(tmp_path / "pool.npz")
    made = init(InitRequest(root=tmp_path / "w", pool="pool.npz", base=tmp_path))
    with pytest.raises(UsageError, match="nothing is trained"):
        report(made.workspace, made.config)
