"""bf16 only where the hardware has it, with weights, losses and optimizers in float32."""

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.errors import UsageError
from dgaal_cli.events import StepDone
from dgaal_cli.training import precision
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.precision import has_bf16, pick_precision, widen

CPU = torch.device("cpu")
ZEN4 = "processor\t: 0\nflags\t\t: fpu sse avx512f avx512_bf16 vpclmulqdq\n"
OLD = "processor\t: 0\nmodel name\t: avx512_bf16 in a name only\nflags\t\t: fpu sse avx2\n"


@pytest.fixture
def cpu_info(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "CPU_INFO", path)
    return path


def test_a_processor_without_bf16_refuses_it_in_a_sentence(cpu_info):
    cpu_info.write_text(OLD)
    with pytest.raises(UsageError, match=r"avx512_bf16 or amx_bf16.*use --precision fp32") as no:
        pick_precision("bf16", CPU)
    assert no.value.exit_code == 2
    assert pick_precision("auto", CPU) == "fp32"


def test_a_processor_with_bf16_takes_it_only_when_asked(cpu_info):
    cpu_info.write_text(ZEN4)
    assert pick_precision("bf16", CPU) == "bf16"
    assert pick_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(ZEN4, True), (OLD, False), ("Features\t: fp asimd bf16 i8mm\n", True), ("", False)],
)
def test_features_are_read_word_by_word(cpu_info, text, expected):
    cpu_info.write_text(text)
    assert has_bf16(CPU) is expected


def test_a_host_that_tells_nothing_has_none(cpu_info):
    assert not has_bf16(CPU)


@pytest.mark.skipif(not has_bf16(CPU), reason="this CPU does not multiply in bf16")
@pytest.mark.parametrize("method", ["dgaal", "vaal"])
def test_bf16_keeps_weights_and_moments_in_float32_and_learns_alike(method, tmp_path):
    losses = {}
    for kind in ("fp32", "bf16"):
        data = small_data()
        data.precision = kind
        own = build(small_config(method, pretrain={"min_steps": 40}, vaal={"min_steps": 40}))
        events = []
        phases = own.learn(data)
        runner(own, phases, tmp_path / kind, emit=events.append).run(phases)
        assert {t.dtype for t in module_tensors(own.modules).values() if t.is_floating_point()} == {
            torch.float32
        }
        for phase in phases:
            for optimizer in phase.optimizers.values():
                moments = [
                    value
                    for state in optimizer.state.values()
                    for value in state.values()
                    if torch.is_tensor(value)
                ]
                assert {value.dtype for value in moments} == {torch.float32}
        told = [event for event in events if isinstance(event, StepDone)]
        losses[kind] = {name: v for event in told[-3:] for name, v in event.losses.items()} | {
            name: v
            for event in told
            if event.phase != "classifier"
            for name, v in event.losses.items()
        }
    assert losses["fp32"].keys() == losses["bf16"].keys()
    assert losses["fp32"] != losses["bf16"]
    for name, value in losses["fp32"].items():
        assert losses["bf16"][name] == pytest.approx(value, abs=0.15), name


def test_wide_values_stay_as_they_are():
    for dtype, wide in ((torch.float64, torch.float64), (torch.bfloat16, torch.float32)):
        assert widen(torch.ones(2, dtype=dtype)).dtype == wide
