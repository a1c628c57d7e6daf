"""FixMatch: its loss, the data it uses, exact resuming, and strong augmentation."""

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import build, runner, shape_of, small_config, small_data, trained

from dgaal_cli import interruption
from dgaal_cli.config.load import build_config
from dgaal_cli.errors import ConfigError, InterruptedRunError
from dgaal_cli.events import StepDone
from dgaal_cli.ids import ItemId
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.classifier import accuracy, classifier_phase, predict
from dgaal_cli.training.data import SyntheticImages
from dgaal_cli.training.distortion import COVER, distort
from dgaal_cli.training.fixmatch import PoolImages, consistency_loss
from dgaal_cli.training.seeding import torch_generator

FIXMATCH = {"semi_supervised": "fixmatch", "unlabeled_threshold": 0.8}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fixmatch_config(method="random", **classifier):
    return small_config(method, classifier=FIXMATCH | classifier)


def copies(*, labels=(0, 1, 1), is_candidate=(True, True, False)):
    """Return three synthetic images of brightness 77, 78 and 79; the last is not a candidate."""
    pixels = np.full((3, 8, 8, 1), 77, np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None]
    return SyntheticImages(
        item_ids=[ItemId(100 + i) for i in range(3)],
        pixels=pixels,
        parents=np.array([0, 1, 2]),
        targets=np.array(labels),
        is_labeled=np.zeros(3, dtype=bool),
        is_candidate=np.array(is_candidate),
    )


def weights(method):
    return {key: value.clone() for key, value in module_tensors(method.modules).items()}


def differing(ours, theirs):
    return [key for key in ours if not torch.equal(ours[key], theirs[key])]


# The loss


