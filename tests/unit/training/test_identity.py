"""Differences between the settings of a saved training and of the one that resumes it."""

import json
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


def test_differences_list_both_values_of_changed_settings():
    before, after = small_config(), small_config(classifier={"steps": 200, "flip": True})
    assert differences(settings_of(before), settings_of(after)) == [
        "classifier.flip was false, is true",
        "classifier.steps was 30, is 200",
    ]


def test_settings_equal_themselves_after_they_are_saved_as_json():
    settings = settings_of(small_config())
    assert differences(json.loads(json.dumps(settings)), settings) == []


def test_machine_includes_the_processor(monkeypatch):
    runtime = Runtime(device=torch.device("cpu"), threads=3)
    machine = machine_of(runtime, is_compiled=False)
    assert machine["CPU"] == f"{processor_name()} ({torch.backends.cpu.get_cpu_capability()})"
    monkeypatch.setattr(identity, "processor_name", lambda: "Other CPU")
    (difference,) = differences(machine, machine_of(runtime, is_compiled=False))
    assert (
        difference == f"CPU was {machine['CPU']}, is Other CPU ({machine['CPU'].rpartition('(')[2]}"
    )


def test_machine_includes_gpu_and_cudnn(monkeypatch):
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


def test_settings_without_effect_on_training_are_not_compared():
    before = small_config()
    after = replace(
        before, name="x", threads=7, device="cuda", query=replace(before.query, size=99)
    )
    assert settings_of(before) == settings_of(after)


def test_settings_of_labeling_progress_are_compared():
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


def test_differences_list_added_settings():
    assert differences({"a": 1}, {"a": 1, "b": 2}) == ["b was not there, is 2"]
    assert differences({"a": 1, "b": ""}, {"a": 1, "b": "x"}) == ["b was empty, is x"]


def test_differences_omit_digests_and_escape_values():
    assert differences({"pool": "0" * 64}, {"pool": "1" * 64}) == ["pool changed since"]
    assert differences({"pool.source": "a"}, {"pool.source": "b\x1b[2J"}) == [
        "pool.source was a, is b\\u{1b}[2J"
    ]


def interrupted(folder, **identity):
    """Return method and phases of a round that was interrupted at its fourth event."""
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


def test_resume_with_changed_setting_is_refused(tmp_path):
    method, phases = interrupted(tmp_path, identity={"settings": {"classifier.steps": 150}})
    other = runner(method, phases, tmp_path, identity={"settings": {"classifier.steps": 200}})
    with pytest.raises(CheckpointError, match=r"classifier\.steps was 150, is 200") as refused:
        other.resume()
    assert refused.value.exit_code == 4


def test_resume_on_another_machine_is_refused_unless_allowed(tmp_path):
    machine = {"CPU threads": 1, "torch": "2.15"}
    method, phases = interrupted(tmp_path, machine=machine)
    other_machine = {"CPU threads": 2, "torch": "2.15"}
    with pytest.raises(CheckpointError, match=r"CPU threads was 1, is 2.*--allow-inexact"):
        runner(method, phases, tmp_path, machine=other_machine).resume()
    allowed = runner(method, phases, tmp_path, machine=other_machine, is_inexact_allowed=True)
    assert allowed.resume()
    assert allowed.saver.inexact == ["CPU threads was 1, is 2"]
    allowed.run(phases)
    # A later resume still records that the round was on another machine.
    later = runner(method, phases, tmp_path, machine=other_machine)
    later.resume()
    assert later.saver.inexact == ["CPU threads was 1, is 2"]
