#!/bin/sh
# openvino 2026.4.1 (with onnx 1.23.2, onnxruntime 1.31.1): Resize stretches instead of fitting.
#
# Expected: ONNX defines keep_aspect_ratio_policy for Resize since opset 18. With "not_larger" and
# sizes 8 x 8 a picture of 6 x 12 becomes 4 x 8, with "not_smaller" 8 x 16.
# Observed: OpenVINO reads such a model without an error or a warning, ignores the attribute and
# returns 8 x 8. It does refuse other settings of Resize that it cannot run. That it ignores
# antialias too is known (openvinotoolkit/openvino issue 35893).
# Why it matters: a model that scales its pictures itself sees them distorted in one of two
# engines. A later global pooling hides the different shape, and scores for the same picture differ.
#
# Output:
#   stretch      onnxruntime (8, 8)  openvino (8, 8)
#   not_larger   onnxruntime (4, 8)  openvino (8, 8)
#   not_smaller  onnxruntime (8, 16) openvino (8, 8)
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


def model(policy):
    resize = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode="linear",
        axes=[2, 3],
        keep_aspect_ratio_policy=policy,
    )
    graph = helper.make_graph(
        [resize],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 6, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, "height", "width"])],
        [numpy_helper.from_array(np.array([8, 8], np.int64), "sizes")],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    checker.check_model(built)
    return built.SerializeToString()


def shapes(policy):
    x = np.arange(72, dtype=np.float32).reshape(1, 1, 6, 12)
    content = model(policy)
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0]
    core = ov.Core()
    observed = core.compile_model(core.read_model(content), "CPU")(x)[0]
    return expected.shape[2:], observed.shape[2:]


for policy, fitted in (("stretch", (8, 8)), ("not_larger", (4, 8)), ("not_smaller", (8, 16))):
    expected, observed = shapes(policy)
    print(f"{policy:12} onnxruntime {str(expected):8}openvino {observed}")
    assert expected == fitted
    assert observed == (8, 8)
PYTHON
