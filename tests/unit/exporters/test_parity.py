from collections.abc import Callable, Mapping

import numpy as np
import pytest
from formula_nets import generator_case, info, manifest, sampler_case

from exporters.parity import ParityError, measure
from exporters.spec import ExportSpec

Arrays = Mapping[str, np.ndarray]


def spec(**changes: object) -> ExportSpec:
    return ExportSpec(manifest=manifest("sampler", (info("score"),)), **changes)


def scores(offset: float = 0.0, at_batch: int | None = None) -> Callable[[Arrays], Arrays]:
    def run(inputs: Arrays) -> Arrays:
        images = inputs["images"]
        base = images.astype(np.float64).mean((1, 2, 3)) / 255
        shift = offset if at_batch in (None, len(images)) else 0.0
        base[-1:] += shift
        return {"score": base.astype(np.float32)}

    return run


def test_report_contains_the_difference_of_each_batch_size() -> None:
    report = measure(scores(), scores(5e-5, at_batch=7), spec())
    assert list(report.differences) == ["1", "2", "7"]
    assert report.differences["1"] == {"score": 0.0}
    assert report.differences["7"]["score"] == pytest.approx(5e-5, rel=1e-2)
    assert report.largest == report.differences["7"]["score"]


def test_error_names_output_batch_size_and_difference() -> None:
    with pytest.raises(ParityError, match=r"'score' differs by 0\.0002 at batch size 2.*0\.0001"):
        measure(scores(), scores(2e-4, at_batch=2), spec())


def test_negative_difference_above_the_tolerance_fails() -> None:
    with pytest.raises(ParityError, match="batch size 1"):
        measure(scores(), scores(-2e-4), spec())


def test_tolerance_can_be_set_for_one_output() -> None:
    report = measure(scores(), scores(2e-4), spec(tolerances={"score": 1e-3}))
    assert report.largest == pytest.approx(2e-4, rel=1e-2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_fail_even_if_both_agree(value: float) -> None:
    with pytest.raises(ParityError, match="not finite"):
        measure(scores(value), scores(value), spec())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda outputs: {}, "is missing"),
        (lambda outputs: {"score": outputs["score"][:, None]}, "has shape"),
        (lambda outputs: {"score": outputs["score"][:1].repeat(3)}, "has shape"),
        (lambda outputs: {"score": outputs["score"].astype(np.float64)}, "is float64"),
    ],
)
def test_different_name_shape_or_dtype_fails(
    change: Callable[[Arrays], Arrays], message: str
) -> None:
    with pytest.raises(ParityError, match=message):
        measure(scores(), lambda inputs: change(scores()(inputs)), spec())


def test_generated_pixels_may_differ_by_at_most_one_level() -> None:
    case = generator_case()

    def pixels(level: int) -> Callable[[Arrays], Arrays]:
        return lambda inputs: {"generated": np.full_like(inputs["images"], level)}

    assert measure(pixels(0), pixels(1), case.spec).largest == 1.0
    with pytest.raises(ParityError, match="differs by 2"):
        measure(pixels(0), pixels(2), case.spec)
    with pytest.raises(ParityError, match="differs by 255"):  # uint8 arithmetic would wrap to 1
        measure(pixels(0), pixels(255), case.spec)


def test_example_images_differ_within_a_batch_but_not_between_batches() -> None:
    case = sampler_case()
    large, small = case.spec.example(7)["images"], case.spec.example(2)["images"]
    np.testing.assert_array_equal(large[:2], small)
    assert large.dtype == np.uint8
    assert large.shape == (7, 8, 8, 3)
    assert len({image.tobytes() for image in large[:4]}) == 4
    assert (large.min(), large.max()) == (0, 255)


def test_few_pool_images_are_repeated_to_fill_the_batch() -> None:
    pool = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
    images = spec(images=pool).example(7)["images"]
    np.testing.assert_array_equal(images[3], pool[0])
    np.testing.assert_array_equal(images[5], pool[2])


def test_noise_factors_are_near_one() -> None:
    noise = generator_case().spec.example(7)["noise"]
    assert noise.dtype == np.float32
    assert noise.shape == (7, 5)
    assert 0.9 <= noise.min() < 0.95
    assert 1.05 < noise.max() <= 1.1
