import ctypes
import os
import sys
from typing import Any

import pytest
from sealed_artifacts import sealed

from dgaal_cli.artifacts.engines.load import load_engine_bytes
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.errors import UsageError
from dgaal_cli.runtime import devices, onnx_session
from dgaal_cli.runtime.devices import (
    Device,
    count_cuda_devices,
    parse_device,
)


def test_parse_device_and_str_round_trip() -> None:
    assert parse_device("auto") == Device("auto")
    assert str(parse_device("cuda")) == "cuda:0"
    assert str(parse_device("cuda:3")) == "cuda:3"
    assert str(parse_device("cpu")) == "cpu"


def test_usable_cpus_equals_the_cpu_affinity() -> None:
    assert usable_cpus() == len(os.sched_getaffinity(0))


class FakeDriver:
    def __init__(self, count: int, init: int = 0) -> None:
        self.count, self.init = count, init

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's name
        return self.init

    def cuDeviceGetCount(self, pointer: Any) -> int:  # noqa: N802
        pointer._obj.value = self.count
        return 0


@pytest.mark.parametrize(
    ("driver", "expected"),
    [(FakeDriver(2), 2), (FakeDriver(2, init=100), 0), (object(), 0)],
    ids=["two", "no device", "no driver API"],
)
def test_count_cuda_devices_asks_the_driver(
    driver: object, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert count_cuda_devices() == expected


def test_count_cuda_devices_is_zero_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise OSError("cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert devices.count_cuda_devices() == 0


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """Fake one GPU; return the list of providers that each ONNX session is created with."""
    requested_providers: list[list[Any]] = []
    real = onnx_session._runtime.InferenceSession

    class Recorder:
        SessionOptions = onnx_session._runtime.SessionOptions

        @staticmethod
        def InferenceSession(data: bytes, options: Any, *, providers: Any, **options_: Any) -> Any:  # noqa: N802
            requested_providers.append(providers)
            return real(data, options, providers=["CPUExecutionProvider"], **options_)

    monkeypatch.setattr(onnx_session, "_runtime", Recorder)
    monkeypatch.setattr(onnx_session, "count_cuda_devices", lambda: 1)
    monkeypatch.setattr(
        onnx_session.onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(
        onnx_session.onnxruntime,
        "preload_dlls",
        lambda: sys.stdout.write("Failed to load libcurand.so.10: \x1b[2J no such file"),
    )
    return requested_providers


def test_auto_falls_back_to_cpu_silently_without_cuda_libraries(
    fake_gpu: list[list[Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    engine = load_engine_bytes(sealed("sampler", "onnx"), format="onnx", device="auto")
    assert engine.device == "cpu"
    assert [providers[0][0] for providers in fake_gpu] == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert capfd.readouterr() == ("", "")


def test_cuda_provider_disables_tf32(fake_gpu: list[list[Any]]) -> None:
    load_engine_bytes(sealed("sampler", "onnx"), format="onnx", device="auto")
    assert fake_gpu[0][0][1]["use_tf32"] == "0"
    assert fake_gpu[0][0][1]["device_id"] == "0"


def test_cuda_by_name_error_names_missing_library_and_extra(
    fake_gpu: list[list[Any]],
) -> None:
    with pytest.raises(UsageError, match=r"libcurand\.so\.10.*dgaal\[cuda\]") as e:
        load_engine_bytes(sealed("sampler", "onnx"), format="onnx", device="cuda")
    assert "\x1b" not in str(e.value)


def test_cuda_error_for_a_build_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnx_session.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(UsageError, match="this onnxruntime has no CUDA"):
        load_engine_bytes(sealed("sampler", "onnx"), format="onnx", device="cuda")


def test_threads_are_passed_to_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = onnx_session._runtime.InferenceSession

    class Recorder:
        SessionOptions = onnx_session._runtime.SessionOptions

        @staticmethod
        def InferenceSession(data: bytes, options: Any, **options_: Any) -> Any:  # noqa: N802
            seen.append(options.intra_op_num_threads)
            return real(data, options, **options_)

    monkeypatch.setattr(onnx_session, "_runtime", Recorder)
    for threads in (0, 1, 3):
        load_engine_bytes(sealed("sampler", "onnx"), format="onnx", device="cpu", threads=threads)
    assert seen == [usable_cpus(), 1, 3]
