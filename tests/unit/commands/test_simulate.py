"""Output and exit codes of ``dgaal simulate`` and ``dgaal report``."""

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


def small_arguments(*arguments):
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


def test_json_output_is_one_document_with_the_documented_keys(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    absent = ["--absent-classes", "2", "--json"]
    code, out, _ = run(*small_arguments("--methods", "random,margin", *absent))
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


def test_table_states_whether_the_method_beats_random(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    code, out, err = run(*small_arguments("--methods", "margin"))
    assert code == 0
    assert "margin does not beat random" in out or "margin beats" in out or "margin is worse" in out
    assert "random" in out.splitlines()[2]  # added as the baseline
    assert "dgaal report out" in err
    code, out, _ = run("report", "out", "--json")
    assert code == 0
    page = json.loads(out)["page"]
    assert page.endswith("out/report/index.html")


def test_cold_start_rule_is_reported_without_initial_labels(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    code, _, err = run(*small_arguments("--methods", "random", "--initial", "0"))
    assert code == 0
    assert "has nothing to learn yet, so the first query shows images typical of clusters" in err


def test_protocol_options_are_stored_in_the_plan(run, tmp_path):
    write_pool(tmp_path / "p.npz")
    options = ["--absent-count", "1", "--oracle-confidence", "0.5", "--guesses", "--full-data"]
    code, out, _ = run(*small_arguments("--methods", "random,margin", *options))
    assert code == 0
    plan = json.loads((tmp_path / "out" / "simulation.json").read_text())["plan"]
    assert (plan["absent_count"], plan["oracle_confidence"], plan["guesses"]) == (1, 0.5, True)
    assert "keys a label" in out
    sources = ["simulate", "p.npz#train", "-o", "two", "--test-share", "0.25", "--seeds", "1"]
    assert run(*sources, "--rounds", "0", "--methods", "random", *SETTINGS)[0] == 0
    plan = json.loads((tmp_path / "two" / "simulation.json").read_text())["plan"]
    assert plan["test_share"] == 0.25


def test_list_presets_shows_the_source_of_each_preset(run):
    code, out, _ = run("simulate", "--list-presets")
    assert code == 0
    assert "vaal-cifar10-small\n    Sinha" in out
    listed = json.loads(run("simulate", "--list-presets", "--json")[1])
    assert {"name", "follows", "note"} == set(listed[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_wrong_usage_exits_with_2_and_a_message(arguments, message, run):
    code, out, err = run(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err
