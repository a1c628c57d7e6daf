"""Adversarial active learning for images, from the terminal.

The Python API is the workflows, loaded when first used::

    import dgaal_cli as dgaal

    workspace = dgaal.open_workspace("work")
    dgaal.train(workspace, dgaal.configuration(workspace))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dgaal_cli.version import __version__ as __version__

_API = {
    "open_workspace": "dgaal_cli.workspace:open_workspace",
    "configuration": "dgaal_cli.methods.configuration:configuration",
    "init": "dgaal_cli.api.init:init",
    "InitRequest": "dgaal_cli.api.init:InitRequest",
    "train": "dgaal_cli.api.train:train",
    "query": "dgaal_cli.api.query:query",
    "export": "dgaal_cli.api.export:export",
    "score": "dgaal_cli.api.score:score",
    "status": "dgaal_cli.api.status:status",
}
"""Public name to ``module:object``; importing the package imports none of them."""

if TYPE_CHECKING:
    from dgaal_cli.api.export import export as export
    from dgaal_cli.api.init import InitRequest as InitRequest
    from dgaal_cli.api.init import init as init
    from dgaal_cli.api.query import query as query
    from dgaal_cli.api.score import score as score
    from dgaal_cli.api.status import status as status
    from dgaal_cli.api.train import train as train
    from dgaal_cli.methods.configuration import configuration as configuration
    from dgaal_cli.workspace import open_workspace as open_workspace


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _API:
        raise AttributeError(f"module 'dgaal_cli' has no attribute {name!r}")
    module, _, attribute = _API[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*_API, "__version__"])
