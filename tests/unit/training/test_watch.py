"""Warnings about lost adversarial games: once per game, and none for healthy games."""

from dgaal_cli.training.watch import GameWatch


def warning_messages(losses_by_step):
    watch = GameWatch()
    return [
        message
        for step, losses in enumerate(losses_by_step, 1)
        for message in watch.look("pretrain", step, losses)
    ]


def game(discriminator, critic=0.1):
    return {"latent_discriminator": discriminator, "encoder_game": 1.0, "critic": critic}


def test_certain_discriminator_is_reported_once():
    (message,) = warning_messages([game(0.6), *[game(0.001)] * 20])
    assert "has won its game" in message
    assert "latent_hidden" in message


def test_temporary_certainty_is_not_reported():
    assert warning_messages([game(0.001), game(0.001), game(0.4)] * 6) == []


def test_certainty_outside_a_game_is_not_reported():
    assert warning_messages([{"latent_discriminator": 0.0001}] * 20) == []


def test_diverging_critic_is_reported():
    (message,) = warning_messages([game(0.6, critic) for critic in (-0.2, 3.0, -450.0, -9000.0)])
    assert "diverges" in message
    assert "-450" in message
    assert "pretrain.lr_image" in message


def test_critic_that_starts_at_large_values_is_not_reported():
    assert warning_messages([game(0.6, critic) for critic in (150.0, 300.0, -700.0)]) == []
