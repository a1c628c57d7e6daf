"""bf16 is used only if the hardware supports it; weights and optimizers stay in float32."""

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.errors import UsageError
from dgaal_cli.events import StepDone
from dgaal_cli.training import precision
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.precision import has_bf16, pick_precision, widen

CPU = torch.device("cpu")
WITH_BF16 = "processor\t: 0\nflags\t\t: fpu sse avx512f avx512_bf16 vpclmulqdq\n"
WITHOUT_BF16 = "processor\t: 0\nmodel name\t: avx512_bf16 in a name only\nflags\t\t: fpu sse avx2\n"


@pytest.fixture
def cpu_info(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "CPU_INFO", path)
    return path


def test_bf16_is_refused_without_hardware_support(cpu_info):
    cpu_info.write_text(WITHOUT_BF16)
    with pytest.raises(
        UsageError, match=r"avx512_bf16 or amx_bf16.*use --precision fp32"
    ) as refused:
        pick_precision("bf16", CPU)
    assert refused.value.exit_code == 2
    assert pick_precision("auto", CPU) == "fp32"


def test_bf16_is_used_only_on_request(cpu_info):
    cpu_info.write_text(WITH_BF16)
    assert pick_precision("bf16", CPU) == "bf16"
    assert pick_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WITH_BF16, True),
        (WITHOUT_BF16, False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("", False),
    ],
)
def test_cpu_flags_are_matched_as_whole_words(cpu_info, text, expected):
    cpu_info.write_text(text)
    assert has_bf16(CPU) is expected


def test_has_bf16_is_false_without_cpu_info(cpu_info):
    assert not has_bf16(CPU)


@pytest.mark.skipif(not has_bf16(CPU), reason="this CPU does not multiply in bf16")
@pytest.mark.parametrize("method", ["dgaal", "vaal"])
def test_bf16_keeps_float32_weights_and_moments_and_similar_losses(method, tmp_path):
    losses = {}
    for kind in ("fp32", "bf16"):
        data = small_data()
        data.precision = kind
        built = build(small_config(method, pretrain={"min_steps": 40}, vaal={"min_steps": 40}))
        events = []
        phases = built.learn(data)
        runner(built, phases, tmp_path / kind, emit=events.append).run(phases)
        assert {
            t.dtype for t in module_tensors(built.modules).values() if t.is_floating_point()
        } == {torch.float32}
        for phase in phases:
            for optimizer in phase.optimizers.values():
                moments = [
                    value
                    for state in optimizer.state.values()
                    for value in state.values()
                    if torch.is_tensor(value)
                ]
                assert {value.dtype for value in moments} == {torch.float32}
        steps = [event for event in events if isinstance(event, StepDone)]
        losses[kind] = {name: v for event in steps[-3:] for name, v in event.losses.items()} | {
            name: v
            for event in steps
            if event.phase != "classifier"
            for name, v in event.losses.items()
        }
    assert losses["fp32"].keys() == losses["bf16"].keys()
    assert losses["fp32"] != losses["bf16"]
    for name, value in losses["fp32"].items():
        assert losses["bf16"][name] == pytest.approx(value, abs=0.15), name


def test_widen_keeps_float64_and_widens_bfloat16():
    for dtype, wide in ((torch.float64, torch.float64), (torch.bfloat16, torch.float32)):
        assert widen(torch.ones(2, dtype=dtype)).dtype == wide
