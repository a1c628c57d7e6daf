"""Out-of-memory errors of a step, and the search for a batch size that fits."""

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.training.memory import StepTooLargeError, is_out_of_memory, max_fitting_batch


@pytest.fixture
def small_memory(monkeypatch):
    """Raise an out-of-memory error for batches of more than eight images."""
    original_forward = Encoder.forward

    def forward(self, images):
        if len(images) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original_forward(self, images)

    monkeypatch.setattr(Encoder, "forward", forward)


def test_out_of_memory_error_names_the_batch_setting(small_memory, tmp_path):
    method, data = build(small_config()), small_data()
    phases = method.learn(data)
    with pytest.raises(StepTooLargeError, match=r"lower pretrain\.batch") as refused:
        runner(method, phases, tmp_path).run(phases)
    assert refused.value.exit_code == 2
    assert refused.value.phase == "pretrain"


def test_other_errors_of_a_step_are_not_changed(tmp_path):
    method, data = build(small_config()), small_data()
    (phase, *_) = method.learn(data)

    def step(_number, _generator):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    phase.step = step
    with pytest.raises(RuntimeError, match="mat1"):
        runner(method, [phase], tmp_path).run([phase])


def test_max_fitting_batch_halves_until_it_fits():
    tried = []

    def attempt(batch):
        tried.append(batch)
        if batch > 20:
            raise torch.OutOfMemoryError

    assert max_fitting_batch(128, attempt) == 16
    assert tried == [64, 32, 16]


def test_max_fitting_batch_is_zero_if_no_batch_fits():
    def attempt(_batch):
        raise MemoryError

    assert max_fitting_batch(4, attempt) == 0


def test_max_fitting_batch_raises_other_errors():
    def attempt(_batch):
        raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match="wrong shape"):
        max_fitting_batch(4, attempt)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), False),
        (RuntimeError("shape mismatch"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_is_out_of_memory_recognizes_memory_errors(error, expected):
    assert is_out_of_memory(error) is expected
