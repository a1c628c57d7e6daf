"""One iteration of DGAAL's two games, with separate forward passes for each player.

The alternation of Guo et al. 2021, Alg. 1, starting with the discriminators: D1, G1, D2, G. Every
player computes its inputs again, as in a loop written from the paper.
"""

import torch
from torch.nn import functional


def plain_iteration(games, pools, images, noise, config, optimizers, *, is_stale=False):
    """Step all four players.

    Args:
        games: Networks.
        pools: ``(2B, C, H, W)``, labeled images first.
        images: ``(R, C, H, W)`` of the image game.
        noise: ``(R, M)``.
        config: Weights.
        optimizers: By name, as ``Games.optimizers`` has them.
        is_stale: Discriminators use forward passes from before their opponent's step.
    """
    half = len(pools) // 2
    discriminator, critic = games.latent_discriminator, games.image_discriminator

    def label_loss(z_l, z_u, target_u):
        logits_l, logits_u = discriminator(z_l), discriminator(z_u)
        return 0.5 * (
            functional.binary_cross_entropy_with_logits(logits_l, torch.ones_like(logits_l))
            + functional.binary_cross_entropy_with_logits(
                logits_u, torch.full_like(logits_u, target_u)
            )
        )

    def step(name, loss):
        optimizers[name].zero_grad()
        loss.backward()
        optimizers[name].step()

    losses = {}
    stale_z = games.encoder(pools)[1].detach() if is_stale else None

    def feature_discriminator():
        z = games.encoder(pools)[1].detach() if stale_z is None else stale_z
        losses["latent_discriminator"] = label_loss(z[:half], z[half:], 0.0)
        step("latent_discriminator", losses["latent_discriminator"])

    def feature_encoder():
        z = games.encoder(pools)[1]
        losses["encoder_game"] = label_loss(z[:half], z[half:], 1.0)
        step("latent_encoder", losses["encoder_game"])

    for player in (
        (feature_encoder, feature_discriminator)
        if is_stale
        else (feature_discriminator, feature_encoder)
    ):
        player()

    copies = games.decoder(games.encoder(images)[0], noise).detach()
    losses["critic"] = -critic(images).mean() + critic(copies).mean()
    step("image_discriminator", losses["critic"])

    copies = games.decoder(games.encoder(images)[0], noise)
    losses["reconstruction"] = functional.mse_loss(copies, images)
    loss = losses["reconstruction"] - config.adversarial_weight * critic(copies).mean()
    step("generator", loss)
    return losses
