"""Summaries of simulations: numbers, verdicts, tables and documents."""

import pytest
from msgspec.structs import replace

from dgaal_cli.simulation import table
from dgaal_cli.simulation.plan import FULL_DATA, Plan
from dgaal_cli.simulation.records import Absent, Guesses, RoundRecord, Seconds
from dgaal_cli.simulation.statistics import Estimate
from dgaal_cli.simulation.summary import baseline_verdict, summarize


def trial(arm, seed, accuracies, *, system=None, **changes):
    """Return records of one trial with 10 first labels and 10 more per round."""
    last = len(accuracies) - 1
    return [
        RoundRecord(
            **{
                "arm": arm,
                "method": arm,
                "seed": seed,
                "round": number,
                "annotations": 10 * (number + 1),
                "labels": 10 * (number + 1) + 2 * number,
                "inherited": 2 * number,
                "wrong_labels": 0,
                "labels_by_class": [1, 2],
                "accuracy": value,
                "system_accuracy": None if system is None else system[number],
                "seconds": Seconds(classifier=1, networks=2, sampling=0 if number == last else 4),
                "is_last": number == last,
                **changes,
            }
        )
        for number, value in enumerate(accuracies)
    ]


def arms(**own):
    """Return two seeds per arm; the accuracies of the second are 0.1 lower."""
    return {
        name: {0: trial(name, 0, values), 1: trial(name, 1, [v - 0.1 for v in values])}
        for name, values in own.items()
    }


def test_equal_difference_in_every_seed_beats_random():
    found = summarize(arms(random=[0.5, 0.6], better=[0.5, 0.8], worse=[0.5, 0.5]))
    random, better, worse = found.methods
    assert random.verdict == ""
    assert random.selection.vs_random is None
    assert better.verdict == "beats random"
    assert better.selection.vs_random.mean == pytest.approx(0.1)
    assert worse.verdict == "is worse than random"
    assert "worse is worse than random (-5.0 [-5.0, -5.0] points" in "\n".join(
        table.sentences(found)
    )


def test_interval_that_contains_zero_does_not_beat_random():
    trials = arms(random=[0.5, 0.6], unsure=[0.5, 0.7])
    trials["unsure"][1] = trial("unsure", 1, [0.4, 0.4])
    [_, unsure] = summarize(trials).methods
    assert unsure.selection.vs_random.mean == pytest.approx(0.0)
    assert unsure.verdict == "does not beat random: the interval contains zero"


def test_arm_with_the_queries_of_random_is_not_worse_than_random():
    trials = arms(random=[0.5, 0.6], taught=[0.5, 0.6])
    [_, taught] = summarize(trials).methods
    assert taught.verdict == "asks the same images as random"


def test_single_seed_allows_no_verdict():
    own = {"random": {0: trial("random", 0, [0.5])}, "other": {0: trial("other", 0, [0.9])}}
    assert summarize(own).methods[1].verdict == "one seed: no interval"


def test_methods_are_not_compared_without_random():
    [only] = summarize({"margin": {0: trial("margin", 0, [0.5, 0.6])}}).methods
    assert only.selection.vs_random is None
    assert "no random trial" in only.verdict


def test_selection_and_system_are_reported_separately():
    trials = arms(random=[0.5, 0.6])
    trials["dgaal"] = {
        0: trial("dgaal", 0, [0.5, 0.6], system=[0.7, 0.8]),
        1: trial("dgaal", 1, [0.4, 0.5], system=[0.6, 0.7]),
    }
    random, dgaal = summarize(trials).methods
    assert random.system is None
    assert dgaal.selection.vs_random.mean == pytest.approx(0.0)
    assert dgaal.system.vs_random.mean == pytest.approx(0.2)
    rows = table.system_accuracy_rows(summarize(trials))
    assert [row[0] for row in rows] == ["labels", "10", "20"]
    assert [row[1][:4] for row in rows] == ["rand", "45.0", "55.0"]
    assert [row[2][:4] for row in rows] == ["dgaa", "65.0", "75.0"]
    assert "against random with plain T: +20.0" in "\n".join(table.sentences(summarize(trials)))


