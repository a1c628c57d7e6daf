"""What ``dgaal simulate`` and ``dgaal report`` promise to users and scripts."""

import json
import sys

import pytest
from small_simulations import CONFIG, write_pool

from dgaal_cli import cli

SETTINGS = [
    f"--set={section}.{key}={value}"
    for section, values in CONFIG.items()
    if isinstance(values, dict)
    for key, value in values.items()
]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["dgaal", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


def small(*arguments):
    sizes = ["--seeds", "2", "--rounds", "1", "--initial", "9", "--query-size", "6"]
    return [
        "simulate",
        "p.npz#train",
        "--test",
        "p.npz#test",
        "-o",
        "out",
        *sizes,
        *SETTINGS,
        *arguments,
    ]


def test_json_is_one_document_with_the_promised_shape(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    absent = ["--absent-classes", "2", "--json"]
    code, out, _ = run(*small("--methods", "random,margin", *absent))
    assert code == 0
    found = json.loads(out)
    random, margin = found["methods"]
    for method in (random, margin):
        assert {
            "method",
            "aubc",
            "aubc_ci",
            "vs_random",
            "vs_random_ci",
            "labels_saved",
            "missing_class_enrichment",
            "sampling_s",
            "curve",
        } <= method.keys()
        assert method["missing_class_enrichment"] >= 0
        assert [point["annotations"] for point in method["curve"]] == [9, 15]
    assert random["vs_random"] is None
    low, high = margin["vs_random_ci"]
    assert low <= margin["vs_random"] <= high
    assert found["seeds"] == [0, 1]


def test_the_table_says_in_words_whether_random_was_beaten(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    code, out, err = run(*small("--methods", "margin"))
    assert code == 0
    assert "margin does not beat random" in out or "margin beats" in out or "margin is worse" in out
    assert "random" in out.splitlines()[2]  # it takes part though nobody named it
    assert "dgaal report out" in err
    code, out, _ = run("report", "out", "--json")
    assert code == 0
    page = json.loads(out)["page"]
    assert page.endswith("out/report/index.html")


def test_without_first_labels_the_cold_start_rule_is_named(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    code, _, err = run(*small("--methods", "random", "--initial", "0"))
    assert code == 0
    assert "has nothing to learn yet, so the first query shows images typical of clusters" in err


def test_options_of_the_protocol_reach_the_plan(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    given = ["--absent-count", "1", "--oracle-confidence", "0.5", "--guesses", "--full-data"]
    code, out, _ = run(*small("--methods", "random,margin", *given))
    assert code == 0
    plan = json.loads((tmp_path / "out" / "simulation.json").read_text())["plan"]
    assert (plan["absent_count"], plan["oracle_confidence"], plan["guesses"]) == (1, 0.5, True)
    assert "keys a label" in out
    sources = ["simulate", "p.npz#train", "-o", "two", "--test-share", "0.25", "--seeds", "1"]
    assert run(*sources, "--rounds", "0", "--methods", "random", *SETTINGS)[0] == 0
    plan = json.loads((tmp_path / "two" / "simulation.json").read_text())["plan"]
    assert plan["test_share"] == 0.25


def test_presets_are_listed_with_what_they_follow(run):
    code, out, _ = run("simulate", "--list-presets")
    assert code == 0
    assert "vaal-cifar10-small\n    Sinha" in out
    listed = json.loads(run("simulate", "--list-presets", "--json")[1])
    assert {"name", "follows", "note"} == set(listed[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["simulate"], "give labeled images or a preset"),
        (["simulate", "--preset", "vaal-cifar11"], "did you mean"),
        (["simulate", "--preset", "gaal-mnist-small", "--data", "nowhere"], "mnist.npz"),
        (["simulate", "absent.npz"], "absent.npz"),
        (["simulate", "builtin:digits", "--methods", "magic"], "unknown method 'magic'"),
        (["simulate", "builtin:digits", "--seeds", "many"], "--seeds 'many'"),
        (["simulate", "builtin:digits", "--noise", "loud"], "--noise 'loud'"),
        (["simulate", "builtin:digits", "--absent-classes", "ten"], "ten, which is not a class"),
        (["simulate", "builtin:digits", "--imbalance", "0=5"], "--imbalance '0=5'"),
        (["simulate", "builtin:digits", "--initial", "5000"], "lower --initial"),
        (["simulate", "builtin:digits", "--set", "seed=4"], "options of its own"),
        (["simulate", "builtin:digits", "--set", "classifier.stps=4"], "classifier.steps"),
        (["report", "nowhere"], "is not a simulation"),
        (["report"], "dgaal init"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_two(arguments, said, run):
    code, out, err = run(*arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in out + err
