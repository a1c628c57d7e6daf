"""The one list of options: type, range, default and unit of each.

A key in ``dgaal.toml``, an environment variable (``DGAAL_QUERY__SIZE``), ``--set query.size=50``
and a field below have the same name. The range of an option is part of its type. A preset fills the
fields of ``[network]``, ``[pretrain]``, ``[coevolve]``, ``[classifier]``, ``[generation]``,
``[gaal]`` and ``[vaal]``; values that the user writes take precedence.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from dgaal_cli.config.ranges import Rule
from dgaal_cli.escaping import show

Init = Literal["scratch", "warm", "shrink_perturb"]
"""Weights that a network starts a round with."""

Crop = Literal["squash", "center", "tiles"]
"""How an image becomes the square that an encoder takes."""
FeatureType = Literal["float16", "float32"]
"""Type of a stored number."""
Head = Literal["auto", "graph", "linear"]
"""Kind of the task model on features."""

Positive = Annotated[int, Meta(gt=0, le=1_000_000)]
"""A number of things of which there is at least one."""
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""A number of steps, labels or parts; often 0 is automatic, none or no limit."""
Steps = Annotated[int, Meta(gt=0, le=1_000_000_000)]
"""Optimizer steps."""
Width = Annotated[int, Meta(gt=0, le=65_536)]
"""Channels or units of a layer."""
Batch = Annotated[int, Meta(gt=0, le=1_000_000)]
"""Images or rows per step."""
Epochs = Annotated[float, Meta(ge=0, le=1_000_000)]
"""Passes, fractions allowed."""
Rate = Annotated[float, Meta(gt=0, le=1_000_000)]
"""Learning rate."""
Weight = Annotated[float, Meta(ge=0, le=1_000_000)]
"""Weight of a term; 0 turns the term off."""
Factor = Annotated[float, Meta(gt=0, le=1_000_000)]
"""A positive factor."""
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Seed of random numbers."""
Share = Annotated[float, Meta(ge=0, lt=1)]
"""A fraction below the whole."""
Part = Annotated[float, Meta(ge=0, le=1)]
"""A fraction up to the whole."""


def _are_class_keys(keys: str) -> bool:
    are_visible = all(key.isprintable() and key not in " ^" for key in keys)
    return not keys or (are_visible and len(set(keys)) == len(keys) >= 2)


BY_FOLDER = "folder"
"""Value of ``pool.group_by``: the folder of an image is its group."""
GROUP_RULES = "be empty, folder, or a regular expression with one group, as '^(\\d+)_'"
_PER_CHANNEL = "be a list of one or three numbers, or empty"


def _are_means(values: tuple[float, ...]) -> bool:
    return len(values) in (0, 1, 3) and all(map(math.isfinite, values))


def _are_deviations(values: tuple[float, ...]) -> bool:
    return _are_means(values) and all(value > 0 for value in values)


def _is_range(values: tuple[float, ...]) -> bool:
    is_pair = len(values) == 2 and all(map(math.isfinite, values))
    return not values or (is_pair and values[0] < values[1])


def is_group_rule(text: str) -> bool:
    """Return whether this is a rule for groups: empty, ``folder`` or a pattern with one group."""
    try:
        return text in ("", BY_FOLDER) or re.compile(text).groups == 1
    except re.error:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """Images to choose from and to measure on."""

    source: Annotated[str, Meta(min_length=1, max_length=4096)]
    """SOURCE of the images to choose from. A relative path is relative to the workspace."""
    test: Annotated[str, Meta(max_length=4096)] = ""
    """SOURCE of labeled images that are only used to measure accuracy. Empty: a share of the labels
    is held out (``evaluation.held_out``)."""
    class_map: Annotated[str, Meta(max_length=4096)] = ""
    """CSV file with the name of the class (column ``name``) of each label (column ``label``) of the
    sources. A relative path is relative to the workspace. Empty: labels are class names."""
    image_size: Annotated[int, Meta(ge=0, le=4096)] = 0
    """Side in pixels of the square images that the networks see, one that ``encoder.source`` takes:
    8, 16, 32 or 64 for pixels; 0 = automatic, from the pool."""
    channels: Literal[0, 1, 3] = 0
    """Color channels that the networks see: 1 gray, 3 color; 0 = automatic, from the pool."""
    range: Annotated[
        tuple[float, ...],
        Rule(is_met=_is_range, demand="be two numbers, the lower first, or empty"),
    ] = ()
    """Samples that are black and full brightness, in images of more than 8 bits, signed or
    floating-point; those outside are clipped. Empty: as each file states."""
    group_by: Annotated[
        str,
        Meta(max_length=4096),
        Rule(is_met=is_group_rule, demand=GROUP_RULES),
    ] = ""
    """How the name of an image gives its group, for example its patient: ``folder``, or a regular
    expression whose one group matches it. Images of a group are held out together. A column
    ``group`` of the manifest comes first; empty: only that column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """What turns images into the features that the task model sees."""

    source: Annotated[str, Meta(min_length=1, max_length=4096)] = "pixels"
    """``pixels`` trains the task model on the images themselves, from scratch. Pretrained:
    ``package:efficientnet-lite0`` (or 1, 2), ``FILE.onnx``, ``timm:NAME`` or ``timm:NAME@WEIGHTS``.
    A relative path is relative to the workspace."""
    input_size: Annotated[int, Meta(ge=0, le=2048)] = 0
    """Side in pixels of the square images that a pretrained encoder takes; 0 = as the model
    states."""
    layout: Literal["auto", "NCHW", "NHWC"] = "auto"
    """Order of the axes that an ONNX file takes: channels first or last; auto = as its input
    states."""
    channel_order: Literal["auto", "RGB", "BGR"] = "auto"
    """Order of the colors that an ONNX file takes; auto = as its metadata states, else RGB."""
    pixel_max: Literal[0, 1, 255] = 0
    """What white is before ``mean`` is subtracted: 1 or 255; 0 = as the metadata of an ONNX file
    state, else 1, or 255 if a mean is above 1."""
    mean: Annotated[tuple[float, ...], Rule(is_met=_are_means, demand=_PER_CHANNEL)] = ()
    """What an ONNX file expects to be subtracted from each channel, in the order of its channels;
    empty = as its metadata state, else that of ImageNet."""
    deviation: Annotated[
        tuple[float, ...], Rule(is_met=_are_deviations, demand=f"{_PER_CHANNEL}, above 0")
    ] = ()
    """By what each channel is then divided; empty as for ``mean``."""
    output: Annotated[str, Meta(max_length=1000)] = ""
    """Tensor of an ONNX file that holds the features, also an inner one; empty = its only
    output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesConfig:
    """The feature cache, which ``dgaal features`` fills."""

    crop: Crop = "squash"
    """How an image becomes the square that the encoder takes. "squash" stretches the whole image;
    "center" cuts out the central square, less the margin that the encoder's authors cut off;
    "tiles" averages the features of the whole image, stretched, and of its four quarters. What lies
    outside of the center may be what counts: on photographs of defects "center" is far worse."""
    dtype: FeatureType = "float16"
    """Type of a stored number. float16 takes half the space of float32."""
    cache: Annotated[str, Meta(max_length=4096)] = ""
    """Folder of the cache; a relative path is relative to the workspace. Several workspaces may
    share one. Empty: ``cache/features`` in the workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryConfig:
    """Size of the queries."""

    size: Positive = 24
    """Images per query: labels requested per round."""
    budget: Count = 0
    """Labels in all, over all rounds; 0 = no limit."""
    overlap: Annotated[int, Meta(gt=0, le=1000)] = 1
    """Annotators who answer each image. Where they differ, the majority counts, then the earliest
    answer, until an adjudication decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """The label terminal."""

    hints: bool = False
    """Show the model's prediction before the annotator answers. Each label records it."""
    gate_ms: Annotated[int, Meta(ge=0, le=60_000)] = 80
    """Milliseconds that an image must be on the screen before an answer to it is accepted."""
    at_once: bool = True
    """Choose the first images when a session starts in a workspace without a query and a training:
    by features if all are computed, else by thumbnails."""
    features: bool = True
    """Compute the encoder's features in the background of a session, at low priority; the next
    query uses them."""
    learner: bool = True
    """Update predictions and order within the round from the answers given so far. Needs the
    round's exported sampler. Each label records it."""
    glyphs: Literal["auto", "half", "quadrants", "sextants", "octants"] = "auto"
    """Characters that show an image: 1 x 2, 2 x 2, 2 x 3 or 2 x 4 pixels a cell. The font needs
    Unicode 13 for sextants and Unicode 16 for octants. ``auto``: quadrants, but half blocks on
    terminals whose fonts have no others."""
    theme: Literal["dark", "light"] = "dark"
    """Colors of the terminal's screens: light text on a dark background, or dark on white."""
    grid_floor: Part = 0.6
    """Confidence below which the grid offers no guess: such images get a class by its key."""
    keys: dict[str, str | list[str]] = field(default_factory=dict[str, "str | list[str]"])
    """Other keys for the terminal's commands: ``undo = "ctrl+z"``, ``skip = ["space", "n"]``; for
    other screens ``"grid.wrong" = "w"``."""
    class_keys: Annotated[
        str,
        Rule(
            is_met=_are_class_keys, demand="be two or more different visible characters, or empty"
        ),
    ] = ""
    """Keys of the first classes, in order. Empty: ``1234567890``. Examples: ``&é"'(-è_çà`` on a
    French keyboard, ``asdfgqwert`` for the left hand."""
    max_junk: Part = 0.5
    """Share of unlabelable synthetic images above which no new ones are put into a query."""
    min_r2: Part = 0.5
    """Reconstruction R² of the newest round below which ``--synthetic`` is refused: with less, the
    synthetic images of photographs were noise. 0 never refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Sizes of the networks."""

    width: Width = 64
    """Channels of the first encoder block. Later blocks have up to four times as many."""
    latent: Width = 32
    """Length Z of the latent vector, the input of the latent discriminator D1."""
    residual_blocks: Annotated[int, Meta(ge=0, le=1000)] = 4
    """Residual blocks between encoder and decoder."""
    latent_hidden: Width = 512
    """Units of each hidden layer of D1."""
    critic_width: Width = 64
    """Channels of the first block of the image discriminator D2."""
    classifier_width: Width = 64
    """Channels of the first block of the task model T."""
    max_image_size: Annotated[int, Meta(ge=8, le=4096)] = 32
    """Largest side in pixels that ``pool.image_size = 0`` chooses."""
    init: Init = "scratch"
    """Initial weights of the sampler's networks in each round: random, those of the last round, or
    those of the last round shrunk and perturbed. Methods that keep their networks from round to
    round, such as dgaal, ignore it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Before round 0: (G1, D1) and (G, D2) learn from the whole pool (Guo et al. 2021, Alg. 1)."""

    epochs: Epochs = 50.0
    """Passes; a step counts as ``2 * batch`` images."""
    epoch_unit: Literal["pool", "labeled"] = "pool"
    """Length of a pass: all images of the pool, or as many images as have a label."""
    min_steps: Count = 0
    """Minimum number of steps, for small pools."""
    stop_overlap: Share = 0.0
    """Stops the games early, when the order of the pool is stable: when two checks in a row find
    this share of a probe's highest ranks unchanged. 0 = never."""
    batch: Batch = 64
    """Images per step from each pool."""
    lr_latent: Rate = 1e-3
    """Adam learning rate of G1 and D1 in their game (a1 = a2 in the paper)."""
    lr_image: Rate = 2e-4
    """Adam learning rate of G and D2 in their game."""
    adversarial_weight: Weight = 0.02
    """Weight of the critic's output in G's loss; the mean squared error has weight 1."""
    pool_weight: Weight = 1.0
    """Learning rate of G1 in the game against D1, as a multiple of ``lr_latent``; 0 = no game. A
    long game removes what D1 uses to rank images."""
    representation: Literal["games", "vicreg"] = "games"
    """What G1 learns from: the two games alone, or the games and VICReg, which learns that two
    distorted views show the same image."""
    vicreg_weight: Weight = 1.0
    """Learning rate of VICReg's steps, as a multiple of ``lr_latent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoevolveConfig:
    """In each round: D1 learns from the current labels (Alg. 2, eq. 9)."""

    is_on: bool = True
    """False keeps D1 as the first labels trained it: the ablation without co-evolution. Only for
    dgaal-paper, because dgaal trains its D1s from scratch in each round."""
    steps: Steps = 120
    """Maximum number of steps per fold."""
    batch: Batch = 128
    """Rows per step from the labeled and from the unlabeled images."""
    lr: Rate = 2e-3
    """Adam learning rate."""
    folds: Annotated[int, Meta(ge=2, le=100)] = 3
    """Number of cross-validation folds, with one D1 each: a pool image is scored by a D1 that did
    not train on it. In dgaal-paper the folds only measure how well a D1 can separate; its own D1
    trains on all images, as published."""
    copies: bool = True
    """Whether D1 also learns from synthetic images, as published: candidates as unlabeled, selected
    ones as labeled. With False, D1 cannot confuse traces of the generator with missing labels. The
    health gauge ``copies_auc`` reports whether D1 prefers synthetic images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """The task model T, trained from scratch in each round unless ``init`` changes that."""

    architecture: Literal["vgg-small", "vgg16-bn", "resnet18", "linear-svm"] = "vgg-small"
    """A network, whose width is ``network.classifier_width`` (64 as published), or GAAL's linear
    support vector machine on pixels."""
    head: Head = "auto"
    """T on the features of an encoder. "graph" spreads each label over the neighbor graph of the
    pool; "linear" is a logistic regression whose penalty is chosen by cross-validation; auto takes
    the better of both, or their mean, as held-out labels decide. On pixels it has no effect."""
    init: Init = "scratch"
    """Initial weights in each round: random, those of the last round, or those of the last round
    shrunk and perturbed. Warm starts lower the accuracy (Ash & Adams 2020); shrinking recovers part
    of it."""
    steps: Steps = 2000
    """Optimizer steps per round, if ``epochs`` is 0."""
    epochs: Epochs = 0.0
    """Passes per round; 0 = use ``steps``."""
    epoch_unit: Literal["pool", "labeled"] = "labeled"
    """Length of a pass: the labeled images, or as many images as the pool has."""
    batch: Batch = 64
    """Labeled images per step."""
    lr: Rate = 0.05
    """Peak learning rate of SGD with Nesterov momentum, after warm-up; it is annealed to zero."""
    weight_decay: Weight = 5e-4
    """L2 penalty."""
    shift: Annotated[int, Meta(ge=0, le=64)] = 2
    """Augmentation: maximum random shift in pixels; 0 = none."""
    flip: bool = False
    """Augmentation: mirror images at random. Do not use it for digits and letters."""
    penalty: Factor = 1.0
    """C of the support vector machine, also in GAAL's methods. The paper does not state it."""
    dropout: Share = 0.0
    """Share of the penultimate features dropped in training. dbal and bald also score with it; they
    use 0.5 if it is 0."""
    semi_supervised: Literal["auto", "none", "fixmatch"] = "auto"
    """Whether T also learns from unlabeled images, by FixMatch's confident pseudo-labels; auto is
    fixmatch in dgaal and none in all other methods."""
    unlabeled_ratio: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """FixMatch: unlabeled images per step, as a multiple of ``batch``."""
    unlabeled_weight: Weight = 1.0
    """FixMatch: weight of the unlabeled loss; the labeled loss has weight 1."""
    unlabeled_threshold: Share = 0.95
    """FixMatch: minimum probability of a class for a pseudo-label."""
    unlabeled_steps: Annotated[float, Meta(gt=0, le=1000)] = 2.0
    """FixMatch: factor on the number of steps per round."""
    unlabeled_copies: bool = False
    """FixMatch: also use synthetic candidates as unlabeled images; their inherited labels are
    ignored."""
    distorted_labels: Part = 0.5
    """FixMatch: share of the labeled images in a step that are distorted too; 0 as published."""
    distortion: Annotated[float, Meta(ge=0, le=100)] = 1.0
    """FixMatch: strength of the distortion under which T must keep its prediction. 1 rotates by up
    to 25 degrees, 0 = no distortion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionConfig:
    """How DGAAL selects a query."""

    is_adaptive: bool = True
    """Shift the query from D1's images to the class boundary as labels grow. False keeps D1's
    share."""
    spread: Annotated[float, Meta(ge=1, le=1_000_000)] = 1.0
    """Batch diversity: boundary images are chosen from this many times as many candidates, so that
    they differ in T's gradients; 1 = take the nearest. On digits (queries of 40 and 80, eight
    seeds) and MNIST with rare classes (four seeds), 2 and 4 were not better than 1."""
    cover: Count = 0
    """Number of first queries of dgaal that select typical images of clusters without labels, in
    G1's latent space, instead of using T and D1; 0 = none. On digits (20 random labels, five
    queries of 20, four seeds) one such query changed the area under the curve by -4.7 to +0.2
    points (mean -1.35), two by -2.96. While fewer than two classes have labels, queries select
    typical images in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig:
    """Synthetic images."""

    noise: Share = 0.05
    """Half width of the per-channel factor around 1 that the noise layer draws (paper: 0.05)."""
    is_progressive: bool = True
    """Increase the noise to ``last_noise`` as labels grow. False keeps ``noise``."""
    last_noise: Share = 0.2
    """Half width at the end of the labeling."""
    is_balanced: bool = True
    """Synthesize more images of classes that are rare among labels and pseudo-labels."""
    share: Share = 0.1
    """Maximum number of synthetic images added to the labels, as a share of the query size."""
    per_parent: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    """Candidates synthesized from each labeled image; 0 = none."""
    copies_of_copies: bool = False
    """Also synthesize from synthetic images that a query added to the labels, as published: errors
    of G accumulate. False synthesizes from images of the pool only; in dgaal-paper the parent of a
    selected copy is then used once more."""
    min_confidence: Annotated[
        float,
        Rule(
            is_met=lambda value: 0 <= value < 1 or value == -1,
            demand="be at least 0 and below 1, or -1",
        ),
    ] = -1.0
    """T's minimum probability of the inherited label; candidates below it are not used; 0 = use
    all, -1 = automatic: 0.5, in dgaal-paper 0 as published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionConfig:
    """How methods that score images select a query from the scores."""

    rule: Literal["top", "power", "softmax", "softrank"] = "top"
    """The highest scores, or a random draw that favors them (Kirsch et al. 2023)."""
    beta: Weight = 1.0
    """Sharpness of the random draw: 0 ignores the scores, large values approach "top"."""
    sub_batches: Count = 0
    """Parts in which a query is selected; 0 = automatic: 20 in dal, 1 in all other methods."""
    passes: Positive = 25
    """Dropout masks that dbal and bald average over."""
    members: Annotated[int, Meta(gt=0, le=1000)] = 5
    """Task models in the ensemble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorConfig:
    """What compares labeled with unlabeled images in dgaal (D1) and vaal (D)."""

    form: Literal["auto", "mlp", "coverage", "kernel"] = "auto"
    """"mlp" is a network, as published. "kernel" and "coverage" need the features of an encoder and
    no training: the critic of the maximum mean discrepancy, refitted after each pick, or, in dgaal
    only, how well labels cover the pool. auto is mlp on pixels; on features coverage in dgaal,
    kernel in vaal and mlp in all other methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminativeConfig:
    """DAL: a perceptron tells labeled from unlabeled features (Gissin & Shalev-Shwartz 2019)."""

    hidden: Width = 256
    """Units of each of the three hidden layers."""
    epochs: Positive = 500
    """Maximum number of passes over both pools, for each part of a query."""
    batch: Batch = 1024
    """Rows per step."""
    lr: Rate = 2e-4
    """Adam learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageConfig:
    """TypiClust and ProbCover."""

    purity: Share = 0.95
    """Minimum share of ProbCover's balls that lie within one cluster; it determines the radius."""
    radius: Annotated[float, Meta(ge=0, le=2)] = 0.0
    """ProbCover's radius: distance between unit vectors; 0 = automatic, from ``purity``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaalConfig:
    """GAAL (Zhu & Bento 2017): a DCGAN, a linear model, and descent in the latent space."""

    latent: Width = 100
    """Length of z, whose values are uniform in [-1, 1]."""
    width: Width = 64
    """Channels of the DCGAN at its highest resolution. Deeper layers have up to eight times as
    many."""
    epochs: Epochs = 25.0
    """Passes over the pool before the first query."""
    min_steps: Count = 0
    """Minimum number of steps, for small pools."""
    batch: Batch = 64
    """Images per step."""
    lr: Rate = 2e-4
    """Adam learning rate of both networks."""
    descent_steps: Positive = 100
    """Steps of a descent."""
    descent_lr: Rate = 0.05
    """Initial step size of a descent, per value of z; it falls to zero."""
    momentum: Share = 0.9
    """Momentum of a descent."""
    restarts: Annotated[int, Meta(gt=0, le=10_000)] = 4
    """Descents per image of the query; the best are kept."""
    patience: Positive = 15
    """Steps without improvement after which a descent restarts from the prior."""
    diversity: Weight = 0.1
    """Weight of the distance to images of earlier queries; 0 as published."""
    realism: Weight = 0.01
    """Weight of the DCGAN discriminator's output; 0 as published."""
    objective: Literal["margin", "entropy"] = "margin"
    """Uncertainty of the task model that gaal-deep and asal search for."""
    atoms: Width = 64
    """Dictionary size of self-taught learning. A larger dictionary needs more labels."""
    sparsity: Weight = 0.5
    """Weight of the L1 norm of the codes in self-taught learning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaalConfig:
    """VAAL and its successors (Sinha, Ebrahimi & Darrell 2019): a VAE against a discriminator D.

    ``vaal-released`` uses the sizes, ``batch``, ``lr`` and numbers of steps from here, but its own
    losses.
    """

    representation: Literal["vae", "frozen-vae", "image", "none"] = "vae"
    """Input of D: the latent vector of the VAE it plays against, that of a VAE trained without it,
    or the image. "none" ranks by the distance to the centroid of the labeled images instead."""
    width: Width = 32
    """Channels of the VAE's first block; 128 as published. ``network.latent`` is its Z."""
    epochs: Epochs = 30.0
    """Passes; an iteration counts as ``batch`` images."""
    epoch_unit: Literal["pool", "labeled"] = "pool"
    """Length of a pass: the whole pool, as in the released code, or the labeled images, as the
    paper can be read."""
    min_steps: Count = 0
    """Minimum number of iterations, for small pools."""
    stop_overlap: Share = 0.0
    """As ``pretrain.stop_overlap``: stops the game when the order of the pool is stable; 0 =
    never."""
    batch: Batch = 64
    """Images per iteration from each pool."""
    lr: Rate = 5e-4
    """Adam learning rate of VAE and D."""
    decoder_variance: Factor = 0.5
    """sigma2 of the decoder. Latent dimensions of smaller variance stay unused."""
    beta: Factor = 1.0
    """Factor on the weight of the KL divergence that follows from ``decoder_variance``."""
    kappa: Weight = 0.0
    """Weight per image of the KL divergence, relative to the mean squared error; 0 = automatic:
    2 sigma2 beta / values."""
    adversary_weight: Weight = 0.1
    """Weight of D's output in the VAE's loss; 0 turns the game off, 1 as published."""
    vae_steps: Positive = 1
    """Steps of the VAE per iteration."""
    discriminator_steps: Positive = 1
    """Steps of D per iteration."""
    settle_steps: Count = 200
    """Maximum number of extra steps of D on the finished encoder; 0 as published."""
    held_out: Share = 0.1
    """Share of both pools held out from D's training, to measure how well D separates."""
    certainty_weight: Part = 0.5
    """SRAAL: how strongly T's certainty makes an unlabeled image count as labeled. 1 as published;
    then images on which T is certain and wrong are never selected."""
    ranking_share: Part = 0.0
    """TA-VAAL: share of T's steps in which the ranking loss also trains T. 0.6 as published, which
    gives T a loss that it has in no other method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """How accuracy is measured."""

    held_out: Share = 0.2
    """Share of the labels held out from training to measure on, if ``pool.test`` is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """Images that are asked to measure the model on the pool, without a test set."""

    share: Part = 0.0
    """Images to audit, as a share of the images that a query asks; they are asked in addition, from
    100 labels on. 0 = none; ``dgaal query --audit N`` asks them once."""


