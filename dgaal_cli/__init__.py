"""Adversarial active learning for images, from the terminal.

The Python API has a function for every command, loaded when first used::

    import dgaal_cli as dgaal

    workspace = dgaal.open_workspace("work")
    dgaal.train(workspace, dgaal.configuration(workspace))

Each returns a result and prints nothing; ``dgaal.labels`` holds those of ``dgaal labels``,
``dgaal.pool`` those of ``dgaal pool``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dgaal_cli.version import __version__ as __version__

_VERBS = (
    *("init", "train", "query", "label", "export", "score", "generate"),
    *("simulate", "report", "plan", "status", "doctor", "demo"),
)
_API = {
    **{verb: f"dgaal_cli.api.{verb}:{verb}" for verb in _VERBS},
    "open_workspace": "dgaal_cli.workspace:open_workspace",
    "compute_features": "dgaal_cli.api.features:compute_features",
    "list_encoders": "dgaal_cli.api.encoders:list_encoders",
    "export_encoder": "dgaal_cli.api.export_encoder:export_encoder",
    "configuration": "dgaal_cli.methods.configuration:configuration",
    "InitRequest": "dgaal_cli.api.init:InitRequest",
    "Press": "dgaal_cli.labeling.view:Press",
    "ScoreOptions": "dgaal_cli.api.score:ScoreOptions",
    "GenerateOptions": "dgaal_cli.api.generate:GenerateOptions",
    "Plan": "dgaal_cli.api.simulate:Plan",
    "report_simulation": "dgaal_cli.api.report:report_simulation",
    "labels": "dgaal_cli.api.labels:",
    "pool": "dgaal_cli.api.pool:",
}
"""Public name to ``module:object``, or to a module; importing the package imports none of them."""

if TYPE_CHECKING:
    from dgaal_cli.api import labels as labels
    from dgaal_cli.api import pool as pool
    from dgaal_cli.api.demo import demo as demo
    from dgaal_cli.api.doctor import doctor as doctor
    from dgaal_cli.api.encoders import list_encoders as list_encoders
    from dgaal_cli.api.export import export as export
    from dgaal_cli.api.export_encoder import export_encoder as export_encoder
    from dgaal_cli.api.features import compute_features as compute_features
    from dgaal_cli.api.generate import GenerateOptions as GenerateOptions
    from dgaal_cli.api.generate import generate as generate
    from dgaal_cli.api.init import InitRequest as InitRequest
    from dgaal_cli.api.init import init as init
    from dgaal_cli.api.label import label as label
    from dgaal_cli.api.plan import plan as plan
    from dgaal_cli.api.query import query as query
    from dgaal_cli.api.report import report as report
    from dgaal_cli.api.report import report_simulation as report_simulation
    from dgaal_cli.api.score import ScoreOptions as ScoreOptions
    from dgaal_cli.api.score import score as score
    from dgaal_cli.api.simulate import Plan as Plan
    from dgaal_cli.api.simulate import simulate as simulate
    from dgaal_cli.api.status import status as status
    from dgaal_cli.api.train import train as train
    from dgaal_cli.labeling.view import Press as Press
    from dgaal_cli.methods.configuration import configuration as configuration
    from dgaal_cli.workspace import open_workspace as open_workspace


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _API:
        raise AttributeError(f"module 'dgaal_cli' has no attribute {name!r}")
    module, _, attribute = _API[name].partition(":")
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    return sorted([*_API, "__version__"])
