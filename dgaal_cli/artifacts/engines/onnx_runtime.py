"""Engine for sealed ONNX artifacts: ONNX Runtime, without torch."""

from typing import Any

from numpy.typing import NDArray

from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Arrays, checked_inputs
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.errors import ArtifactError
from dgaal_cli.runtime.devices import CPU, parse_device
from dgaal_cli.runtime.onnx_session import OnnxModel, start_session


class OnnxEngine:
    """A sealed ONNX artifact in an inference session."""

    def __init__(
        self, artifact: CheckedArtifact, *, device: str = "auto", threads: int = 0, calls: int = 1
    ) -> None:
        """Start a session from checked bytes.

        Args:
            artifact: Result of ``read_artifact``.
            device: ``auto`` uses CUDA if it works, otherwise the CPU, without a message.
            threads: CPU threads; 0 uses all CPUs available to the process.
            calls: Parallel calls of ``run`` on a CPU, which share its threads. Two calls with one
                thread each need a tenth less CPU time than one call with two threads, which wait
                for each other at every layer.

        Raises:
            ArtifactError: The runtime refuses the model, or the model does not match its manifest.
            UsageError: CUDA is requested and cannot be used; the message gives the reason.
        """
        self.manifest = artifact.manifest
        threads = threads or usable_cpus()
        calls = max(1, min(calls, threads))
        model = OnnxModel(name=artifact.name, data=artifact.data)
        try:
            self._session, self.device = start_session(
                model, parse_device(device), threads // calls
            )
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.name} is intact, but {error}") from error
        # A GPU runs calls one after another.
        self.calls = calls if self.device == str(CPU) else 1
        self._outputs = [info.name for info in artifact.manifest.outputs]
        expected = ([info.name for info in artifact.manifest.inputs], self._outputs)
        actual = (
            [value.name for value in self._session.get_inputs()],
            [value.name for value in self._session.get_outputs()],
        )
        if expected != actual:
            raise ArtifactError(f"inputs or outputs of {artifact.name} do not match its manifest")

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch; see ``Engine.run``."""
        feed = checked_inputs(self.manifest, inputs)
        values = self._session.run(self._outputs, feed)
        return dict(zip(self._outputs, values, strict=True))
