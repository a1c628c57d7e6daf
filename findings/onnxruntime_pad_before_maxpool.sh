#!/bin/sh
# onnxruntime 1.31.1 (with onnx 1.23.2): a Pad with zeros before MaxPool is lost.
#
# Expected: graph optimizations keep the results of a model. A Pad node with the constant 0 puts
# zeros around the picture, so the maximum of a window with a zero in it is at least 0.
# Observed: from the "basic" level on (the default is "all"), the optimizer moves the padding into
# MaxPool. MaxPool ignores its own padding, so the zeros no longer take part and the border of the
# output becomes negative. There is no warning. With optimizations off the result is right.
# The same fault of onnxsim is known (onnxsim/onnxsim issue 290); no report was found for this one.
# Why it matters: ZeroPad2d and MaxPool2d follow each other in tiny YOLOv3 for PyTorch, behind
# activations that can be negative (LeakyReLU, SiLU). The features, and so the picks of an active
# learner, differ between PyTorch, other engines and ONNX Runtime.
#
# Output:
#   input         [[-0.1, -0.2], [-0.3, -0.4]]
#   optimizer off [[-0.1, 0.0], [0.0, 0.0]]
#   basic         [[-0.1, -0.2], [-0.3, -0.4]]
#   default       [[-0.1, -0.2], [-0.3, -0.4]]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64), "pads")
graph = helper.make_graph(
    [
        helper.make_node("Pad", ["x", "pads"], ["padded"], mode="constant"),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[2, 2], strides=[1, 1]),
    ],
    "pad_pool",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])],
    [pads],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model, full_check=True)
x = np.array([[[[-0.1, -0.2], [-0.3, -0.4]]]], np.float32)


def pooled(level):
    options = ort.SessionOptions()
    if level is not None:
        options.graph_optimization_level = level
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.round(session.run(None, {"x": x})[0][0, 0].astype(float), 3).tolist()


off = pooled(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
basic = pooled(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
default = pooled(None)
print("input        ", np.round(x[0, 0].astype(float), 3).tolist())
print("optimizer off", off)
print("basic        ", basic)
print("default      ", default)
assert off == [[-0.1, 0.0], [0.0, 0.0]]
assert basic == default == [[-0.1, -0.2], [-0.3, -0.4]]
PYTHON
