"""The task model: training set, augmentation and measured accuracy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import no_synthetic, small_config, small_data, trained

from dgaal_cli.config.schema import ClassifierConfig
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.classifier import accuracy, classifier_phase, one_cycle, predict
from dgaal_cli.training.data import SyntheticImages
from dgaal_cli.training.seeding import torch_generator
from dgaal_cli.training.seeds import numpy_generator, seed_of


def test_one_cycle_rises_then_falls_to_zero():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[19] == 1.0
    assert rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[99] < 0.001
    assert one_cycle(0, 1) == 1.0


def test_shift_moves_content_and_fills_with_black():
    config = small_config(classifier={"shift": 2}).classifier
    images = torch.zeros(64, 8, 8, 1, dtype=torch.uint8)
    images[:, 4, 4] = 255
    moved = augment(images, config, torch_generator(1))
    places = {tuple(torch.nonzero(image[:, :, 0])[0].tolist()) for image in moved}
    assert moved.sum() == images.sum()
    assert places <= {(y, x) for y in range(2, 7) for x in range(2, 7)}
    assert len(places) > 10


def test_flip_mirrors_about_half_of_the_images():
    config = small_config(classifier={"shift": 0, "flip": True}).classifier
    images = torch.zeros(200, 8, 8, 3, dtype=torch.uint8)
    images[:, :, 0] = 9
    flipped = augment(images, config, torch_generator(2))
    is_flipped = flipped[:, 0, 7, 0] == 9
    assert 60 < int(is_flipped.sum()) < 140
    assert torch.equal(flipped[is_flipped], images[is_flipped].flip(2))


def test_trained_model_separates_bright_from_dark(tmp_path):
    data = small_data()
    method = trained(small_config("random"), data, tmp_path)
    value, where, count = accuracy(method.classifier, data)
    assert value is not None
    assert value > 0.95
    assert (where, count) == ("test images", 60)


def test_accuracy_uses_held_out_labels_without_a_test_source(tmp_path):
    held = np.zeros(60, dtype=bool)
    held[:4] = True
    data = replace(small_data(), is_held_out=held, test_pixels=None, test_targets=None)
    assert not set(data.labeled_rows) & {0, 1, 2, 3}
    method = trained(small_config("random"), data, tmp_path)
    assert accuracy(method.classifier, data)[1:] == ("held-out labels", 4)
    without_held_out = replace(data, is_held_out=np.zeros(60, dtype=bool))
    assert accuracy(method.classifier, without_held_out) == (None, "nothing", 0)


def test_promoted_synthetic_images_are_used_for_training():
    data = small_data(labeled=2)
    data.synthetic = SyntheticImages(
        item_ids=[100, 101],
        pixels=np.full((2, 8, 8, 1), 77, np.uint8),
        parents=np.array([0, 1]),
        targets=np.array([0, 1]),
        is_labeled=np.array([True, False]),
        is_candidate=np.array([False, True]),
    )
    seen = []
    config = small_config("random")
    from small_rounds import build

    method = build(config)
    method.classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    phase = classifier_phase(method.classifier, config.classifier, data)
    phase.step(0, torch_generator(0))
    pixels = (seen[0] + 1) * 127.5
    flat = {round(float(image.mean())) for image in pixels if float(image.std()) < 1e-3}
    assert flat == {77}


def test_predictions_of_an_empty_array_have_the_right_shape(tmp_path):
    method = trained(small_config("random"), small_data(), tmp_path)
    empty = predict(method.classifier, np.zeros((0, 8, 8, 1), np.uint8), torch.device("cpu"))
    assert empty.probabilities.shape == (0, 2)
    assert no_synthetic().pixels.shape[0] == 0


def test_seed_of_depends_on_every_part():
    assert seed_of(1, "a", 2) == seed_of(1, "a", 2)
    assert len({seed_of(1, "a", 2), seed_of(1, "a", 3), seed_of(1, "b", 2), seed_of(12, "a")}) == 4
    first, second = numpy_generator(3, "x"), numpy_generator(3, "x")
    assert first.integers(1 << 60) == second.integers(1 << 60)


def plain_augment(images, *, shift, down, right, is_flipped):
    """Pad, crop and mirror each image separately."""
    padded = torch.nn.functional.pad(images, [0, 0, shift, shift, shift, shift])
    side = images.shape[1]
    found = []
    for image, y, x, mirrored in zip(padded, down, right, is_flipped, strict=True):
        crop = image[y : y + side, x : x + side]
        found.append(crop.flip(1) if mirrored else crop)
    return torch.stack(found)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shift", [0, 1, 4])
@pytest.mark.parametrize("flip", [False, True])
def test_augment_of_a_batch_equals_augmenting_each_image(channels, shift, flip):
    images = torch.randint(
        256, (40, 8, 8, channels), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    config = ClassifierConfig(shift=shift, flip=flip)
    draws = torch.Generator().manual_seed(7)
    down, right = torch.zeros(2, 40, dtype=torch.int64)
    if shift:
        down, right = torch.randint(2 * shift + 1, (2, 40), generator=draws)
    is_flipped = torch.rand(40, generator=draws) < 0.5 if flip else torch.zeros(40, dtype=bool)
    expected = plain_augment(images, shift=shift, down=down, right=right, is_flipped=is_flipped)
    ours = augment(images, config, torch.Generator().manual_seed(7))
    assert ours.dtype == torch.uint8
    assert torch.equal(ours, expected)
