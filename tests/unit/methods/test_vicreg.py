"""VICReg in addition to the games: its loss, its switch, and exact resuming."""

import signal

import numpy as np
import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli import interruption
from dgaal_cli.config.load import build_config
from dgaal_cli.errors import ConfigError, InterruptedRunError
from dgaal_cli.events import StepDone
from dgaal_cli.methods.adversarial_encoder.vicreg import vicreg_loss
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.seeding import torch_generator


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plain_loss(a, b):
    """Return the sum of the paper's terms, computed one by one."""
    n, d = a.shape
    total = 25 * ((a - b) ** 2).sum() / (n * d)
    for z in (a, b):
        total += 25 * np.mean([max(0.0, 1 - np.sqrt(z[:, j].var(ddof=1) + 1e-4)) for j in range(d)])
        c = np.cov(z.T)
        total += sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return total / 25


def test_vicreg_loss_equals_the_papers_formula():
    rng = np.random.default_rng(0)
    a = rng.normal(0, [0.3, 1.5, 0.8], (20, 3))
    b = a + rng.normal(0, 0.2, (20, 3))
    found = vicreg_loss(torch.from_numpy(a), torch.from_numpy(b))
    assert float(found) == pytest.approx(plain_loss(a, b), rel=1e-9)


def test_collapsed_encoder_has_the_full_variance_term():
    point = torch.full((8, 4), 3.0)
    assert float(vicreg_loss(point, point)) == pytest.approx(2 * (1 - 0.01), rel=1e-6)
    spread = torch.tensor([[2.0], [-2.0], [2.0], [-2.0]])
    assert float(vicreg_loss(spread, spread)) == pytest.approx(0.0, abs=1e-6)


def test_expander_exists_only_with_vicreg():
    data = small_data()
    for plain in (build(small_config()), build(small_config("dgaal-paper"))):
        assert "expander" not in plain.modules
        assert "vicreg" not in plain.learn(data)[0].step(0, torch_generator(0))
    method = build(small_config(pretrain={"representation": "vicreg"}))
    assert "expander" in method.modules
    assert "expander" in method.carried
    before = {key: value.clone() for key, value in module_tensors(method.modules).items()}
    losses = method.learn(data)[0].step(0, torch_generator(0))
    assert float(losses["vicreg"].detach()) > 0
    after = module_tensors(method.modules)
    for name in ("encoder", "expander"):
        assert any(not torch.equal(before[k], after[k]) for k in after if f".{name}." in k)


def test_resumed_training_is_bit_identical(tmp_path):
    config = small_config(pretrain={"representation": "vicreg"})
    data = small_data()
    uninterrupted = build(config)
    phases = uninterrupted.learn(data)[:1]
    runner(uninterrupted, phases, tmp_path / "whole").run(phases)

    def stop(event):
        if isinstance(event, StepDone) and event.step == 3:
            signal.raise_signal(signal.SIGINT)

    first = build(config)
    phases = first.learn(data)[:1]
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path / "cut", emit=stop).run(phases)
    second = build(config, number=1)
    phases = second.learn(data)[:1]
    resumed = runner(second, phases, tmp_path / "cut")
    assert resumed.resume() == "step 3 of pretrain"
    resumed.run(phases)
    names = ("encoder", "expander", "decoder", "latent_discriminator", "image_discriminator")
    ours, theirs = (
        module_tensors({n: m.modules[n] for n in names}) for m in (uninterrupted, second)
    )
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


def test_unknown_representation_is_refused():
    with pytest.raises(ConfigError, match="representation"):
        build_config({"pool": {"source": "x"}, "pretrain": {"representation": "simclr"}})
