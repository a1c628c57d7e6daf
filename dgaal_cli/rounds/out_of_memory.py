"""Finds the batch that fits where a training step did not."""

import gc
from dataclasses import replace

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.rounds.on_disk import Gathered
from dgaal_cli.training.memory import StepTooLargeError, describe_device, max_fitting_batch
from dgaal_cli.training.seeding import torch_generator


def explain(error: StepTooLargeError, config: Config, gathered: Gathered) -> UsageError:
    """Try smaller batches on networks of their own, and say which one fits.

    Args:
        error: What the step raised; nothing of the training may be referred to any more.
        config: Of the training, as this process sees it.
        gathered: Its data; the pool's copy on the device goes on being used.
    """
    if not error.batch_key:
        return error
    section, key = error.batch_key.split(".")
    asked = int(getattr(getattr(config, section), key))

    def attempt(batch: int) -> None:
        _release()
        smaller = replace(getattr(config, section), **{key: batch})
        _one_step(replace(config, **{section: smaller}), gathered, error.phase)

    fitting = max_fitting_batch(asked, attempt)
    where = describe_device(gathered.data.device)
    does_not = f"'{error.title}' with {error.batch_key} = {asked} does not fit on {where}"
    if not fitting:
        return UsageError(f"{does_not}, and no smaller batch does; lower the sizes in [network]")
    return UsageError(f"{does_not}; {fitting} fits: --set {error.batch_key}={fitting}")


def _one_step(config: Config, gathered: Gathered, name: str) -> None:
    data = gathered.data
    method = fresh_method(config, gathered.dataset.shape, number=data.number)
    for module in method.modules.values():
        module.to(data.device)
    phases = {p.name: p for p in [*method.learn(data), *method.adapt(data)]}
    phase = phases[name]
    phase.prepare()
    for module in phase.networks.values():
        module.train()
    phase.step(0, torch_generator(config.seed, data.number, name, 0))


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
