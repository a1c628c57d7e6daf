"""Samplers that separate labeled from unlabeled images must find missing parts of the pool.

A query rule that ignores its data still returns images, and its learning curve still rises. Only
scenes with a known answer distinguish it from random. The published VAAL fails these tests.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from missing_regions import Scene, digits, textures
from small_rounds import deployed, runner, shape_of

from dgaal_cli.config.load import build_config
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.methods.gauges import auc
from dgaal_cli.methods.waal.method import Waal
from dgaal_cli.training.classifier import predict

SAMPLERS = ["dal", "dgaal", "dgaal-paper", "sraal", "ta-vaal", "vaal", "waal"]
"""All methods that separate labeled from unlabeled images, except the one known to fail."""
ABLATIONS = {
    "vaal-frozen": ("vaal", {"vaal": {"representation": "frozen-vae"}}),
    "vaal-images": ("vaal", {"vaal": {"representation": "image"}}),
    "dgaal-vicreg": ("dgaal", {"pretrain": {"representation": "vicreg"}}),
    "vaal-centroid": ("vaal", {"vaal": {"representation": "none"}}),
}
"""Settings that change the input of the discriminator. All must pass the same tests except the
last, which has no discriminator."""
QUERY = 100


def with_deep_ablations(*names: str):
    return [
        *(name for name in names if name not in ABLATIONS),
        *(pytest.param(name, marks=pytest.mark.deep) for name in names if name in ABLATIONS),
    ]


EVERY = pytest.mark.parametrize(
    "name", with_deep_ablations(*SAMPLERS, *(name for name in ABLATIONS if name != "vaal-centroid"))
)
WITH_LATENTS = pytest.mark.parametrize(
    "name",
    with_deep_ablations(
        *(name for name in SAMPLERS if name not in ("dal", "waal")),  # these read T's features
        "vaal-frozen",
        "vaal-centroid",
        "dgaal-vicreg",
    ),
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def scene_of(kind: str) -> Scene:
    return {
        "dark half missing": lambda: textures(labels=300),
        "five classes missing": lambda: digits(missing=(0, 1, 2, 3, 4), labels=300),
        "two classes missing": lambda: digits(missing=(3, 8), labels=400),
        "random labels": lambda: digits(missing=(), labels=400),
    }[kind]()


@pytest.fixture(scope="module")
def query_of(train_on):
    """Return a cached function from method and scene to the query."""
    return cache(lambda name, kind: train_on(name, kind).rank(scene_of(kind).data, QUERY, 0))


@pytest.fixture(scope="module")
def train_on(tmp_path_factory):
    """Return a cached function that trains a method on a scene with the ``tiny`` preset."""

    @cache
    def train_once(name: str, kind: str, seed: int = 0):
        data = replace(scene_of(kind).data, seed=seed)
        size, channels = data.pixels.shape[2:]
        method_name, settings = ABLATIONS.get(name, (name, {}))
        config = build_config(
            {
                "method": method_name,
                "seed": seed,
                "preset": "tiny",
                "pool": {"source": "unused", "image_size": size, "channels": channels},
                "acquisition": {"sub_batches": 4 if name == "dal" else 0},
                "discriminative": {"epochs": 60},  # 20 parts of up to 500 epochs take a minute
            }
            | settings
        )
        shape = shape_of(len(data.class_names), image_size=size, channels=channels)
        method = fresh_method(config, shape, number=0)
        phases = [*method.learn(data), *method.adapt(data)]
        runner(method, phases, tmp_path_factory.mktemp("round"), seed=seed).run(phases)
        return method

    return train_once


def unlabeled_score(method, scene: Scene) -> np.ndarray:
    """Return the output of the exported discriminator for images outside the pool.

    WAAL's score adds the uncertainty of T, which does not depend on the pool: its critic is used.
    """
    if isinstance(method, Waal):
        features = predict(method.classifier, scene.fresh, scene.data.device).features
        with torch.no_grad():
            return method.critic.eval()(torch.from_numpy(features)).double().numpy()
    sampler = deployed(method, scene.data, "sampler").eval()
    with torch.no_grad():
        outputs = sampler(torch.from_numpy(scene.fresh))
    return (outputs[1] if len(outputs) == 4 else outputs[0]).double().numpy()


@pytest.mark.parametrize("kind", ["dark half missing", "five classes missing"])
@EVERY
def test_sampler_separates_an_unlabeled_half_of_the_input_space(name, kind, train_on):
    scene = scene_of(kind)
    values = unlabeled_score(train_on(name, kind), scene)
    is_missing = scene.is_fresh_missing
    assert auc(values[is_missing], values[~is_missing]) >= 0.8


@EVERY
def test_sampler_does_not_separate_random_labels_from_the_pool(name, train_on):
    """A discriminator that separates them has memorized single images."""
    health = train_on(name, "random labels").health(scene_of("random labels").data)
    assert health["discriminator_auc"] == pytest.approx(0.5, abs=0.12)  # 2 errors of 40 held out


@EVERY
def test_discriminator_auc_is_high_for_missing_classes(name, train_on):
    kind = "five classes missing"
    health = train_on(name, kind).health(scene_of(kind).data)
    assert health["discriminator_auc"] > 0.65  # 64 % of the pool differ: 0.82 is perfect


@pytest.mark.parametrize("kind", ["dark half missing", "two classes missing", "random labels"])
@WITH_LATENTS
def test_latents_keep_information_about_the_images(name, kind, train_on):
    health = train_on(name, kind).health(scene_of(kind).data)
    assert health["active_units"] >= health["latent_units"] / 4
    if kind != "dark half missing":  # a texture is noise: few of its values can be predicted
        assert health["reconstruction_r2"] >= 0.3


def enrichment(ranking, scene: Scene) -> float:
    """Return the share of the missing part in the picks over its share in the unlabeled pool."""
    picks = ranking.picks
    return scene.is_missing[picks].mean() / scene.is_missing[scene.data.unlabeled_rows].mean()


@EVERY
def test_query_is_enriched_in_missing_classes(name, query_of):
    kind = "two classes missing"
    assert enrichment(query_of(name, kind), scene_of(kind)) >= 1.5


def test_random_query_is_not_enriched_in_missing_classes(query_of):
    """The reference of the test above."""
    kind = "two classes missing"
    assert enrichment(query_of("random", kind), scene_of(kind)) == pytest.approx(1.0, abs=0.3)


@EVERY
def test_scoring_twice_gives_identical_results(name, train_on, query_of):
    kind = "two classes missing"
    data = scene_of(kind).data
    first, second = query_of(name, kind), train_on(name, kind).rank(data, QUERY, 0)
    assert np.array_equal(first.scores, second.scores)
    assert first.picks == second.picks
    assert len(set(first.picks)) == QUERY
    assert set(first.picks) <= set(data.unlabeled_rows.tolist())


@pytest.mark.deep
@pytest.mark.parametrize("name", [*SAMPLERS, "random"])
def test_trainings_with_two_seeds_ask_similar_images(name, train_on):
    """Picks that differ for every seed depend more on the seed than on the images."""
    scene = scene_of("two classes missing")
    first, second = (
        set(train_on(name, "two classes missing", seed).rank(scene.data, QUERY, seed).picks)
        for seed in (0, 1)
    )
    share = QUERY / len(scene.data.unlabeled_rows)
    chance = share / (2 - share)
    overlap = len(first & second) / len(first | second)
    assert (overlap > 2 * chance) == (name != "random")  # random is the reference


def test_control_released_vaal_fails_these_tests(train_on, query_of):
    """Negative control: these tests find the error of the released loss."""
    kind = "two classes missing"
    scene = scene_of(kind)
    method = train_on("vaal-released", kind)
    assert method.health(scene.data)["active_units"] == 0
    assert enrichment(query_of("vaal-released", kind), scene) < 1.5
    values = unlabeled_score(method, scene)
    assert auc(values[scene.is_fresh_missing], values[~scene.is_fresh_missing]) < 0.8


@pytest.mark.deep
def test_distance_to_labeled_centroid_does_not_find_missing_classes(query_of):
    """VAAL needs a discriminator: missing digits are not farther from the centroid than others."""
    kind = "two classes missing"
    assert enrichment(query_of("vaal-centroid", kind), scene_of(kind)) < 1.5
