"""A network in ONNX Runtime that maps images to vectors, on all cores."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.data.images import Pixels
from dgaal_cli.encoders.base import FloatArray
from dgaal_cli.encoders.image_tensor import ImageTensor
from dgaal_cli.runtime.devices import CPU, parse_device
from dgaal_cli.runtime.onnx_session import OnnxModel, start_session

_CHUNK, _GPU_CHUNK = 8, 64
"""Images per call: enough to use a core well; more would need more memory."""


class OnnxNetwork:
    """A running model with one image input; threads may share it.

    Attributes:
        shape: Shape of the input; a length is None or a name if it is not fixed.
        dtype: Type of the input, as the runtime names it: ``"tensor(float)"``.
    """

    def __init__(self, model: OnnxModel, *, device: str = "auto") -> None:
        """Start a session.

        Raises:
            ArtifactError: The runtime refuses the model.
        """
        self._threads = usable_cpus()
        # One thread for each of several calls takes less CPU time than several for one call.
        self._session, self.device = start_session(model, parse_device(device), threads=1)
        self.inputs: list[Any] = self._session.get_inputs()
        self.outputs: list[Any] = self._session.get_outputs()

    def run(self, images: Pixels, tensor: ImageTensor, output: str) -> npt.NDArray[Any]:
        """Return the tensor ``output`` for uint8 squares ``(N, S, S, 3)``, N >= 1."""
        shape = self.inputs[0].shape
        is_fixed = isinstance(shape[0], int)
        is_on_cpu = self.device == str(CPU)
        size = shape[0] if is_fixed else _CHUNK if is_on_cpu else _GPU_CHUNK
        chunks = list(_chunks(images, size, is_padded=is_fixed))

        def run(chunk: Pixels) -> npt.NDArray[Any]:
            return self._session.run([output], {self.inputs[0].name: tensor.of(chunk)})[0]

        if len(chunks) == 1 or not is_on_cpu:
            parts = list(map(run, chunks))
        else:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="dgaal-encode") as threads:
                parts = list(threads.map(run, chunks))
        return np.concatenate(parts)[: len(images)]


def _chunks(images: Pixels, size: int, *, is_padded: bool) -> Iterator[Pixels]:
    """Yield parts of ``size`` images; the last one is shorter, or padded with black images."""
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        if is_padded and len(chunk) < size:
            black = np.zeros((size - len(chunk), *chunk.shape[1:]), np.uint8)
            chunk = np.concatenate([chunk, black])
        yield chunk


def pooled(values: npt.NDArray[Any], layout: str) -> FloatArray:
    """Return vectors ``(N, D)`` of an output: maps and tokens are averaged.

    Args:
        values: ``(N, D)``, a map with the axes of ``layout``, or tokens ``(N, T, D)``.
        layout: ``"NCHW"`` or ``"NHWC"``.
    """
    places = {2: (), 3: (1,), 4: (2, 3) if layout == "NCHW" else (1, 2)}[values.ndim]
    return values.mean(axis=places, dtype=np.float32) if places else values.astype(np.float32)
