"""DGAAL's games with half the passes, against the loop that a paper's pseudo-code would give."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_games import plain_iteration
from small_rounds import build, small_config, small_data
from torch.nn import Module

from dgaal_cli.methods.adversarial_encoder.games import ADAM_BETAS


def optimizers_of(games, config):
    """Plain, unfused Adam for the plain loop."""
    fused = games.optimizers(config)
    return {
        name: torch.optim.Adam(
            [p for group in optimizer.param_groups for p in group["params"]],
            lr=optimizer.param_groups[0]["lr"],
            betas=ADAM_BETAS,
        )
        for name, optimizer in fused.items()
    }


def networks_of(games) -> dict[str, Module]:
    return {
        "encoder": games.encoder,
        "decoder": games.decoder,
        "latent_discriminator": games.latent_discriminator,
        "image_discriminator": games.image_discriminator,
    }


def weights_of(games):
    return {
        f"{name}.{key}": parameter.detach()
        for name, network in networks_of(games).items()
        for key, parameter in network.named_parameters()
    }


@pytest.fixture
def twins():
    """The same games twice, in float64, with their configuration and four steps' batches."""
    torch.set_num_threads(1)
    config = small_config()
    ours = build(config).games
    for network in networks_of(ours).values():
        network.double().train()
    generator = torch.Generator().manual_seed(3)
    batches = [
        (
            torch.rand(16, 1, 8, 8, generator=generator, dtype=torch.float64) * 2 - 1,
            torch.rand(16, 1, 8, 8, generator=generator, dtype=torch.float64) * 2 - 1,
            1 + 0.05 * torch.randn(16, ours.decoder.map_channels, generator=generator).double(),
        )
        for _ in range(4)
    ]
    theirs = copy.deepcopy(ours)
    for network in (theirs.encoder, theirs.decoder, theirs.image_discriminator):
        network.to(memory_format=torch.contiguous_format)
    return ours, theirs, config.pretrain, batches


def test_only_our_networks_lie_channels_last(twins):
    def strides(games):
        return [
            weight.stride()
            for network in networks_of(games).values()
            for weight in network.parameters()
            if weight.ndim == 4 and weight.shape[1] > 1 and weight.shape[2] > 1
        ]

    ours, theirs, *_ = twins
    assert {stride[1] for stride in strides(ours)} == {1}
    assert 1 not in {stride[1] for stride in strides(theirs)}


def largest_difference(ours, theirs):
    ours, theirs = weights_of(ours), weights_of(theirs)
    assert ours.keys() == theirs.keys()
    return max(
        float((ours[key] - theirs[key]).abs().max() / theirs[key].abs().max()) for key in ours
    )


def test_one_forward_pass_for_both_players_computes_what_two_would(twins):
    ours, theirs, config, batches = twins
    own, plain = ours.optimizers(config), optimizers_of(theirs, config)
    for pools, images, noise in batches:
        losses = ours.feature_game(pools, own)
        losses |= ours.image_game(images, noise, config, own)
        expected = plain_iteration(theirs, pools, images, noise, config, plain)
        for name, value in expected.items():
            assert losses[name].item() == pytest.approx(value.item(), rel=1e-12, abs=1e-12)
    assert largest_difference(ours, theirs) <= 1e-12


def test_playing_against_yesterdays_discriminator_would_be_noticed(twins):
    """Negative control: generators first, on passes that their own step has made stale."""
    ours, theirs, config, batches = twins
    own, plain = ours.optimizers(config), optimizers_of(theirs, config)
    for pools, images, noise in batches:
        ours.feature_game(pools, own)
        ours.image_game(images, noise, config, own)
        plain_iteration(theirs, pools, images, noise, config, plain, is_stale=True)
    assert largest_difference(ours, theirs) > 1e-6


def test_a_pass_over_the_labeled_images_is_shorter_than_one_over_the_pool():
    data = small_data(count=320, labeled=80)
    for unit, steps in (("pool", 40), ("labeled", 10)):
        config = small_config(pretrain={"epochs": 2, "min_steps": 0, "epoch_unit": unit})
        phase = build(config).games.phase(config.pretrain, config.generation, data)
        assert (phase.steps, phase.epoch_steps) == (steps, steps // 2)


def test_a_pool_that_does_not_fit_is_streamed_to_the_same_values():
    resident, streamed = small_data(), small_data()
    streamed._fits = False
    rows = torch.tensor([5, 0, 59, 5])
    assert resident.is_resident
    assert not streamed.is_resident
    assert torch.equal(resident.images(rows), streamed.images(rows))
    assert streamed._pool is None
    assert np.array_equal(streamed.images(rows).numpy(), streamed.pixels[rows.numpy()])


def test_a_memory_mapped_pool_is_streamed_without_a_copy_of_all(tmp_path):
    data = small_data()
    np.save(tmp_path / "pool.npy", data.pixels)
    mapped = small_data()
    mapped.pixels = np.load(tmp_path / "pool.npy", mmap_mode="r")
    mapped._fits = False
    rows = torch.arange(0, 60, 7)
    assert torch.equal(mapped.images(rows), data.images(rows))


def test_the_weight_of_the_pool_game_is_felt(twins):
    """A factor on the loss would not be: Adam divides it out."""
    games, _, config, batches = twins
    pools = batches[0][0]
    start = copy.deepcopy(games.encoder.state_dict())
    moved = {}
    for weight in (0.0, 0.1, 1.0):
        games.encoder.load_state_dict(start)
        own = games.optimizers(replace(config, pool_weight=weight))
        games.feature_game(pools, own)
        now = dict(games.encoder.named_parameters())
        moved[weight] = sum(float((now[k].detach() - start[k]).abs().sum()) for k in now)
    assert moved[0.0] == 0.0
    assert moved[0.1] == pytest.approx(0.1 * moved[1.0], rel=1e-3)  # epsilon