Target = Annotated[float, Meta(gt=0, le=1)]
"""A goal for a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalConfig:
    """What the model is to reach on the pool; ``dgaal status`` says how far it is."""

    accuracy: Part = 0.0
    """Accuracy on the pool; 0 = no goal."""
    recall: dict[str, Target] = field(default_factory=dict[str, Target])
    """Recall of classes: ``recall.crack = 0.9``, share of the cracks that the model finds."""
    precision: dict[str, Target] = field(default_factory=dict[str, Target])
    """Precision of classes: share of the images predicted as the class that are of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Whole configuration of a workspace."""

    version: Literal[1] = 1
    """Version of this file's keys."""
    name: Annotated[
        str,
        Meta(max_length=200),
        Rule(is_met=lambda name: show(name) == name, demand="have no control characters"),
    ] = ""
    """Title in the terminal. Empty: the folder's name."""
    store: Annotated[str, Meta(max_length=4096)] = ""
    """Label store, ``sqlite:PATH``; a relative path is relative to the workspace. Empty: labels.db.
    Only ``dgaal.toml`` sets it, so that all commands use the same labels."""
    task: Annotated[str, Meta(max_length=100)] = "classification"
    """What a label is: one class an image."""
    method: Annotated[str, Meta(max_length=100)] = "dgaal"
    """Query method: how the next images are selected. ``dgaal init --help`` lists all methods."""
    preset: str = "small"
    """Sizes and schedules of the networks."""
    seed: Seed = 0
    """Seed of all random numbers."""
    device: Annotated[
        str,
        Rule(
            is_met=re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?").fullmatch,
            demand="be auto, cpu, cuda, cuda:N or mps",
        ),
    ] = "auto"
    """Processor that trains: auto, cpu, cuda, cuda:N or mps."""
    threads: Annotated[int, Meta(ge=0, le=4096)] = 0
    """CPU threads; 0 = automatic: as many of the available ones as speed up a training step, one
    for 8 x 8 images."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format in training; auto is bf16 on a GPU that supports it and fp32 elsewhere. Images
    are always scored in fp32."""
    compile: Literal["auto", "off", "on"] = "off"
    """Whether torch.compile fuses the networks' operations; auto = on a GPU. Off by default: the
    gain has not been measured."""
    pool: PoolConfig
    query: QueryConfig = field(default_factory=QueryConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    coevolve: CoevolveConfig = field(default_factory=CoevolveConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    acquisition: AcquisitionConfig = field(default_factory=AcquisitionConfig)
    discriminative: DiscriminativeConfig = field(default_factory=DiscriminativeConfig)
    coverage: CoverageConfig = field(default_factory=CoverageConfig)
    gaal: GaalConfig = field(default_factory=GaalConfig)
    vaal: VaalConfig = field(default_factory=VaalConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    goal: GoalConfig = field(default_factory=GoalConfig)
