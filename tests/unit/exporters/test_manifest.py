import dataclasses
import json

import pytest
from formula_nets import sampler_case

from exporters.manifest import SCHEMA, Manifest, ManifestError, parse

QUANTILES = tuple(position / 10 for position in range(101))


def full_manifest() -> Manifest:
    return sampler_case(
        score_quantiles=QUANTILES,
        accuracy=0.91,
        parity={"1": {"score": 1e-6}, "7": {"score": 2e-6}},
        agreement={"spearman": 0.999},
        seed=3,
    ).spec.manifest


def test_manifest_equals_its_json_round_trip() -> None:
    assert parse(full_manifest().to_json()) == full_manifest()
    assert parse(full_manifest().to_json(indent=2).encode()) == full_manifest()


def test_equal_manifests_have_equal_json() -> None:
    assert full_manifest().to_json() == full_manifest().to_json()
    document = json.loads(full_manifest().to_json())
    assert document["schema"] == 1
    assert document["layout"] == "NHWC"
    assert document["value_range"] == [0, 255]
    assert document["score_direction"] == "higher = ask first"
    assert document["inputs"][0]["shape"] == ["N", 8, 8, 3]


def test_json_escapes_control_characters_in_class_names() -> None:
    hostile = ("\x1b]52;c;AAAA\x07", "[/x]", "naïve \u202e", "\udcff")
    changed = dataclasses.replace(full_manifest(), classes=hostile)
    text = changed.to_json()
    assert "\x1b" not in text
    text.encode("ascii")
    assert parse(text).classes == hostile


def test_range_of_samples_needs_schema_2_which_earlier_versions_refuse() -> None:
    with_range = dataclasses.replace(full_manifest(), sample_range=(-5.5, 4095.0), schema=2)
    assert parse(with_range.to_json()) == with_range
    assert "sample_range" not in json.loads(full_manifest().to_json())
    with pytest.raises(ManifestError, match="range of samples"):
        dataclasses.replace(with_range, schema=1)
    document = json.loads(with_range.to_json())
    for wrong in ([], [0], [0, 0], [4095, 0], [0, "x"], None, 7):
        with pytest.raises(ManifestError):
            parse(json.dumps(document | {"sample_range": wrong}))
    del document["sample_range"]
    with pytest.raises(ManifestError, match="lacks 'sample_range'"):
        parse(json.dumps(document))


def test_future_schema_is_refused() -> None:
    document = json.loads(full_manifest().to_json()) | {"schema": 3, "novelty": 1}
    assert SCHEMA == 2
    with pytest.raises(ManifestError, match="schema 3, this version reads up to 2; update"):
        parse(json.dumps(document))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 0),
        ("schema", True),
        ("schema", "1"),
        ("role", "oracle"),
        ("role", None),
        ("input_size", 0),
        ("input_size", 8.0),
        ("input_size", 10**30),
        ("channels", 2),
        ("layout", "NCHW"),
        ("dtype", "float32"),
        ("value_range", [0, 1]),
        ("value_range", [0, 255, 7]),
        ("resize_rule", "crop"),
        ("score_direction", "lower = ask first"),
        ("precision", "int4"),
        ("classes", ["cat"]),
        ("classes", "cats"),
        ("classes", [1, 2, 3, 4]),
        ("class_uids", ["a", "a", "b", "c"]),
        ("score_quantiles", [0.0]),
        ("score_quantiles", [1.0, 0.0] * 50 + [1.0]),
        ("inputs", []),
        ("outputs", [{"name": "score", "shape": ["N"], "dtype": "float64", "meaning": ""}]),
        ("outputs", [{"name": "score", "shape": [4], "dtype": "float32", "meaning": ""}]),
        ("outputs", [{"name": "score", "shape": ["N", -1], "dtype": "float32", "meaning": ""}]),
        ("outputs", [{"name": "", "shape": ["N"], "dtype": "float32", "meaning": ""}]),
        ("outputs", [{"name": "s", "shape": ["N"], "dtype": "float32", "meaning": ""}] * 2),
        ("outputs", [{"name": "a`b", "shape": ["N"], "dtype": "float32", "meaning": ""}]),
        ("accuracy", 1.5),
        ("accuracy", "high"),
        ("parity", {"1": {"score": "small"}}),
        ("parity", []),
        ("parity", {"1": {"score": 10**400}}),
        ("versions", {"torch": 2}),
        ("created", 5),
    ],
)
def test_inconsistent_document_is_refused(key: str, value: object) -> None:
    document = json.loads(full_manifest().to_json()) | {key: value}
    with pytest.raises(ManifestError):
        parse(json.dumps(document))


@pytest.mark.parametrize("key", json.loads(full_manifest().to_json()))
def test_document_without_a_key_is_refused(key: str) -> None:
    document = json.loads(full_manifest().to_json())
    del document[key]
    with pytest.raises(ManifestError, match=key):
        parse(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        full_manifest().to_json().replace("0.91", "NaN").encode(),
        full_manifest().to_json().replace("0.91", "1e999").encode(),
        b" " * (9 * 1024 * 1024),
    ],
    ids=["empty", "cut", "list", "null", "no-utf8", "nested", "nan", "infinite", "huge"],
)
def test_text_that_is_not_a_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(text)


def test_invalid_manifest_cannot_be_constructed() -> None:
    with pytest.raises(ManifestError, match="names a class twice"):
        dataclasses.replace(full_manifest(), class_uids=("a", "b", "c", "a"))
