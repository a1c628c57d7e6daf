"""Filling the cache: only new images are encoded, a bad one affects no other."""

import signal
from hashlib import sha256

import numpy as np
import pytest
from mean_encoder import MeanEncoder
from sample_images import encoded, pixels, png

from dgaal_cli import interruption
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.data.images import frame, tile
from dgaal_cli.data.sources.base import Entry, held
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import ConfigError, InterruptedRunError
from dgaal_cli.events import FeatureProgress, ignore
from dgaal_cli.features.cache import CachedRows, FeatureCache
from dgaal_cli.features.fill import fill
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter


def space_of(encoder, crop="squash", dtype="float32"):
    return FeatureSpace(encoder=encoder.digest, crop=crop, dtype=dtype, dimension=encoder.dimension)


def entries_of(images):
    return [Entry(id=f"{n:03d}", read=held(data)) for n, data in enumerate(images)]


def fill_cache(folder, images, encoder, *, space=None, emit=ignore, entries=None):
    space = space or space_of(encoder)
    entries = entries_of(images) if entries is None else entries
    with CacheWriter(folder, space) as writer:
        return fill(entries, encoder, space, writer, total=len(images), workers=1, emit=emit)


def rows_of(folder, images, space):
    return CachedRows(folder, space, [sha256(data).digest() for data in images])[:]


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        ("squash", lambda image: [frame(image, Framing(8))]),
        ("center", lambda image: [frame(image, Framing(8, share=0.75))]),
        ("tiles", lambda image: tile(image, Framing(8)).reshape(5, 8, 8, 3)),
    ],
)
def test_rows_are_the_encoders_answers_for_the_cropped_image(tmp_path, crop, expected):
    encoder = MeanEncoder(share=0.75)
    pictures = [pixels(n, height=20 + n, width=30) for n in range(5)]
    images = [encoded(picture) for picture in pictures]
    space = space_of(encoder, crop)
    result = fill_cache(tmp_path, images, encoder, space=space)
    assert (result.encoded, result.known, result.unreadable) == (5, 0, 0)
    answers = [encoder.encode(np.stack(expected(picture))).mean(axis=0) for picture in pictures]
    np.testing.assert_allclose(rows_of(tmp_path, images, space), answers, rtol=1e-6)


def test_float16_rows_are_the_rounded_answers(tmp_path):
    encoder = MeanEncoder()
    images = [png(n) for n in range(3)]
    spaces = [space_of(encoder, dtype=dtype) for dtype in ("float16", "float32")]
    for space in spaces:
        fill_cache(tmp_path, images, encoder, space=space)
    half, single = (rows_of(tmp_path, images, space) for space in spaces)
    np.testing.assert_array_equal(half, single.astype(np.float16))


def test_only_new_images_are_encoded(tmp_path):
    fill_cache(tmp_path, [png(n) for n in range(70)], MeanEncoder())
    encoder = MeanEncoder()
    result = fill_cache(tmp_path, [png(n) for n in range(72)], encoder)
    assert (result.encoded, result.known) == (2, 70)
    assert encoder.calls == [8]


def test_images_with_the_same_bytes_are_encoded_once(tmp_path):
    encoder = MeanEncoder()
    result = fill_cache(tmp_path, [png(1)] * 100 + [png(2)], encoder)
    assert (result.encoded, result.known) == (2, 99)
    assert encoder.calls == [8]


def test_encoder_gets_multiples_of_eight_images(tmp_path):
    encoder = MeanEncoder()
    fill_cache(tmp_path, [png(n) for n in range(131)], encoder)
    assert encoder.calls == [64, 64, 8]


def test_bad_images_are_listed_and_others_are_encoded(tmp_path):
    def missing():
        raise UnreadableImageError("no such file")

    images = [png(1), b"no image", png(3)]
    entries = [*entries_of(images), Entry(id="gone", read=missing)]
    result = fill_cache(tmp_path, images, MeanEncoder(), entries=entries)
    assert (result.encoded, result.unreadable) == (2, 2)
    assert [name for name, _ in result.unreadable_first] == ["001", "gone"]
    assert result.unreadable_first[1][1] == "no such file"
    rows_of(tmp_path, [png(1), png(3)], space_of(MeanEncoder()))


def test_pool_of_bad_images_encodes_nothing(tmp_path):
    encoder = MeanEncoder()
    result = fill_cache(tmp_path, [b"bad", b"worse"], encoder)
    assert (result.encoded, result.unreadable, encoder.calls) == (0, 2, [])


def test_image_without_finite_features_is_listed(tmp_path):
    class Failing(MeanEncoder):
        def encode(self, images):
            rows = super().encode(images)
            rows[1] = np.nan
            return rows

    images = [png(n) for n in range(3)]
    result = fill_cache(tmp_path, images, Failing())
    assert result.unreadable_first == (("001", "the encoder returns no finite numbers for it"),)
    np.testing.assert_array_equal(
        rows_of(tmp_path, [images[0], images[2]], space_of(Failing())),
        MeanEncoder().encode(np.stack([pixels(0), pixels(2)])),
    )


def test_features_too_large_for_float16_are_refused(tmp_path):
    encoder = MeanEncoder(gain=1000.0)
    space = space_of(encoder, dtype="float16")
    with pytest.raises(ConfigError, match=r"float16 stores at most 65504; set features.dtype"):
        fill_cache(tmp_path, [png(1)], encoder, space=space)
    assert len(FeatureCache(tmp_path, space)) == 0
    fill_cache(tmp_path, [png(1)], encoder)


def test_stopped_run_keeps_what_it_encoded(tmp_path):
    images = [png(n) for n in range(200)]

    class Stopping(MeanEncoder):
        def encode(self, images):
            if len(self.calls) == 1:
                signal.raise_signal(signal.SIGINT)
            return super().encode(images)

    with (
        interruption.listening(),
        pytest.raises(InterruptedRunError, match=r"stopped after 128 images.*continues"),
    ):
        fill_cache(tmp_path, images, Stopping())
    result = fill_cache(tmp_path, images, MeanEncoder())
    assert (result.encoded, result.known) == (72, 128)


def test_progress_ends_with_all_images(tmp_path):
    events = []
    images = [*[png(n) for n in range(3)], b"bad"]
    fill_cache(tmp_path, images, MeanEncoder(), emit=events.append)
    assert isinstance(events[-1], FeatureProgress)
    assert (events[-1].done, events[-1].total, events[-1].unreadable) == (4, 4, 1)


def test_memory_of_a_batch_is_bounded(tmp_path):
    encoder = MeanEncoder(side=300)
    fill_cache(tmp_path, [png(n) for n in range(40)], encoder)
    assert encoder.calls == [24, 16]
    assert 24 * 300**2 * 3 <= 8 * 2**20