def test_annotations_and_labels_are_counted_separately():
    [random] = summarize(arms(random=[0.5, 0.6])).methods
    point = random.selection.curve[1]
    assert (point.annotations, point.labels) == (20, 22)
    assert table.method_rows(summarize(arms(random=[0.5, 0.6])))[1][4] == "20 / 22"


def test_guesses_are_summed_over_queries_and_seeds():
    trials = arms(random=[0.5, 0.6])
    for seed, right in ((0, 4), (1, 8)):
        guesses = Guesses(images=10, right=right, right_live=9, keys=8, keys_live=5)
        trials["random"][seed][0] = replace(trials["random"][seed][0], guesses=guesses)
    found = summarize(trials)
    assert table.guess_rows(found)[1] == ["random", "60.0", "90.0", "0.80", "0.50"]
    assert "keys a label" in table.text(Plan(), found, test_images=9)
    assert "keys a label" in table.markdown(found, title="t", facts=[])
    [document] = table.documents(found)
    assert document["guesses"]["accuracy_live"] == pytest.approx(0.9)


def test_accuracy_rows_interpolate_arms_with_fewer_labels():
    trials = arms(random=[0.5, 0.6, 0.7])
    trials["frugal"] = {
        seed: [
            replace(record, annotations=count)
            for record, count in zip(trial("frugal", seed, [0.5, 0.7]), (10, 25), strict=True)
        ]
        for seed in (0, 1)
    }
    rows = table.accuracy_rows(summarize(trials))
    assert [row[0] for row in rows] == ["labels", "10", "20", "30"]
    assert [row[2] for row in rows[1:]] == ["50.0 ±0.0", "63.3 ±0.0", ""]
    text = "\n".join(table.sentences(summarize(trials)))
    assert "frugal asked 25 labels, others 30" in text


def test_sampling_seconds_are_the_mean_over_queries():
    [random] = summarize(arms(random=[0.5, 0.6, 0.7])).methods
    assert random.sampling_s == 4.0
    assert random.training_s == 3.0


def test_enrichment_is_the_query_share_divided_by_the_pool_share():
    own = {
        "random": {
            seed: trial(
                "random",
                seed,
                [0.5, 0.6],
                absent=Absent(classes=["a"], share=share, base_rate=0.2),
            )
            for seed, share in ((0, 0.3), (1, 0.5))
        }
    }
    [random] = summarize(own).methods
    assert random.missing_class_enrichment.mean == pytest.approx((1.5 + 2.5) / 2)
    assert table.method_rows(summarize(own))[1][-1].startswith("x 2.00")


def test_labels_for_95_percent_of_full_accuracy_are_interpolated():
    trials = arms(random=[0.5, 0.7])
    trials[FULL_DATA] = {0: trial(FULL_DATA, 0, [0.6]), 1: trial(FULL_DATA, 1, [0.6])}
    found = summarize(trials)
    assert found.full_data.mean == pytest.approx(0.6)
    # 95 % of 0.6 is 0.57; the mean curve rises from 0.45 at 10 to 0.65 at 20
    assert found.methods[0].selection.enough_at == pytest.approx(16.0)
    assert FULL_DATA not in [m.name for m in found.methods]


def test_json_document_has_the_documented_keys():
    found = summarize(arms(random=[0.5, 0.6], margin=[0.5, 0.8]))
    keys = {"method", "aubc", "aubc_ci", "vs_random", "vs_random_ci", "labels_saved"}
    keys |= {"missing_class_enrichment", "sampling_s", "curve"}
    random, margin = table.documents(found)
    assert keys <= random.keys()
    assert margin["vs_random"] == pytest.approx(0.1)
    assert margin["vs_random_ci"] == pytest.approx([0.1, 0.1])
    assert random["vs_random"] is None
    assert [point["annotations"] for point in margin["curve"]] == [10, 20]
    assert margin["aubc"] == pytest.approx((0.65 + 0.55) / 2)


