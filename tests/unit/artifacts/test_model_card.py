import dataclasses
import re

from formula_nets import generator_case, sampler_case

from dgaal_cli.artifacts.model_card import model_card


def test_model_card_states_the_values_of_the_manifest() -> None:
    manifest = sampler_case(
        accuracy=0.917, seed=5, parity={"7": {"score": 1.24e-6}}, round=3, labels=88
    ).spec.manifest
    card = model_card({"sampler.onnx": manifest})
    assert "# Artifacts of `dgaal`, round 3" in card
    assert "Labeled images: 88" in card
    assert "on held-out images: 91.7 %" in card
    assert "`cat`, `dog`, `owl`, `[/b]`" in card
    assert "`" + "ab" * 32 + "`" in card
    assert "| `sampler.onnx` | `score` | 7 | 1.2e-06 |" in card
    assert "(N, 8, 8, 3)" in card


def test_model_card_states_that_accuracy_was_not_measured() -> None:
    card = model_card({"generator.onnx": generator_case().spec.manifest})
    assert "not measured" in card
    assert "%" not in card


def test_model_card_describes_the_training_of_the_sampler() -> None:
    card = model_card(
        {
            "generator.onnx": generator_case(round=1).spec.manifest,
            "sampler.onnx": sampler_case(round=4).spec.manifest,
        }
    )
    assert "# Artifacts of `dgaal`, round 4" in card


def test_model_card_escapes_markdown_and_control_characters() -> None:
    hostile = ("\x1b]52;c;QQ\x07", "`<script>`", "a|b", "\u202e\n# Title")
    manifest = dataclasses.replace(
        sampler_case().spec.manifest,
        classes=hostile,
        method="``x",
        versions={"<b>": "[link](evil)\n# x"},
    )
    card = model_card({"sampler.onnx": manifest})
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", card)
    assert "`'<script>'`" in card
    assert "a\\|b" in card
    assert "\n# Title" not in card
    assert "&lt;b" in card
    assert "\\[link\\](evil)" in card
