"""A saved training says by name what differs from the one that wants to go on."""

import signal
from dataclasses import replace

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli import interruption
from dgaal_cli.errors import CheckpointError, InterruptedRunError
from dgaal_cli.training import identity
from dgaal_cli.training.device import processor_name
from dgaal_cli.training.identity import differences, machine_of, settings_of
from dgaal_cli.training.runtime import Runtime


def test_settings_are_named_with_both_values():
    before, after = small_config(), small_config(classifier={"steps": 200, "flip": True})
    assert differences(settings_of(before), settings_of(after)) == [
        "classifier.flip was false, is true",
        "classifier.steps was 30, is 200",
    ]


def test_the_machine_is_known_by_its_processor(monkeypatch):
    runtime = Runtime(device=torch.device("cpu"), threads=3)
    here = machine_of(runtime, is_compiled=False)
    assert here["CPU"] == f"{processor_name()} ({torch.backends.cpu.get_cpu_capability()})"
    monkeypatch.setattr(identity, "processor_name", lambda: "Other CPU")
    (said,) = differences(here, machine_of(runtime, is_compiled=False))
    assert said == f"CPU was {here['CPU']}, is Other CPU ({here['CPU'].rpartition('(')[2]}"


def test_a_gpu_is_known_by_its_name_and_its_libraries(monkeypatch):
    runtime = Runtime(device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "GPU A")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    before = machine_of(runtime, is_compiled=False)
    assert (before["GPU"], before["cuDNN"]) == ("GPU A", 91000)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "GPU B")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92000)
    assert differences(before, machine_of(runtime, is_compiled=False)) == [
        "GPU was GPU A, is GPU B",
        "cuDNN was 91000, is 92000",
    ]


def test_settings_that_change_no_training_are_not_compared():
    before = small_config()
    after = replace(
        before, name="x", threads=7, device="cuda", query=replace(before.query, size=99)
    )
    assert settings_of(before) == settings_of(after)


def test_what_tells_how_far_the_labeling_is_is_compared():
    def settings(**query):
        return settings_of(small_config(query=query))

    assert differences(settings(size=24), settings(size=24, budget=40)) == [
        "query.budget was 0, is 40",
        "query.size was not there, is 24",
    ]
    assert differences(settings(budget=40), settings(budget=80)) == ["query.budget was 40, is 80"]
    assert differences(settings(size=8, budget=40), settings(size=9, budget=40)) == [
        "query.size was 8, is 9"
    ]


def test_a_setting_that_came_or_went_is_named():
    assert differences({"a": 1}, {"a": 1, "b": 2}) == ["b was not there, is 2"]
    assert differences({"a": 1, "b": ""}, {"a": 1, "b": "x"}) == ["b was empty, is x"]


def test_digests_are_told_by_name_alone_and_values_are_harmless():
    assert differences({"pool": "0" * 64}, {"pool": "1" * 64}) == ["pool changed since"]
    assert differences({"pool.source": "a"}, {"pool.source": "b\x1b[2J"}) == [
        "pool.source was a, is b\\u{1b}[2J"
    ]


def interrupted(folder, **identity):
    """A round that stopped after three reports."""
    method = build(small_config())
    data = small_data()
    phases = [*method.learn(data), *method.adapt(data)]
    seen = []

    def listen(event):
        seen.append(event)
        if len(seen) == 4:
            signal.raise_signal(signal.SIGINT)

    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(method, phases, folder, emit=listen, **identity).run(phases)
    return method, phases


def test_another_setting_is_refused_by_its_name(tmp_path):
    method, phases = interrupted(tmp_path, identity={"settings": {"classifier.steps": 150}})
    other = runner(method, phases, tmp_path, identity={"settings": {"classifier.steps": 200}})
    with pytest.raises(CheckpointError, match=r"classifier\.steps was 150, is 200") as refused:
        other.resume()
    assert refused.value.exit_code == 4


def test_another_machine_is_refused_until_it_is_allowed(tmp_path):
    machine = {"CPU threads": 1, "torch": "2.15"}
    method, phases = interrupted(tmp_path, machine=machine)
    elsewhere = {"CPU threads": 2, "torch": "2.15"}
    with pytest.raises(CheckpointError, match=r"CPU threads was 1, is 2.*--allow-inexact"):
        runner(method, phases, tmp_path, machine=elsewhere).resume()
    allowed = runner(method, phases, tmp_path, machine=elsewhere, is_inexact_allowed=True)
    assert allowed.resume()
    assert allowed.saver.inexact == ["CPU threads was 1, is 2"]
    allowed.run(phases)
    # Even where it goes on as it began, the round is remembered to have been elsewhere.
    back = runner(method, phases, tmp_path, machine=elsewhere)
    back.resume()
    assert back.saver.inexact == ["CPU threads was 1, is 2"]
