"""Iterations of VAAL compared with plain loops in float64: fewer passes, equal results."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, mse_loss

from dgaal_cli.methods.vaal_family.game import (
    MAX_GRADIENT,
    GameRules,
    PoolBatch,
    PoolGame,
    ReleasedGame,
    balanced_kappa,
    kl_divergence,
)
from dgaal_cli.methods.vaal_family.vae import (
    PoolDiscriminator,
    SplitBatchNorm2d,
    Vae,
    stacked,
)
from dgaal_cli.training.seeding import initializing, torch_generator

HALF, LATENT = 6, 5
TOLERANCE = 1e-12


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def networks(conditions=0, decoded=None):
    with initializing(7):
        vae = Vae(
            channels=3,
            image_size=16,
            width=4,
            latent=LATENT,
            decoded=decoded,
            conditions=conditions,
        )
        discriminator = PoolDiscriminator(inputs=LATENT + conditions, hidden=8)
    return vae.double(), discriminator.double()


def batch_of(number, *, conditions=0, soft=False, classes=0):
    generator = torch_generator("batch", number)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    labeled = 0.3 * draw(HALF, 3, 16, 16) + 0.4  # pools that differ in mean and scale
    unlabeled = 0.6 * draw(HALF, 3, 16, 16) - 0.3
    target = torch.cat([torch.ones(HALF), torch.zeros(HALF)]).double()
    if soft:
        target[HALF:] = torch.rand(HALF, generator=generator, dtype=torch.float64)
    return PoolBatch(
        images=torch.cat([labeled, unlabeled]),
        is_labeled=target,
        noise=draw(2 * HALF, LATENT),
        condition=torch.sigmoid(draw(2 * HALF, conditions)) if conditions else None,
        classes=torch.randint(3, (HALF,), generator=generator) if classes else None,
    )


def adams(*modules, fused):
    names = ("autoencoder", "discriminator")
    return {
        name: torch.optim.Adam(m.parameters(), lr=5e-4, fused=fused)
        for name, m in zip(names, modules, strict=True)
    }


def max_difference(ours, theirs, *, skip=()):
    own, other = ours.state_dict(), theirs.state_dict()
    gaps = {
        key: float((own[key].double() - other[key].double()).abs().max())
        for key in own
        if not any(part in key for part in skip)
    }
    return max(gaps.values())


def plain_released(vae, discriminator, optimizers, batches):
    """The published iteration: separate pools, and the full VAE in the discriminator's step."""
    for batch in batches:
        terms = []
        for images, noise in halves(batch):
            mean, log_variance = vae.encode(images)
            reconstruction = vae.decode(mean + torch.exp(log_variance / 2) * noise)
            spread = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            predicted = torch.sigmoid(discriminator(mean))
            adversary_loss = binary_cross_entropy(predicted, torch.ones_like(predicted))
            terms += [mse_loss(reconstruction, images), spread, adversary_loss]
        loss = torch.stack(terms).sum()
        vae.zero_grad()
        discriminator.zero_grad()
        loss.backward()
        optimizers["autoencoder"].step()
    discriminator_loss = 0
    for (images, noise), truth in zip(halves(batches[-1]), (1.0, 0.0), strict=True):
        with torch.no_grad():
            mean, log_variance = vae.encode(images)
            vae.decode(mean + torch.exp(log_variance / 2) * noise)
        predicted = torch.sigmoid(discriminator(mean))
        discriminator_loss = discriminator_loss + binary_cross_entropy(
            predicted, torch.full_like(predicted, truth)
        )
    discriminator.zero_grad()
    discriminator_loss.backward()
    optimizers["discriminator"].step()
    return float(loss.detach()), float(discriminator_loss.detach())


def halves(batch):
    return [
        (batch.images[:HALF], batch.noise[:HALF]),
        (batch.images[HALF:], batch.noise[HALF:]),
    ]


def released_total(losses):
    return float((2 * losses["reconstruction"] + losses["kl"] + 2 * losses["adversary"]).detach())


