"""Run ONNX models with ONNX Runtime, and the devices that it can use."""
