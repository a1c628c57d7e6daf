#!/bin/sh
# onnx 1.23.2 (run by onnxruntime 1.31.1): Softmax over classes becomes Softmax over the whole picture.
#
# Expected: onnx.version_converter either keeps the results of a model or raises an error. Its adapter
# of Softmax from operators 13 to 12 was added in 2025 for models that are needed in older runtimes.
# Observed: a segmentation output (N, C, H, W) with Softmax over axis 1 is converted without a warning
# and passes the checker. Before operators 13, Softmax takes all axes from the given one on together,
# and the adapter keeps the axis as it is. So the probabilities of all classes and all pixels of a
# picture sum to 1, instead of those of each pixel.
# The class of a pixel stays the same, so a look at the masks shows nothing.
# Why it matters: margin, entropy and confidence of a pixel are what active learning for segmentation
# ranks by. They are wrong by the factor of the number of pixels, and compare pixels of a picture by
# their logits instead of by their doubt.
#
# Output:
#   operators   sum of a pixel's classes   most doubtful of 4 pixels
#   13          [1.0, 1.0, 1.0, 1.0]   0
#   12          [0.0, 0.998, 0.001, 0.0]   3
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, version_converter

shape = ["batch", 2, 1, 4]
graph = helper.make_graph(
    [helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)],
    "pixels",
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
checker.check_model(model, full_check=True)
# Two classes of four pixels.
logits = np.array([[[[0.0, 9.0, 1.0, -9.0]], [[0.1, 1.0, 2.0, -4.0]]]], np.float32)


def run(program):
    session = ort.InferenceSession(
        program.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"logits": logits})[0][0, :, 0]


def described(values):
    margins = np.abs(values[0] - values[1])
    return np.round(values.sum(axis=0).astype(float), 3).tolist(), int(margins.argmin())


older = version_converter.convert_version(model, 12)
checker.check_model(older, full_check=True)
before, after = run(model), run(older)
print("operators   sum of a pixel's classes   most doubtful of 4 pixels")
for version, values in ((13, before), (12, after)):
    sums, doubtful = described(values)
    print(f"{version}          {sums}   {doubtful}")
assert described(before)[0] == [1.0] * 4
assert (before.argmax(axis=0) == after.argmax(axis=0)).all()
assert abs(after.sum() - 1) < 1e-5
assert (described(before)[1], described(after)[1]) == (0, 3)
PYTHON