def run_both(iterations=6, *, split=True, monkeypatch=None):
    vae, discriminator = networks()
    other_vae, other_discriminator = copy.deepcopy(vae), copy.deepcopy(discriminator)
    game = ReleasedGame(vae, discriminator, adams(vae, discriminator, fused=True))
    optimizers = adams(other_vae, other_discriminator, fused=False)
    max_error = 0.0
    for number in range(iterations):
        pair = [batch_of(2 * number), batch_of(2 * number + 1)]
        losses = game.step(pair)
        theirs = plain_released(other_vae, other_discriminator, optimizers, pair)
        ours = released_total(losses), float(losses["discriminator"].detach())
        max_error = max(
            max_error, *(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
        )
    return vae, discriminator, other_vae, other_discriminator, max_error


def test_released_iteration_equals_the_plain_loop():
    vae, discriminator, other_vae, other_discriminator, max_error = run_both()
    assert max_error <= TOLERANCE
    # D's step does not run the decoder, so its running statistics have fewer updates.
    assert max_difference(vae.body, other_vae.body) <= TOLERANCE
    assert max_difference(vae, other_vae, skip=("running", "num_batches")) <= TOLERANCE
    assert max_difference(discriminator, other_discriminator) <= TOLERANCE


def test_merged_batch_norm_statistics_give_different_results(monkeypatch):
    """Negative control: the published method normalizes each pool separately."""
    monkeypatch.setattr(SplitBatchNorm2d, "forward", nn.BatchNorm2d.forward)
    vae, _, other_vae, _, max_error = run_both(2)
    assert max_error > 1e-3
    assert max_difference(vae.body, other_vae.body, skip=("num_batches",)) > 1e-3


def test_split_statistics_are_bit_equal_to_separate_calls():
    norm = SplitBatchNorm2d(3).double()
    other = copy.deepcopy(norm)
    x = batch_of(0).images
    with stacked(norm, 2):
        together = norm(x)
    apart = torch.cat([other(x[:HALF]), other(x[HALF:])])
    assert torch.equal(together, apart)
    assert torch.equal(norm.running_mean, other.running_mean)
    assert torch.equal(norm.running_var, other.running_var)
    assert int(norm.num_batches_tracked) == 2
    assert norm.groups == 1
    plain = copy.deepcopy(other)(x)
    assert (plain - apart).abs().max() > 0.1


def test_stacking_has_no_effect_in_eval_mode():
    vae, _ = networks()
    vae.eval()
    x = batch_of(0).images
    with stacked(vae, 2):
        together = vae(x)
    assert torch.equal(together, vae(x))


def test_calling_the_vae_returns_the_means_of_encode():
    vae, _ = networks()
    other = copy.deepcopy(vae)
    x = batch_of(0).images
    assert torch.equal(vae(x), other.encode(x)[0])
    assert max_difference(vae.body, other.body) == 0


def plain_game(vae, discriminator, rules, optimizers, batches, head=None):
    """Two encoder passes per iteration: one for the discriminator and one for the autoencoder."""
    for number, batch in enumerate(batches):
        ones = torch.ones_like(batch.is_labeled)

        def predict(mean, batch=batch):
            inputs = mean if batch.condition is None else torch.cat([mean, batch.condition], 1)
            return torch.sigmoid(discriminator(inputs))

        if number < rules.discriminator_steps:
            statistics = copy.deepcopy(vae.state_dict())
            with torch.no_grad():
                mean, _ = vae.encode(batch.images)
            if number < rules.vae_steps:  # our single pass updates the statistics once
                vae.load_state_dict(statistics)
            discriminator.zero_grad()
            binary_cross_entropy(predict(mean), batch.is_labeled).backward()
            optimizers["discriminator"].step()
        if number >= rules.vae_steps:
            continue
        mean, log_variance = vae.encode(batch.images)
        reconstruction = vae.decode(
            mean + torch.exp(log_variance / 2) * batch.noise, batch.condition
        )
        total = torch.zeros((), dtype=torch.float64)
        for half in (slice(HALF), slice(HALF, None)):
            kl = kl_divergence(mean[half], log_variance[half]).mean()
            error = mse_loss(reconstruction[half], batch.images[half])
            total = total + rules.reconstruction_weight * (error + rules.kappa * kl)
            adversary_loss = binary_cross_entropy(predict(mean)[half], ones[half])
            total = total + rules.adversary_weight * adversary_loss
        if head is not None:
            own = mean[:HALF, vae.decoded :]
            total = total + rules.class_weight * cross_entropy(head(own), batch.classes)
        optimizers["autoencoder"].zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), MAX_GRADIENT)
        optimizers["autoencoder"].step()


