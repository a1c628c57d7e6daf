"""What every sampler that tells labeled from unlabeled images must show that it sees.

A query rule that is blind to its data still returns images, and its curves still rise: only such
scenes, where the right answer is known, tell it from random. The published VAAL fails here.
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
"""All methods that tell labeled from unlabeled images, but for the one that is known to fail."""
ABLATIONS = {
    "vaal-frozen": ("vaal", {"vaal": {"representation": "frozen-vae"}}),
    "vaal-images": ("vaal", {"vaal": {"representation": "image"}}),
    "dgaal-vicreg": ("dgaal", {"pretrain": {"representation": "vicreg"}}),
    "vaal-centroid": ("vaal", {"vaal": {"representation": "none"}}),
}
"""Switches that change what the sampler sees; each must see as much but for the last, which has no
discriminator."""
QUERY = 100


def each(*names: str):
    return [
        *(name for name in names if name not in ABLATIONS),
        *(pytest.param(name, marks=pytest.mark.deep) for name in names if name in ABLATIONS),
    ]


EVERY = pytest.mark.parametrize(
    "name", each(*SAMPLERS, *(name for name in ABLATIONS if name != "vaal-centroid"))
)
WITH_LATENTS = pytest.mark.parametrize(
    "name",
    each(
        *(name for name in SAMPLERS if name not in ("dal", "waal")),  # those see T's features
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
def asked(learned):
    """The methods' queries, each made once."""
    return cache(lambda name, kind: learned(name, kind).rank(scene_of(kind).data, QUERY, 0))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Methods trained with the ``tiny`` preset as a user would, each on a scene once."""

    @cache
    def learn(name: str, kind: str, seed: int = 0):
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

    return learn


def unlabeled_score(method, scene: Scene) -> np.ndarray:
    """What the exported discriminator says of images that are in no pool.

    WAAL's score adds T's doubt, which has nothing to do with the labels' pool: its critic answers.
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
def test_half_of_the_input_space_without_labels_is_told_from_the_rest(name, kind, learned):
    scene = scene_of(kind)
    values = unlabeled_score(learned(name, kind), scene)
    is_missing = scene.is_fresh_missing
    assert auc(values[is_missing], values[~is_missing]) >= 0.8


@EVERY
def test_random_labels_are_not_told_from_their_pool(name, learned):
    """A discriminator that claims to would have learned single images by heart."""
    health = learned(name, "random labels").health(scene_of("random labels").data)
    assert health["discriminator_auc"] == pytest.approx(0.5, abs=0.12)  # 2 errors of 40 held out


@EVERY
def test_the_gauge_sees_missing_classes(name, learned):
    kind = "five classes missing"
    health = learned(name, kind).health(scene_of(kind).data)
    assert health["discriminator_auc"] > 0.65  # 64 % of the pool differ: 0.82 is perfect


@pytest.mark.parametrize("kind", ["dark half missing", "two classes missing", "random labels"])
@WITH_LATENTS
def test_the_latents_carry_the_images(name, kind, learned):
    health = learned(name, kind).health(scene_of(kind).data)
    assert health["active_units"] >= health["latent_units"] / 4
    if kind != "dark half missing":  # a texture is noise: few of its values can be foretold
        assert health["reconstruction_r2"] >= 0.3


def enrichment(ranking, scene: Scene) -> float:
    """Share of the missing part among the picks over its share in the unlabeled pool."""
    picks = ranking.picks
    return scene.is_missing[picks].mean() / scene.is_missing[scene.data.unlabeled_rows].mean()


@EVERY
def test_absent_classes_are_asked_for_more_than_they_are_there(name, asked):
    kind = "two classes missing"
    assert enrichment(asked(name, kind), scene_of(kind)) >= 1.5


def test_a_random_query_has_absent_classes_as_they_are_there(asked):
    """The yardstick of the test above."""
    kind = "two classes missing"
    assert enrichment(asked("random", kind), scene_of(kind)) == pytest.approx(1.0, abs=0.3)


@EVERY
def test_two_scoring_passes_are_identical(name, learned, asked):
    kind = "two classes missing"
    data = scene_of(kind).data
    first, second = asked(name, kind), learned(name, kind).rank(data, QUERY, 0)
    assert np.array_equal(first.scores, second.scores)
    assert first.picks == second.picks
    assert len(set(first.picks)) == QUERY
    assert set(first.picks) <= set(data.unlabeled_rows.tolist())


@pytest.mark.deep
@pytest.mark.parametrize("name", [*SAMPLERS, "random"])
def test_two_trainings_ask_for_alike_images(name, learned):
    """Picks that another seed would not repeat would say more of the seed than of the images."""
    scene = scene_of("two classes missing")
    first, second = (
        set(learned(name, "two classes missing", seed).rank(scene.data, QUERY, seed).picks)
        for seed in (0, 1)
    )
    share = QUERY / len(scene.data.unlabeled_rows)
    by_chance = share / (2 - share)
    alike = len(first & second) / len(first | second)
    assert (alike > 2 * by_chance) == (name != "random")  # the yardstick


def test_the_published_scales_of_vaal_fail_here(learned, asked):
    """Negative control: these tests would have caught the released loss."""
    kind = "two classes missing"
    scene = scene_of(kind)
    method = learned("vaal-released", kind)
    assert method.health(scene.data)["active_units"] == 0
    assert enrichment(asked("vaal-released", kind), scene) < 1.5
    values = unlabeled_score(method, scene)
    assert auc(values[scene.is_fresh_missing], values[~scene.is_fresh_missing]) < 0.8


@pytest.mark.deep
def test_the_distance_to_the_labeled_centroid_does_not_find_absent_classes(asked):
    """Why VAAL has a discriminator: digits that are absent lie no farther out than others."""
    kind = "two classes missing"
    assert enrichment(asked("vaal-centroid", kind), scene_of(kind)) < 1.5
