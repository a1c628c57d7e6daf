"""Lost games are told once, in words, and healthy ones never."""

from dgaal_cli.training.watch import GameWatch


def told(losses_by_step):
    watch = GameWatch()
    return [
        message
        for step, losses in enumerate(losses_by_step, 1)
        for message in watch.look("pretrain", step, losses)
    ]


def game(discriminator, critic=0.1):
    return {"latent_discriminator": discriminator, "encoder_game": 1.0, "critic": critic}


def test_a_discriminator_without_any_doubt_is_told_once():
    (message,) = told([game(0.6), *[game(0.001)] * 20])
    assert "has won its game" in message
    assert "latent_hidden" in message


def test_a_passing_certainty_is_nothing_to_tell():
    assert told([game(0.001), game(0.001), game(0.4)] * 6) == []


def test_outside_of_a_game_a_discriminator_may_be_certain():
    assert told([{"latent_discriminator": 0.0001}] * 20) == []


def test_a_critic_that_runs_away_is_told():
    (message,) = told([game(0.6, critic) for critic in (-0.2, 3.0, -450.0, -9000.0)])
    assert "diverges" in message
    assert "-450" in message
    assert "pretrain.lr_image" in message


def test_a_critic_that_begins_far_out_may_stay_there():
    assert told([game(0.6, critic) for critic in (150.0, 300.0, -700.0)]) == []
