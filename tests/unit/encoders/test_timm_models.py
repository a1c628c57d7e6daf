"""Encoders of timm: weights from a file or a local cache, never from the network."""

import importlib.util
import socket
import time

import numpy as np
import pytest
import torch

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.registry import download_weights, load_encoder
from dgaal_cli.errors import ConfigError, InputDataError, MissingExtraError, UsageError

HAS_TIMM = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not HAS_TIMM, reason="timm is not installed")
pytestmark = pytest.mark.slow  # the import of timm alone takes seconds


@pytest.fixture(autouse=True)
def _no_network_and_own_caches(monkeypatch, tmp_path):
    def refuse(*_args, **_options):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def saved(tmp_path, name):
    """Save random weights of a model, with its classifier, and return model and file."""
    import timm
    from safetensors.torch import save_file

    model = timm.create_model(name, pretrained=False).eval()
    for number, value in enumerate(model.state_dict().values()):
        if value.is_floating_point():
            value.copy_(torch.cos(torch.arange(value.numel()) * 0.7 + number).view_as(value) / 9)
    for module in model.modules():
        if hasattr(module, "running_var"):
            module.running_var.fill_(1.0)
    path = tmp_path / f"{name}.safetensors"
    save_file(model.state_dict(), path)
    return model, path


def load(source, **settings):
    return load_encoder(EncoderConfig(source=source, **settings), image_size=32, channels=3)


@needs_timm
@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_features_are_those_of_timm_without_the_classifier(name, tmp_path):
    model, path = saved(tmp_path, name)
    encoder = load(f"timm:{name}@{path}")
    assert (encoder.input_size, encoder.framing.share) == (160, 0.95)
    assert encoder.framing.interpolation == "bicubic"
    assert encoder.licence == "apache-2.0"
    images = np.random.default_rng(0).integers(256, size=(3, 160, 160, 3)).astype(np.uint8)
    mean, deviation = (np.array(model.pretrained_cfg[key], np.float32) for key in ("mean", "std"))
    values = torch.from_numpy((images.astype(np.float32) / 255 - mean) / deviation)
    with torch.inference_mode():
        x = model.forward_features(values.permute(0, 3, 1, 2))
        want = model.forward_head(x, pre_logits=True)
    assert encoder.dimension == want.shape[1] == model.head_hidden_size
    scale = float(want.abs().max())
    np.testing.assert_allclose(encoder.encode(images) / scale, want / scale, atol=1e-4)


@needs_timm
def test_digest_depends_on_the_weights_and_the_size(tmp_path, monkeypatch):
    from dgaal_cli.encoders import timm_models

    _, path = saved(tmp_path, "test_vit")
    first = timm_models.recipe_of(EncoderConfig(source=f"timm:test_vit@{path}"))
    larger = timm_models.recipe_of(EncoderConfig(source=f"timm:test_vit@{path}", input_size=192))
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(path.read_bytes())
    same = timm_models.recipe_of(EncoderConfig(source=f"timm:test_vit@{copy}"))
    copy.write_bytes(path.read_bytes()[:-1] + b"x")
    other = timm_models.recipe_of(EncoderConfig(source=f"timm:test_vit@{copy}"))
    assert first.digest == same.digest
    assert len({first.digest, larger.digest, other.digest}) == 3


@needs_timm
def test_weights_that_are_not_in_a_cache_are_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts to download
    with pytest.raises(UsageError, match="not in a local cache; add --download") as found:
        load("timm:test_vit")
    assert found.value.exit_code == 2
    with pytest.raises(UsageError, match="cannot download the weights of timm's model 'test_vit'"):
        download_weights(EncoderConfig(source="timm:test_vit"))


@needs_timm
def test_cached_weights_are_found(tmp_path, monkeypatch):
    from dgaal_cli.encoders import timm_models

    _, path = saved(tmp_path, "test_vit")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, file: str(path))
    given = timm_models.recipe_of(EncoderConfig(source=f"timm:test_vit@{path}"))
    assert timm_models.recipe_of(EncoderConfig(source="timm:test_vit")).digest == given.digest
    download_weights(EncoderConfig(source="timm:test_vit"))  # nothing to do


@needs_timm
def test_unknown_model_and_unfit_weights_are_refused(tmp_path):
    _, path = saved(tmp_path, "test_vit")
    with pytest.raises(ConfigError, match=r"timm has no model 'test_vi'; similar: test_vit"):
        load(f"timm:test_vi@{path}")
    with pytest.raises(InputDataError, match="timm cannot build encoder 'timm:test_convnext@"):
        load(f"timm:test_convnext@{path}")
    with pytest.raises(UsageError, match="cannot read the weights"):
        load(f"timm:test_vit@{tmp_path / 'absent.safetensors'}")
    with pytest.raises(InputDataError, match="for images of 7 x 7 pixels"):
        load(f"timm:test_vit@{path}", input_size=7)


def test_missing_timm_is_named_with_its_install_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"python -m pip install 'dgaal\[timm\]'"):
        load("timm:test_vit")