def test_consistency_loss_equals_the_papers_equation():
    weak = torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 9.0]])
    strong = torch.tensor([[1.0, 2.0, 0.5], [3.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    loss, part = consistency_loss(ClassLearning(3), weak, strong, 0.9)
    p = np.exp(strong.numpy().astype(np.float64))
    p /= p.sum(1, keepdims=True)
    # Image 0 is confident in class 0 (0.965), image 1 in none (0.36), image 2 in class 2 (0.9998).
    expected = (-np.log(p[0, 0]) - np.log(p[2, 2])) / 3
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert float(part) == pytest.approx(2 / 3)


def test_images_below_the_threshold_have_no_gradient():
    weak = torch.tensor([[4.0, 0.0], [0.2, 0.0]], requires_grad=True)
    strong = torch.tensor([[0.5, 1.0], [0.5, 1.0]], requires_grad=True)
    loss, _ = consistency_loss(ClassLearning(3), weak, strong, 0.95)
    loss.backward()
    assert strong.grad is not None
    assert strong.grad[0].abs().sum() > 0
    assert torch.equal(strong.grad[1], torch.zeros(2))
    assert weak.grad is None  # no gradient through the pseudo-label


def test_loss_is_zero_without_confident_images():
    loss, part = consistency_loss(ClassLearning(3), torch.zeros(4, 3), torch.randn(4, 3), 0.95)
    assert (float(loss), float(part)) == (0.0, 0.0)


# Data that it uses


def test_pool_images_exclude_held_out_and_unusable_images():
    data = small_data()
    data.is_held_out[3] = True
    data.is_usable[5] = False
    data.synthetic = copies()
    own = PoolImages.of(data, fixmatch_config().classifier)
    assert set(range(60)) - set(own.rows.tolist()) == {3, 5}
    assert len(own.extra) == 0
    both = PoolImages.of(data, fixmatch_config(unlabeled_copies=True).classifier)
    assert both.extra[:, 0, 0, 0].tolist() == [77, 78]
    sample = both.draw(4000, torch_generator(1))
    assert sample.shape == (4000, 8, 8, 1)
    share = float(
        ((sample == 77).flatten(1).all(1) | (sample == 78).flatten(1).all(1)).float().mean()
    )
    assert share == pytest.approx(2 / 60, abs=0.012)


def test_only_training_labels_change_the_weights(tmp_path):
    """Held-out labels, inherited labels of copies and test labels are not used."""
    data = small_data()
    data.is_held_out[:4] = True
    data.synthetic = copies()
    config = fixmatch_config(unlabeled_copies=True)
    first = weights(trained(config, data, tmp_path / "a"))
    labels = data.targets.copy()
    labels[:4] = 1 - labels[:4]
    other = replace(
        data,
        targets=labels,
        synthetic=copies(labels=(1, 0, 0)),
        test_targets=1 - data.test_targets,
    )
    assert differing(first, weights(trained(config, other, tmp_path / "b"))) == []
    labels[10] = 1 - labels[10]
    changed = weights(trained(config, replace(other, targets=labels), tmp_path / "c"))
    assert differing(first, changed)  # positive control


def test_class_without_labels_is_never_predicted(tmp_path):
    data = small_data()
    is_gray = np.arange(60) >= 48
    data.pixels[is_gray] = 128
    data = replace(data, class_names=["dark", "bright", "gray"])
    from dgaal_cli.methods.registry import load_method

    method = load_method(fixmatch_config(steps=60), shape_of(3))
    phases = method.learn(data)
    losses = []

    def listen(event):
        if isinstance(event, StepDone):
            losses.append(event.losses)

    runner(method, phases, tmp_path, emit=listen).run(phases)
    assert np.isfinite([value for each in losses for value in each.values()]).all()
    probabilities = predict(method.classifier, data.pixels, data.device).probabilities
    assert not (probabilities.argmax(1) == 2).any()
    known_predictions = probabilities[~is_gray].argmax(1) == np.arange(48) % 2
    assert known_predictions.mean() > 0.9


# The phase


def test_only_dgaal_is_semi_supervised_by_default():
    data = small_data()
    titles = {
        name: [p.title for p in build(small_config(name)).learn(data) if p.name == "classifier"]
        for name in ("dgaal", "dgaal-paper", "random", "margin", "vaal")
    }
    with_pool, labels_only = ["learning the labels and the pool"], ["learning the labels"]
    assert titles == {
        "dgaal": with_pool,
        "dgaal-paper": labels_only,
        "random": labels_only,
        "margin": labels_only,
        "vaal": labels_only,
    }
    off = small_config("dgaal", classifier={"semi_supervised": "none"})
    assert [p.title for p in build(off).learn(data)][-1:] == labels_only


def test_steps_and_cost_include_the_pool_batch():
    data = small_data()
    config = fixmatch_config(steps=30, unlabeled_steps=2.5, unlabeled_ratio=2.0).classifier
    network = build(small_config("random")).classifier
    phase = classifier_phase(network, config, data)
    assert (phase.steps, phase.cost) == (75, pytest.approx(3.6))
    labels_only = classifier_phase(network, replace(config, semi_supervised="none"), data)
    assert (labels_only.steps, labels_only.cost) == (30, 1.0)


def test_step_reports_both_losses_and_the_pseudo_labeled_share():
    method = build(fixmatch_config())
    phase = classifier_phase(method.classifier, method.config.classifier, small_data())
    losses = phase.step(0, torch_generator(0))
    assert set(losses) == {"cross_entropy", "consistency", "pseudo_labeled"}
    assert 0 <= float(losses["pseudo_labeled"]) <= 1


def test_unlabeled_weight_scales_the_consistency_loss():
    data = small_data()
    losses = {}
    for weight in (0.0, 0.5, 1.0):
        method = build(fixmatch_config(unlabeled_weight=weight, unlabeled_threshold=0.0))
        phase = classifier_phase(method.classifier, method.config.classifier, data)
        losses[weight] = float(phase.step(0, torch_generator(0))["consistency"].detach())
    assert losses[0.0] == 0.0
    assert losses[1.0] > 0
    assert losses[0.5] == pytest.approx(losses[1.0] / 2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_parameter_has_a_gradient(precision):
    """Autocast caches weights cast without gradient; the pseudo-label step must not leave them."""
    data = replace(small_data(), precision=precision)
    method = build(fixmatch_config())
    phase = classifier_phase(method.classifier, method.config.classifier, data)
    phase.step(0, torch_generator(0))
    missing = [n for n, p in method.classifier.named_parameters() if p.grad is None]
    assert missing == []


def test_companion_receives_only_labeled_images():
    method = build(fixmatch_config("ta-vaal"))
    seen = []
    ranker = method.ranker.forward
    method.ranker.forward = lambda maps: seen.append({len(m) for m in maps}) or ranker(maps)
    [phase, *_] = method.learn(small_data())
    losses = phase.step(0, torch_generator(0))
    assert seen == [{16}]
    assert {"companion", "consistency"} <= set(losses)


def test_fixmatch_reaches_the_accuracy_of_labels_alone(tmp_path):
    data = small_data()
    value, _, _ = accuracy(trained(fixmatch_config(), data, tmp_path).classifier, data)
    assert value is not None
    assert value > 0.95


@pytest.mark.parametrize("steps", [2, 17, 40])
def test_resumed_training_is_bit_identical(steps, tmp_path):
    config, data = fixmatch_config(dropout=0.3, shift=1), small_data()
    uninterrupted = build(config)
    phases = uninterrupted.learn(data)
    runner(uninterrupted, phases, tmp_path / "whole").run(phases)

    def stop(event):
        if isinstance(event, StepDone) and event.step == steps:
            signal.raise_signal(signal.SIGINT)

    first = build(config)
    phases = first.learn(data)
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path / "cut", emit=stop).run(phases)
    second = build(config, number=1)
    phases = second.learn(data)
    resumed = runner(second, phases, tmp_path / "cut")
    assert resumed.resume() == f"step {steps} of classifier"
    resumed.run(phases)
    assert differing(module_tensors(uninterrupted.modules), module_tensors(second.modules)) == []


# Strong views


def test_distort_is_random_per_image_and_reproducible():
    images = torch.rand(1, 1, 16, 16, generator=torch_generator(0)).repeat(40, 1, 1, 1) * 2 - 1
    first = distort(images, 1.0, torch_generator(5))
    assert torch.equal(first, distort(images, 1.0, torch_generator(5)))
    assert first.shape == images.shape
    assert float(first.abs().max()) <= 1.0
    assert len({image.numpy().tobytes() for image in first}) == 40
    alone = distort(images[:1], 1.0, torch_generator(5))
    torch.testing.assert_close(alone[0], first[0])


def test_distort_with_strength_zero_is_the_identity():
    images = torch.rand(3, 3, 8, 8) * 2 - 1
    assert torch.equal(distort(images, 0.0, torch_generator(1)), images)
    assert distort(images[:0], 1.0, torch_generator(1)).shape == (0, 3, 8, 8)


def test_distort_covers_a_gray_square_and_does_not_mirror():
    white = torch.ones(200, 1, 32, 32)
    covered = (distort(white, 1.0, torch_generator(2)) == 0.0).flatten(1).sum(1)
    assert int(covered.max()) <= round(COVER * 32 + 1) ** 2
    # at a corner only one quarter is inside
    assert int(covered.min()) >= round(COVER * 32 / 2 - 1) ** 2
    mark = torch.full((200, 1, 32, 32), -1.0)
    mark[:, :, 13:19, 24:28] = 1.0
    is_mark = (distort(mark, 1.0, torch_generator(3))[:, 0] > 0.4).double()
    is_mark = is_mark[is_mark.sum((1, 2)) > 4]  # ignore covered marks
    columns = (is_mark.sum(1) * torch.arange(32)).sum(1) / is_mark.sum((1, 2))
    assert len(columns) > 150
    # with mirroring, half would be on the other side
    assert float((columns > 15.5).double().mean()) == 1.0


def test_distort_changes_the_tint_of_color_images():
    gray = torch.zeros(50, 3, 8, 8)
    tinted = distort(gray, 1.0, torch_generator(4))
    spread = tinted.amax((2, 3)).std(1)
    assert float(spread.mean()) > 0.01


# Settings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("unlabeled_threshold", 1.0),
        ("unlabeled_ratio", 0),
        ("unlabeled_steps", 0),
        ("unlabeled_weight", -1),
        ("distortion", -0.1),
        ("semi_supervised", "mixmatch"),
    ],
)
def test_invalid_settings_are_refused(setting, value):
    with pytest.raises(ConfigError, match=setting):
        build_config({"pool": {"source": "x"}, "classifier": {setting: value}})


def test_linear_svm_refuses_semi_supervised_training():
    tree = {"architecture": "linear-svm", "semi_supervised": "fixmatch"}
    with pytest.raises(ConfigError, match="linear-svm learns from labels alone"):
        build_config({"pool": {"source": "x"}, "classifier": tree})
    build_config(
        {
            "pool": {"source": "x"},
            "method": "dgaal",
            "classifier": tree | {"semi_supervised": "auto"},
        }
    )


# DGAAL's two task models


def test_dgaal_ranks_by_the_scout(tmp_path):
    data = small_data()
    method = trained(small_config("dgaal", classifier=FIXMATCH), data, tmp_path)
    assert method.scout is not method.classifier
    before = method.rank(data, 12, seed=1)
    with torch.no_grad():
        method.classifier.head.weight.neg_()
    after = method.rank(data, 12, seed=1)
    assert after.picks == before.picks
    with torch.no_grad():
        method.scout.head.weight.mul_(torch.tensor([[3.0], [-1.0]]))
    assert method.rank(data, 12, seed=1).picks != before.picks


def test_scout_starts_like_the_task_model_and_uses_only_labels():
    data = small_data()
    method = build(small_config("dgaal", classifier={"dropout": 0.0}))
    phases = {phase.name: phase for phase in method.learn(data)}
    ours, theirs = method.scout.state_dict(), method.classifier.state_dict()
    assert differing(ours, theirs) == []
    assert list(phases) == ["pretrain", "classifier", "scout"]
    assert phases["scout"].steps == 30
    assert set(phases["scout"].step(0, torch_generator(0))) == {"cross_entropy"}
    assert differing(theirs, build(method.config).classifier.state_dict()) == []


def test_scout_is_the_task_model_without_semi_supervision():
    method = build(small_config("dgaal", classifier={"semi_supervised": "none"}))
    assert method.scout is method.classifier
    assert "scout" not in method.modules


def test_distorted_labels_sets_the_share_of_distorted_labeled_images():
    data = small_data(labeled=2)
    seen = {}
    for share in (0.0, 0.5):
        method = build(fixmatch_config(distorted_labels=share))
        batches = []
        method.classifier.register_forward_pre_hook(lambda _, a, to=batches: to.append(a[0]))
        phase = classifier_phase(method.classifier, method.config.classifier, data)
        phase.step(0, torch_generator(0))
        originals = (torch.from_numpy(data.pixels[:2]).permute(0, 3, 1, 2) / 127.5) - 1
        own = batches[1][:16]
        gap = (own[:, None] - originals[None]).abs().amax((2, 3, 4)).amin(1)
        seen[share] = int((gap > 1e-4).sum())
    assert seen == {0.0: 0, 0.5: 8}