def test_markdown_lists_published_numbers_after_own_results():
    summary = summarize({"random": {0: trial("random", 0, [0.5, 0.6])}})
    page = table.markdown(summary, title="t", facts=["f"], published=["Guo: 80.6 %", "b\x1b"])
    own, theirs = page.split("## Published")
    assert "Guo" not in own
    assert "- Guo: 80.6 %" in theirs
    assert "\x1b" not in page
    assert "Published" not in table.markdown(summary, title="t", facts=["f"])


def test_text_and_markdown_escape_names():
    own = arms(random=[0.5, 0.6])
    own["a|b\x1b[31m"] = own["random"]
    found = summarize(own)
    shown = table.text(Plan(seeds=(0, 1)), found, test_images=5)
    assert "\x1b" not in shown
    page = table.markdown(found, title="t", facts=[])
    assert "\x1b" not in page
    assert "a\\|b" in page


def as_system(name, method, accuracies, system):
    return {
        seed: trial(
            name,
            seed,
            [a - 0.1 * seed for a in accuracies],
            system=[a - 0.1 * seed for a in system],
            method=method,
        )
        for seed in (0, 1)
    }


def test_methods_are_compared_with_the_best_other_classic_baseline():
    own = arms(random=[0.5, 0.6], margin=[0.5, 0.8], coreset=[0.5, 0.7], vaal=[0.5, 0.9])
    own["dgaal"] = as_system("dgaal", "dgaal", [0.5, 0.75], [0.7, 0.8])
    # its T also learns from the pool
    own["mine"] = as_system("mine", "random", [0.5, 0.6], [0.8, 0.9])
    found = summarize(own)
    best = {m.name: m.selection.vs_best_baseline for m in found.methods}
    assert {name: baseline.name for name, baseline in best.items()} == {
        "random": "margin",
        "margin": "coreset",
        "coreset": "margin",
        "vaal": "margin",
        "dgaal": "margin",
        "mine": "margin",
    }
    assert best["dgaal"].difference.mean == pytest.approx(-0.025)
    assert best["dgaal"].difference.interval == pytest.approx((-0.025, -0.025))
    assert best["margin"].difference.mean == pytest.approx(0.05)
    system = found.methods[4].system.vs_best_baseline
    assert system.name == "mine"
    assert system.difference.mean == pytest.approx(-0.1)
    assert table.baseline_rows(found)[1:] == [
        ["vaal", "margin", "+5.0 [+5.0, +5.0]", "beats it"],
        ["dgaal", "margin", "-2.5 [-2.5, -2.5]", "is more than half a point worse"],
        ["dgaal (system)", "mine", "-10.0 [-10.0, -10.0]", "is more than half a point worse"],
        ["mine (system)", "margin", "+20.0 [+20.0, +20.0]", "beats it"],
    ]
    for page in (
        table.text(Plan(), found, test_images=5),
        table.markdown(found, title="", facts=[]),
    ):
        assert "Against the best classic baseline" in page
    dgaal = table.documents(found)[4]
    assert dgaal["best_baseline"] == "margin"
    assert dgaal["vs_best_baseline"] == pytest.approx(-0.025)
    assert dgaal["vs_best_baseline_ci"] == pytest.approx([-0.025, -0.025])
    assert dgaal["system"]["best_baseline"] == "mine"


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.001, 0.02), "beats it"),
        ((-0.004, 0.02), "is at most half a point worse"),
        ((-0.02, 0.02), "may be more than half a point worse"),
        ((-0.02, -0.006), "is more than half a point worse"),
        (None, "one seed: no interval"),
    ],
)
def test_baseline_verdict_depends_on_the_whole_interval(interval, text):
    assert baseline_verdict(Estimate(mean=0.0, interval=interval, count=5)) == text


def test_report_omits_baseline_without_another_classic_method():
    [random] = summarize(arms(random=[0.5, 0.6])).methods
    assert random.selection.vs_best_baseline is None
    [document] = table.documents(summarize(arms(random=[0.5, 0.6])))
    assert (document["best_baseline"], document["vs_best_baseline_ci"]) == (None, None)
    assert "Against" not in table.markdown(summarize(arms(random=[0.5, 0.6])), title="", facts=[])
