"""Finds a batch that fits after a training step did not fit into memory."""

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
    """Try smaller batches on new networks; return an error that names the one that fits.

    Args:
        error: Error of the step; no other reference to the training may exist.
        config: Configuration of the training in this process.
        gathered: Data of the training; the pool's copy on the device is used.
    """
    if not error.batch_key:
        return error
    section, key = error.batch_key.split(".")
    batch_size = int(getattr(getattr(config, section), key))

    def attempt(batch: int) -> None:
        _release()
        smaller = replace(getattr(config, section), **{key: batch})
        _one_step(replace(config, **{section: smaller}), gathered, error.phase)

    fitting = max_fitting_batch(batch_size, attempt)
    where = describe_device(gathered.data.device)
    problem = f"'{error.title}' with {error.batch_key} = {batch_size} does not fit on {where}"
    if not fitting:
        return UsageError(f"{problem}, and no smaller batch does; lower the sizes in [network]")
    return UsageError(f"{problem}; {fitting} fits: --set {error.batch_key}={fitting}")


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
