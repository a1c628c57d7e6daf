#!/bin/sh
# openvino 2026.4.1 (with onnx 1.23.2, onnxruntime 1.31.1): tied weights are used the wrong way.
#
# Expected: an ONNX model in which Conv and ConvTranspose name the same weight tensor gives the
# same result as one with two equal tensors. In ONNX the first two dimensions of the weights are
# (output, input) channels for Conv and (input, output) channels for ConvTranspose.
# Observed: on the CPU device, ConvTranspose works with input and output channels exchanged, as if
# it had taken over the weights that were prepared for Conv. A copy of the tensor with another
# name repairs it. There is no warning. With one channel nothing is wrong. The GPU device had a
# related fault (openvinotoolkit/openvino pull request 8832); no report was found for the CPU.
# Why it matters: autoencoders with tied weights use the convolution of the encoder again in the
# decoder. Scores from a reconstruction or a latent space of such a model are wrong in one
# engine, and the pictures that are picked for labeling differ.
#
# Output (largest difference from ONNX Runtime; its largest value in brackets):
#   two equal tensors, after ConvTranspose: 0.000 (120.5)
#   one tensor, after Conv:                 0.000
#   one tensor, after ConvTranspose:        122.552 (120.5)
#   the same, against exchanged channels:   0.000
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 onnxruntime==1.31.1 onnx==1.23.2 \
    numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, checker, helper, numpy_helper

CORE = ov.Core()
RNG = np.random.default_rng(0)
PICTURE = RNG.normal(size=(1, 4, 6, 6)).astype(np.float32)
WEIGHTS = RNG.normal(size=(4, 4, 3, 3)).astype(np.float32)


def model(back, tied):
    tensors = {"w": WEIGHTS} if tied else {"w": WEIGHTS, "v": back}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["code"], pads=[1, 1, 1, 1]),
            helper.make_node("ConvTranspose", ["code", "w" if tied else "v"], ["y"]),
        ],
        "autoencoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6, 6])],
        [
            helper.make_tensor_value_info("code", TensorProto.FLOAT, [1, 4, 6, 6]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8]),
        ],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(built, full_check=True)
    return built.SerializeToString()


def by_onnxruntime(content):
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["code", "y"], {"x": PICTURE})


def by_openvino(content):
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    result = CORE.compile_model(CORE.read_model(content), "CPU", options)({"x": PICTURE})
    return result["code"], result["y"]


def difference(one, other):
    return float(np.abs(one - other).max())


expected_code, expected = by_onnxruntime(model(WEIGHTS, tied=True))
_, copied = by_openvino(model(WEIGHTS, tied=False))
tied_code, tied = by_openvino(model(WEIGHTS, tied=True))
_, exchanged = by_onnxruntime(model(WEIGHTS.transpose(1, 0, 2, 3).copy(), tied=False))
largest = float(np.abs(expected).max())
print(f"two equal tensors, after ConvTranspose: {difference(copied, expected):.3f} ({largest:.1f})")
print(f"one tensor, after Conv:                 {difference(tied_code, expected_code):.3f}")
print(f"one tensor, after ConvTranspose:        {difference(tied, expected):.3f} ({largest:.1f})")
print(f"the same, against exchanged channels:   {difference(tied, exchanged):.3f}")
assert difference(copied, expected) < 0.01
assert difference(tied_code, expected_code) < 0.01
assert difference(tied, expected) > 1
assert difference(tied, exchanged) < 0.01
PYTHON
