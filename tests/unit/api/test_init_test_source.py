"""``init`` looks at the test images too, and training goes on without those that are damaged."""

from pathlib import Path

import pytest
import torch
from sample_images import png

from dgaal_cli.api.init import InitRequest, InitResult, init
from dgaal_cli.errors import InputDataError
from dgaal_cli.events import Warned
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.on_disk import OnDisk, gather
from dgaal_cli.store.open import open_store


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(4):
        put(tmp_path / f"pool/{number}.png", png(number))
    for number, name in enumerate(("cat", "dog", "cat"), start=10):
        put(tmp_path / f"test/{name}/{number}.png", png(number))
    return tmp_path


def make(root: Path, classes: tuple[str, ...] = ("cat", "dog")) -> InitResult:
    return init(
        InitRequest(
            root=root / "w",
            pool="pool",
            test="test",
            base=root,
            classes=classes,
            method="random",
            preset="tiny",
        )
    )


def gathered(made: InitResult, warnings: list[str]) -> OnDisk:
    workspace = made.workspace
    config = configuration(workspace, "threads=1")
    with open_store(workspace) as store:
        return gather(
            workspace,
            config,
            store,
            number=0,
            device=torch.device("cpu"),
            emit=lambda e: warnings.append(e.message) if isinstance(e, Warned) else None,
        )


def test_sound_test_images_are_counted(root: Path):
    report = make(root).test
    assert report is not None
    assert (report.images, report.unlabeled, report.unreadable, report.leaked) == (3, 0, (), ())


def test_test_images_of_groups_in_the_pool_are_named(root: Path):
    request = InitRequest(
        root=root / "w", pool="pool", test="test", base=root, method="random", group_by=r"(\d)\.png"
    )
    report = init(request).test
    assert report is not None
    assert report.shared_groups == ("cat/10.png", "cat/12.png", "dog/11.png")  # 0, 2 and 1


def test_unreadable_test_images_are_named_and_left_out_of_training(root: Path):
    put(root / "test/dog/bad.png", b"no image")
    made = make(root)
    assert made.test is not None
    assert [name for name, _ in made.test.unreadable] == ["dog/bad.png"]
    put(root / "test/cat/10.png", b"damaged since")
    warnings: list[str] = []
    data = gathered(made, warnings).data
    assert data.test_targets is not None
    assert len(data.test_targets) == 2
    (warning,) = warnings
    assert "dog/bad.png" in warning
    assert "cat/10.png" in warning


def test_training_is_refused_if_no_test_image_can_be_read(root: Path):
    made = make(root)
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(InputDataError, match=r"no image of the test source .* can be read"):
        gathered(made, [])


def test_test_images_that_are_in_the_pool_are_named(root: Path):
    put(root / "test/dog/leak.png", png(2))
    report = make(root).test
    assert report is not None
    assert report.leaked == ("dog/leak.png",)


def test_test_images_without_labels_are_counted_and_refused_if_all_are(root: Path):
    put(root / "test/loose.png", png(30))
    report = make(root).test
    assert report is not None
    assert (report.images, report.unlabeled) == (3, 1)
    for path in (root / "test").glob("*/*.png"):
        path.unlink()
    (root / "w").rename(root / "old")
    with pytest.raises(InputDataError, match="has no labels"):
        make(root)
    assert not (root / "w").exists()


def test_labels_of_the_test_images_must_be_classes(root: Path):
    with pytest.raises(InputDataError, match="not classes here: dog"):
        make(root, classes=("cat",))
    assert make(root, classes=()).classes == []
