"""Train D1 on the current labels in folds: no image is scored by a network that trained on it.

A discriminator that sees every pool image as "unlabeled" and then scores it has memorized pool
membership. Images are assigned to folds again in each round, and each fold's network restarts. With
permanent folds and networks that keep their weights, D1 would never train on its own choices: an
image is asked because of its fold's score, and only that network never sees its label. AUCs on such
labels fell to 0.14 on the digits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.config.schema import CoevolveConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import item_hashes
from dgaal_cli.methods.gauges import auc
from dgaal_cli.methods.labeled_unlabeled import TITLE, DiscriminatorTraining, TwoPools
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.modes import evaluating
from dgaal_cli.training.optimizers import adam
from dgaal_cli.training.phase import Phase


@dataclass(slots=True, kw_only=True)
class Pools:
    """Latents of both pools on the device, and what each row is."""

    z: Tensor
    """``(R, Z)`` latents of pool images and candidates."""
    is_labeled: np.ndarray
    """bool ``(R,)``."""
    is_unlabeled: np.ndarray
    """bool ``(R,)``: unlabeled or candidate. Images outside both pools are neither."""
    is_drawn: np.ndarray
    """bool ``(R,)``: synthetic."""
    folds: np.ndarray
    """int64 ``(R,)``. A copy is in its parent's fold: the parent's label would reveal its own."""
    item_ids: Sequence[ItemId] = ()
    """Items of the rows."""


def has_both(data: RoundData) -> bool:
    """Return whether both pools have images."""
    return bool(len(data.labeled_rows) and len(data.unlabeled_rows))


def fold_of(item_ids: Sequence[int], folds: int, *, number: int) -> np.ndarray:
    """Assign items to folds, differently in each round ``number``, by a hash; int64 ``(N,)``."""
    return (item_hashes(item_ids, number) % np.uint64(folds)).astype(np.int64)


def fold_phase(
    index: int | None,
    network: LatentDiscriminator,
    config: CoevolveConfig,
    pools: Callable[[], Pools],
) -> Phase:
    """Train D1 of one fold on the current labels of the other folds (Guo et al. 2021, eq. 9).

    ``index`` None trains on all folds, as published. ``pools`` is called when the phase begins.
    """

    def load() -> TwoPools:
        now = pools()
        may_teach = ~now.is_drawn | config.copies
        is_elsewhere = now.folds != (-1 if index is None else index)
        rows: list[Tensor] = []
        for is_side in (now.is_labeled, now.is_unlabeled):
            own = np.flatnonzero(is_side & may_teach & is_elsewhere)
            # If the only one or two labels are in one fold, its network trains on them as well.
            own = own if len(own) else np.flatnonzero(is_side & may_teach)
            rows.append(torch.from_numpy(own))
        is_pool = (now.is_labeled | now.is_unlabeled) & may_teach
        network.standardize_on(now.z[torch.from_numpy(is_pool)])
        return TwoPools(features=now.z, labeled=rows[0], unlabeled=rows[1], item_ids=now.item_ids)

    part = "all" if index is None else str(index)
    training = DiscriminatorTraining(
        network=network,
        optimizer=adam(network.parameters(), lr=config.lr, weight_decay=1e-4),
        load=load,
        steps=config.steps,
        size=lambda _count: config.batch,
        metric="latent_discriminator",
    )
    title = TITLE if index is None else f"{TITLE}, fold {index + 1}"
    return training.phase(f"coevolve-{part}", title=title, network=f"discriminator_{part}")


def cross_scores(networks: Sequence[LatentDiscriminator], pools: Pools) -> np.ndarray:
    """Score each row by the network of its fold: logit of "unlabeled", float64 ``(R,)``."""
    scores = np.zeros(len(pools.z))
    with evaluating(*networks):
        for index, network in enumerate(networks):
            rows = pools.folds == index
            if rows.any():
                scores[rows] = -network(pools.z[rows]).double().cpu().numpy()
    return scores


def held_out_auc(scores: np.ndarray, pools: Pools) -> float:
    """Return the mean over folds of the AUC of unlabeled against labeled rows; 0.5 is chance.

    Only pool images count: a copy is unlabeled but looks like a labeled image.
    """
    values: list[float] = []
    for index in np.unique(pools.folds):
        is_ours = (pools.folds == index) & ~pools.is_drawn
        unlabeled, labeled = (scores[is_ours & s] for s in (pools.is_unlabeled, pools.is_labeled))
        if len(unlabeled) and len(labeled):
            values.append(auc(unlabeled, labeled))
    return float(np.mean(values)) if values else 0.5
