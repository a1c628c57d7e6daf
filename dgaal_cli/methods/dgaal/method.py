"""The DGAAL method: networks, phases, synthesis, query rule and export."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import Row
from dgaal_cli.methods import gauges
from dgaal_cli.methods.adversarial_encoder.decoder import Decoder, draw_noise
from dgaal_cli.methods.adversarial_encoder.games import Games
from dgaal_cli.methods.adversarial_encoder.image_discriminator import ImageDiscriminator
from dgaal_cli.methods.adversarial_encoder.linear_games import LinearGames
from dgaal_cli.methods.adversarial_encoder.vicreg import Expander
from dgaal_cli.methods.base import Method, Ranking, SyntheticBatch, TaskShape
from dgaal_cli.methods.dgaal import folds, rule, schedule
from dgaal_cli.methods.dgaal.deploy import AdversarialSampler, DeployedGenerator
from dgaal_cli.methods.informativeness import boundary_closeness
from dgaal_cli.methods.inheritance import images_and_roots
from dgaal_cli.networks.deploy import Deployed, DeployedClassifier
from dgaal_cli.networks.encoder import Encoder
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.networks.pixels import denormalize
from dgaal_cli.training.classifier import classifier_phase, predict
from dgaal_cli.training.data import Inputs, RoundData
from dgaal_cli.training.modes import INFERENCE_BATCH, batches, encode_rows, evaluating
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.seeding import torch_generator
from dgaal_cli.training.seeds import numpy_generator


class Dgaal(Method):
    """Encoder G1, decoder G2, discriminators D1 (in folds) and D2, task model T and its scout.

    D1 is cross-validated: in each round K networks restart, each trained on all folds but the one
    that it scores. Its AUC, which rule R uses, is therefore measured on unseen images.

    Beyond the paper: T also learns from the pool, by FixMatch (``training.fixmatch``), unless
    ``classifier.semi_supervised`` is "none"; a scout, which learns from labels only, then chooses
    the queries. On the features of a pretrained encoder G1 is linear, T learns from labels only,
    and there are no copies, since G2 and D2 need pixels. With ``pretrain.representation`` "vicreg"
    G1 learns by VICReg in addition to its games (``adversarial_encoder.vicreg``). With views of
    different brightness, a linear classifier on z rose from 66 to 92 % with 40 labels of the 8 x 8
    digits (3 seeds), but D1 did not detect that the labels lacked dark images. So views keep the
    brightness, and VICReg is not the default yet.
    """

    name = "dgaal"
    has_schedule = True
    """Whether noise and number of copies follow ``schedule``."""
    default_learning: Literal["none", "fixmatch"] = "fixmatch"
    """Meaning of ``classifier.semi_supervised`` "auto"."""
    sampler_share = 0.5
    """D1's weight in the exported score; the rest is T's closeness to the boundary."""

    def __init__(self, config: Config, shape: TaskShape) -> None:
        net = config.network
        self.config = config
        self.games = (
            LinearGames(width=shape.width, latent=net.latent)
            if shape.width
            else _image_games(config, shape)
        )
        self.encoder = self.games.encoder
        self.discriminators = [
            LatentDiscriminator(latent=net.latent, hidden=net.latent_hidden)
            for _ in range(config.coevolve.folds)
        ]
        """One per fold, new in each round."""
        self.task = config.classifier
        """How T is trained; unlike in most methods, also on the pool."""
        if self.task.semi_supervised == "auto":
            learning = "none" if shape.width else self.default_learning
            self.task = replace(self.task, semi_supervised=learning)
        self.classifier = shape.task_model(config)
        self.scout = self.classifier
        """T trained on labels only, whose margin chooses queries. In first trials on digits and
        MNIST, queries by the margin of a T that also learned from the pool were worse than random
        ones for a plain T: such a T is uncertain of unusual images rather than of informative
        ones."""
        in_folds = {f"discriminator_{i}": d for i, d in enumerate(self.discriminators)}
        self.carried = frozenset(self.games.modules)
        self.modules = {**self.games.modules, "classifier": self.classifier, **in_folds}
        self.renewed = frozenset(in_folds)
        """Weights of the previous round were trained on images that are held out now."""
        if self.task.semi_supervised == "fixmatch":
            self.scout = shape.task_model(config)
            self.modules["scout"] = self.scout
        self._pools: folds.Pools | None = None

    def learn(self, data: RoundData) -> list[Phase]:
        """Pretraining before the first query (Alg. 1), then T on the current labels.

        A workspace that started without labels repeats the games when the first labels arrive:
        there is no game over features without them.
        """
        phases: list[Phase] = []
        if data.is_first or data.is_first_labeled:
            phases.append(self._pretraining(data))
        if not data.can_learn:
            return phases
        phases.append(classifier_phase(self.classifier, self.task, data))
        if self.scout is not self.classifier:
            phases.append(self._scout_phase(data))
        return phases

    def _pretraining(self, data: RoundData) -> Phase:
        if isinstance(self.games, LinearGames):
            return self.games.phase(data)
        return self.games.phase(self.config.pretrain, self.config.generation, data)

    def _scout_phase(self, data: RoundData) -> Phase:
        """T as other methods train it, from the same initial weights."""
        if self.task.init == "scratch":
            self.scout.load_state_dict(self.classifier.state_dict())
        plain = classifier_phase(self.scout, replace(self.task, semi_supervised="none"), data)
        return replace(
            plain, name="scout", title="learning where to ask", networks={"scout": self.scout}
        )

    def synthesize(
        self, data: RoundData, parents: Sequence[Row], seed: int
    ) -> SyntheticBatch | None:
        """Synthesize copies of parents, each with its own noise, and more copies of rare classes.

        Row ``len(data.pixels) + i`` is synthetic image i; a copy of a copy has the same pool image
        as its parent.
        """
        games = self.games
        if isinstance(games, LinearGames):
            return None
        copies = self._copies(data, parents)
        if not copies:
            return None
        generation = self.config.generation
        width = schedule.noise_at(generation, data.progress if self.has_schedule else 0.0)
        noise = draw_noise(
            len(copies),
            games.decoder.map_channels,
            half_width=width,
            generator=torch_generator(seed, "synthesize"),
        )
        images, roots = images_and_roots(data, copies)
        factors: tuple[Tensor, ...] = torch.split(noise, INFERENCE_BATCH)
        with evaluating(games.encoder, games.decoder):
            drawn = [
                denormalize(games.decoder(games.encoder(x)[0], each.to(data.device))).cpu().numpy()
                for x, each in zip(batches(images, data.device), factors, strict=True)
            ]
        return SyntheticBatch(
            pixels=np.concatenate(drawn), parents=[Row(int(root)) for root in roots]
        )

    def sample_images(self, data: RoundData) -> SyntheticBatch | None:
        """Copies of pool images, without noise."""
        return None if isinstance(self.games, LinearGames) else self.games.sample_images(data)

    def _copies(self, data: RoundData, parents: Sequence[Row]) -> list[Row]:
        """Repeat each parent once per copy."""
        generation = self.config.generation
        roots = images_and_roots(data, parents)[1]
        is_even = not self.has_schedule or not generation.is_balanced
        if is_even or not data.is_labeled[roots].all():
            # Parents without a label (query by synthesis) belong to no class that could be rare.
            return [row for row in parents for _ in range(generation.per_parent)]
        rows = data.unlabeled_rows
        guesses = data.task.decide(predict(self.classifier, data.inputs[rows], data.device))
        known = np.concatenate([data.targets[data.labeled_rows], guesses])
        groups = data.task.groups
        counts = schedule.copies_per_parent(groups(data.targets[roots]), groups(known), generation)
        return [row for row, count in zip(parents, counts, strict=True) for _ in range(int(count))]

    def adapt(self, data: RoundData) -> list[Phase]:
        """Train D1 on the current labels against pool and candidates, by fold (Alg. 2, 11-13)."""
        if not folds.has_both(data):
            return []
        return [
            self.discriminator_phase(data, index, network)
            for index, network in enumerate(self.discriminators)
        ]

    def discriminator_phase(
        self, data: RoundData, index: int | None, network: LatentDiscriminator
    ) -> Phase:
        """One network of D1, on all folds but ``index``."""
        return folds.fold_phase(
            index, network, self.config.coevolve, lambda: self.pools_of(data, is_cached=True)
        )

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Rule R over the unlabeled pool; typical images of clusters until T can learn."""
        rows = data.unlabeled_rows
        if not data.can_learn or data.number < self.config.selection.cover:
            return self.first_query(data, count, seed)
        doubt = predict(self.scout, data.inputs[rows], data.device)
        pools = self.pools_of(data)
        votes = folds.cross_scores(self.discriminators, pools)
        closeness = boundary_closeness(doubt.probabilities)
        auc = folds.held_out_auc(votes, pools)
        share = self.discriminator_share(data, auc, count)
        choice = rule.choose(
            closeness=closeness,
            unlabeled_logits=votes[rows],
            probabilities=doubt.image_probabilities,
            features=doubt.features,
            count=count,
            share=share,
            spread=self.config.selection.spread,
            generator=numpy_generator(seed, "seeding"),
        )
        near = [Row(int(rows[i])) for i in choice.by_margin]
        unlike = [Row(int(rows[i])) for i in choice.by_discriminator]
        return Ranking(
            rows=rows,
            scores=choice.scores,
            picks=near + unlike,
            promoted=self._promote(data, closeness, votes, count),
            strategy=f"dgaal (D1 share {share:.0%}, AUC {auc:.2f})",
            reasons=dict.fromkeys(near, "near a class boundary")
            | dict.fromkeys(unlike, "unlike the labeled images"),
        )

    def health(self, data: RoundData) -> dict[str, float]:
        """Active latent units, reconstruction R2, and AUCs of the discriminators.

        ``redrawn_auc`` is D2's AUC of pool images against their copies without noise: 0.5 if D2
        cannot separate them. ``discriminator_auc`` is D1's AUC of unlabeled against labeled images
        that it did not train on, ``discriminator_share`` its part of a query, and ``copies_auc``
        its AUC of candidate copies against unlabeled images: above 0.5 it prefers copies.
        """
        health = self.games.health(data)
        if folds.has_both(data):
            pools = self.pools_of(data)
            health |= self.discriminator_health(data, pools)
            drawn = np.flatnonzero(data.synthetic.is_candidate) + len(data.pixels)
            votes = self.votes(pools)
            health |= gauges.auc_metrics("copies_auc", votes[drawn], votes[data.unlabeled_rows])
        return health

    @property
    def scoring(self) -> list[LatentDiscriminator]:
        """Networks whose mean logit the exported sampler uses."""
        return self.discriminators

    def votes(self, pools: folds.Pools) -> np.ndarray:
        """D1's logit of "unlabeled" for each row, float64 ``(R,)``."""
        return folds.cross_scores(self.discriminators, pools)

    def discriminator_health(self, data: RoundData, pools: folds.Pools) -> dict[str, float]:
        """Measure D1 on images that it did not train on."""
        auc = folds.held_out_auc(folds.cross_scores(self.discriminators, pools), pools)
        labeled, unlabeled = len(data.labeled_rows), len(data.unlabeled_rows)
        return {
            "discriminator_auc": auc,
            "discriminator_auc_error": gauges.auc_error(labeled, unlabeled),
            "discriminator_share": self.discriminator_share(data, auc, self.config.query.size),
        }

    def discriminator_share(self, data: RoundData, auc: float, count: int) -> float:
        """D1's part of a query of ``count``, 0..1."""
        return rule.discriminator_share(
            auc=auc,
            labeled=len(data.labeled_rows),
            count=count,
            progress=data.progress if self.config.selection.is_adaptive else 0.0,
        )

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The generator; with labels of two classes also the classifier and the sampler."""
        modules: list[Deployed] = []
        if not isinstance(self.games, LinearGames):
            modules.append(DeployedGenerator(self.games.encoder, self.games.decoder))
        if not data.can_learn:
            return modules
        rows = data.unlabeled_rows if len(data.unlabeled_rows) else np.flatnonzero(data.is_usable)
        pools = self.pools_of(data)
        with evaluating(*self.scoring):
            votes = torch.stack([d(pools.z[rows]) for d in self.scoring]).mean(0)
        unlabeled = -votes.double().cpu().numpy()
        probabilities = predict(self.scout, data.inputs[rows], data.device).probabilities
        closeness = boundary_closeness(probabilities)
        sampler = AdversarialSampler(
            self.encoder,
            self.scoring,
            self.scout,
            share=self.sampler_share,
            statistics=[unlabeled.mean(), unlabeled.std(), closeness.mean(), closeness.std()],
        )
        return [*modules, DeployedClassifier(self.classifier), sampler]

    def first_query(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Typical points of clusters in G1's latents; with labels, of unlabeled clusters."""
        return rule.ask_clusters(
            data, lambda rows: self._latents(data.inputs[rows], data.device), count, seed=seed
        )

    def _promote(
        self, data: RoundData, closeness: np.ndarray, votes: np.ndarray, count: int
    ) -> list[int]:
        """Choose candidates that rank above the query's last image, up to their maximum share."""
        candidates = np.flatnonzero(data.synthetic.is_candidate)
        cap = int(self.config.generation.share * count)
        if not len(candidates) or not cap:
            return []
        rows = data.unlabeled_rows
        probabilities = predict(
            self.scout, data.synthetic.inputs[candidates], data.device
        ).probabilities
        own = np.concatenate([closeness, boundary_closeness(probabilities)])
        logits = np.concatenate([votes[rows], votes[len(data.pixels) :][candidates]])
        mixed = 0.5 * rule.ranks(own) + 0.5 * rule.ranks(logits)
        real, drawn = mixed[: len(rows)], mixed[len(rows) :]
        last_place = np.sort(real)[-count] if len(real) >= count else -np.inf
        best = np.argsort(-drawn, kind="stable")[:cap]
        return [int(candidates[i]) for i in best if drawn[i] >= last_place]

    def _latents(self, inputs: Inputs, device: torch.device) -> Tensor:
        with evaluating(self.encoder):
            return encode_rows(lambda x: self.encoder(x)[1], inputs, device)

    def pools_of(self, data: RoundData, *, is_cached: bool = False) -> folds.Pools:
        """Latents and memberships: pool rows first, then synthetic images."""
        if is_cached and self._pools is not None:
            return self._pools
        synthetic = data.synthetic
        rows = np.arange(len(data.pixels))
        is_labeled = np.isin(rows, data.labeled_rows)
        is_unlabeled = np.isin(rows, data.unlabeled_rows)
        kin = zip(synthetic.item_ids, synthetic.parents.tolist(), strict=True)
        families = [*data.item_ids]
        families += [own if parent < 0 else data.item_ids[parent] for own, parent in kin]
        pools = folds.Pools(
            z=torch.cat([self._latents(each.inputs, data.device) for each in (data, synthetic)]),
            is_labeled=np.concatenate([is_labeled, synthetic.is_labeled]),
            is_unlabeled=np.concatenate([is_unlabeled, synthetic.is_candidate]),
            is_drawn=np.arange(len(data.pixels) + len(synthetic.pixels)) >= len(data.pixels),
            folds=folds.fold_of(families, self.config.coevolve.folds, number=data.number),
            item_ids=[*data.item_ids, *synthetic.item_ids],
        )
        if is_cached:
            self._pools = pools
        return pools


def _image_games(config: Config, shape: TaskShape) -> Games:
    net = config.network
    sizes = {"channels": shape.channels, "image_size": shape.image_size}
    encoder = Encoder(**sizes, width=net.width, latent=net.latent)
    decoder = Decoder(
        **sizes, map_channels=encoder.map_channels, residual_blocks=net.residual_blocks
    )
    return Games(
        encoder,
        decoder,
        LatentDiscriminator(latent=net.latent, hidden=net.latent_hidden),
        ImageDiscriminator(**sizes, width=net.critic_width),
        Expander(latent=net.latent) if config.pretrain.representation == "vicreg" else None,
    )
