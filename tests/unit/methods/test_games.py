"""DGAAL's games with half the forward passes, compared with a plain loop of the pseudo-code."""

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
    """Return unfused Adam optimizers for the plain loop."""
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
    """Return two copies of the games in float64, their configuration, and batches of four steps."""
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


def test_only_our_networks_are_channels_last(twins):
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


def max_difference(ours, theirs):
    ours, theirs = weights_of(ours), weights_of(theirs)
    assert ours.keys() == theirs.keys()
    return max(
        float((ours[key] - theirs[key]).abs().max() / theirs[key].abs().max()) for key in ours
    )


def test_one_forward_pass_for_both_players_equals_two(twins):
    ours, theirs, config, batches = twins
    optimizers, plain_optimizers = ours.optimizers(config), optimizers_of(theirs, config)
    for pools, images, noise in batches:
        losses = ours.feature_game(pools, optimizers)
        losses |= ours.image_game(images, noise, config, optimizers)
        expected = plain_iteration(theirs, pools, images, noise, config, plain_optimizers)
        for name, value in expected.items():
            assert losses[name].item() == pytest.approx(value.item(), rel=1e-12, abs=1e-12)
    assert max_difference(ours, theirs) <= 1e-12


def test_stale_discriminator_outputs_give_different_weights(twins):
    """Negative control: the generators are updated first, which makes the shared passes stale."""
    ours, theirs, config, batches = twins
    optimizers, plain_optimizers = ours.optimizers(config), optimizers_of(theirs, config)
    for pools, images, noise in batches:
        ours.feature_game(pools, optimizers)
        ours.image_game(images, noise, config, optimizers)
        plain_iteration(theirs, pools, images, noise, config, plain_optimizers, is_stale=True)
    assert max_difference(ours, theirs) > 1e-6


def test_epoch_of_labeled_images_has_fewer_steps_than_one_of_the_pool():
    data = small_data(count=320, labeled=80)
    for unit, steps in (("pool", 40), ("labeled", 10)):
        config = small_config(pretrain={"epochs": 2, "min_steps": 0, "epoch_unit": unit})
        phase = build(config).games.phase(config.pretrain, config.generation, data)
        assert (phase.steps, phase.epoch_steps) == (steps, steps // 2)


def test_streamed_pool_returns_the_same_images():
    resident, streamed = small_data(), small_data()
    streamed._fits = False
    rows = torch.tensor([5, 0, 59, 5])
    assert resident.is_resident
    assert not streamed.is_resident
    assert torch.equal(resident.images(rows), streamed.images(rows))
    assert streamed._pool is None
    assert np.array_equal(streamed.images(rows).numpy(), streamed.pixels[rows.numpy()])


def test_memory_mapped_pool_returns_the_same_images(tmp_path):
    data = small_data()
    np.save(tmp_path / "pool.npy", data.pixels)
    mapped = small_data()
    mapped.pixels = np.load(tmp_path / "pool.npy", mmap_mode="r")
    mapped._fits = False
    rows = torch.arange(0, 60, 7)
    assert torch.equal(mapped.images(rows), data.images(rows))


def test_pool_weight_scales_the_weight_update(twins):
    """A factor on the loss would have no effect, because Adam divides by the gradient's scale."""
    games, _, config, batches = twins
    pools = batches[0][0]
    start = copy.deepcopy(games.encoder.state_dict())
    moved = {}
    for weight in (0.0, 0.1, 1.0):
        games.encoder.load_state_dict(start)
        optimizers = games.optimizers(replace(config, pool_weight=weight))
        games.feature_game(pools, optimizers)
        after = dict(games.encoder.named_parameters())
        moved[weight] = sum(float((after[k].detach() - start[k]).abs().sum()) for k in after)
    assert moved[0.0] == 0.0
    assert moved[0.1] == pytest.approx(0.1 * moved[1.0], rel=1e-3)  # epsilon
