"""A step that does not fit into memory is told with the batch that fits."""

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.training.memory import StepTooLargeError, is_out_of_memory, max_fitting_batch


@pytest.fixture
def small_memory(monkeypatch):
    """Memory for eight images at once."""
    whole = Encoder.forward

    def forward(self, images):
        if len(images) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(self, images)

    monkeypatch.setattr(Encoder, "forward", forward)


def test_a_step_that_does_not_fit_names_its_setting(small_memory, tmp_path):
    method, data = build(small_config()), small_data()
    phases = method.learn(data)
    with pytest.raises(StepTooLargeError, match=r"lower pretrain\.batch") as refused:
        runner(method, phases, tmp_path).run(phases)
    assert refused.value.exit_code == 2
    assert refused.value.phase == "pretrain"


def test_other_errors_of_a_step_stay_what_they_are(tmp_path):
    method, data = build(small_config()), small_data()
    (phase, *_) = method.learn(data)

    def step(_number, _generator):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    phase.step = step
    with pytest.raises(RuntimeError, match="mat1"):
        runner(method, [phase], tmp_path).run([phase])


def test_halving_finds_what_fits():
    tried = []

    def attempt(batch):
        tried.append(batch)
        if batch > 20:
            raise torch.OutOfMemoryError

    assert max_fitting_batch(128, attempt) == 16
    assert tried == [64, 32, 16]


def test_nothing_may_fit():
    def attempt(_batch):
        raise MemoryError

    assert max_fitting_batch(4, attempt) == 0


def test_another_error_while_halving_is_not_swallowed():
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
def test_which_errors_mean_memory(error, expected):
    assert is_out_of_memory(error) is expected
