"""Finds a batch that fits after a training step did not fit into memory."""

import gc
from dataclasses import replace

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.rounds.on_disk import OnDisk
from dgaal_cli.training.memory import StepTooLargeError, describe_device, max_fitting_batch
from dgaal_cli.training.seeding import torch_generator


def explain(error: StepTooLargeError, bench: OnDisk) -> UsageError:
    """Try smaller batches on new networks; return an error that names the one that fits.

    Except for ``error`` no reference to the training may exist; the pool's copy on the device is
    used.
    """
    if not error.batch_key:
        return error
    section, key = error.batch_key.split(".")
    own = getattr(bench.config, section)
    batch_size = int(getattr(own, key))

    def attempt(batch: int) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _one_step(replace(bench.config, **{section: replace(own, **{key: batch})}), bench, error)

    fitting = max_fitting_batch(batch_size, attempt)
    where = describe_device(bench.data.device)
    problem = f"'{error.title}' with {error.batch_key} = {batch_size} does not fit on {where}"
    if not fitting:
        return UsageError(f"{problem}, and no smaller batch does; lower the sizes in [network]")
    return UsageError(f"{problem}; {fitting} fits: --set {error.batch_key}={fitting}")


def _one_step(config: Config, bench: OnDisk, error: StepTooLargeError) -> None:
    data = bench.data
    method = fresh_method(config, bench.dataset.shape, number=data.number)
    for module in method.modules.values():
        module.to(data.device)
    phase = {p.name: p for p in [*method.learn(data), *method.adapt(data)]}[error.phase]
    phase.prepare()
    for module in phase.networks.values():
        module.train()
    phase.step(0, torch_generator(config.seed, data.number, phase.name, 0))