@pytest.mark.parametrize(
    ("vae_steps", "discriminator_steps", "kind"),
    [(1, 1, "vaal"), (2, 1, "vaal"), (1, 3, "vaal"), (1, 1, "ta-vaal"), (2, 1, "sraal")],
)
def test_one_pass_for_both_players_equals_two_passes(vae_steps, discriminator_steps, kind):
    conditions = 1 if kind == "ta-vaal" else 0
    decoded = 3 if kind == "sraal" else None
    vae, discriminator = networks(conditions, decoded)
    head = nn.Linear(2, 3).double() if kind == "sraal" else None
    rules = GameRules(
        kappa=0.01,
        adversary_weight=0.3,
        vae_steps=vae_steps,
        discriminator_steps=discriminator_steps,
        reconstruction_weight=5.0 if kind == "sraal" else 1.0,
        class_weight=5.0 if kind == "sraal" else 0.0,
    )
    copies = [copy.deepcopy(m) for m in (vae, discriminator)]
    optimizers = adams(vae, discriminator, fused=True)
    game = PoolGame(vae, discriminator, rules, optimizers, classifier=head)
    plain_optimizers = adams(*copies, fused=False)
    for number in range(5):
        batches = [
            batch_of(
                10 * number + k,
                conditions=conditions,
                soft=kind == "sraal",
                classes=3 if kind == "sraal" else 0,
            )
            for k in range(rules.batches)
        ]
        game.step(batches)
        plain_game(*copies, rules, plain_optimizers, batches, head)
    assert max_difference(vae, copies[0]) <= TOLERANCE
    assert max_difference(discriminator, copies[1]) <= TOLERANCE


def test_discriminator_is_unchanged_without_an_adversary():
    vae, discriminator = networks()
    before, weights = copy.deepcopy(discriminator), copy.deepcopy(vae)
    rules = GameRules(kappa=0.01, adversary_weight=0.0, discriminator_steps=0)
    game = PoolGame(vae, discriminator, rules, adams(vae, discriminator, fused=True))
    losses = game.step([batch_of(0)])
    assert set(losses) == {"reconstruction", "kl"}
    assert max_difference(discriminator, before) == 0
    assert max_difference(vae, weights, skip=("running",)) > 0


def test_discriminator_output_is_higher_for_labeled_images():
    vae, discriminator = networks()
    rules = GameRules(kappa=0.001, adversary_weight=0.0)
    game = PoolGame(vae, discriminator, rules, adams(vae, discriminator, fused=True))
    for number in range(120):
        game.step([batch_of(number)])
    with torch.no_grad():
        logits = discriminator(vae(batch_of(999).images))
    assert logits[:HALF].min() > logits[HALF:].max()


def test_balanced_kappa_makes_the_loss_an_elbo():
    """Mean squared error + kappa KL is the negative ELBO times 2 sigma2 / P, up to constants."""
    values, variance = 48, 0.5
    mean, log_variance = torch.tensor([[0.7, -1.2]]), torch.tensor([[0.1, -0.4]])
    error = torch.linspace(-1, 1, values)
    elbo = (error**2).sum() / (2 * variance) + kl_divergence(mean, log_variance)[0]
    kappa = balanced_kappa(decoder_variance=variance, beta=1.0, values=values)
    ours = (error**2).mean() + kappa * kl_divergence(mean, log_variance)[0]
    assert float(ours) == pytest.approx(float(elbo) * 2 * variance / values)
    assert balanced_kappa(decoder_variance=0.5, beta=1.0, values=3072) == 1 / 3072


def test_kl_divergence_equals_that_of_gaussians():
    mean, log_variance = torch.tensor([[0.5, 2.0]]), torch.tensor([[-1.0, 0.7]])
    normal = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    standard = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(normal, standard).sum(1)
    assert kl_divergence(mean, log_variance).tolist() == pytest.approx(expected.tolist())


def test_published_networks_have_their_published_sizes():
    with torch.device("meta"):
        vae = Vae(channels=3, image_size=32, width=128, latent=32)
        shallow = PoolDiscriminator(inputs=32, hidden=512)
        deep = PoolDiscriminator(inputs=32, hidden=512, layers=4)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (vae, shallow, deep)]
    assert sizes == [22_835_139, 280_065, 805_377]


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_decoder_output_has_the_image_size(size):
    vae = Vae(channels=1, image_size=size, width=2, latent=3)
    images = torch.zeros(2, 1, size, size)
    assert vae.decode(vae(images)).shape == images.shape
