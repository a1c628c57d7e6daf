"""The one list of options, their defaults and units.

A key in ``dgaal.toml``, an environment variable (``DGAAL_QUERY__SIZE``), ``--set query.size=50``
and a field below are the same word. A preset fills the fields of ``[network]``, ``[pretrain]``,
``[coevolve]``, ``[classifier]``, ``[generation]`` and ``[gaal]``; what the user writes wins.
"""

from dataclasses import dataclass, field
from typing import Literal

Init = Literal["scratch", "warm", "shrink_perturb"]
"""How a network begins a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """Where the images are."""

    source: str
    """SOURCE of the images to choose from; a relative path is relative to the workspace."""
    test: str = ""
    """SOURCE of labeled images that only measure accuracy; empty: a share of the labels does."""
    image_size: int = 0
    """Side in pixels at which the networks see an image: 8, 16, 32, 64; 0 lets the pool decide."""
    channels: int = 0
    """1 gray, 3 color; 0 lets the pool decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """What turns images into the features that the task model sees."""

    source: str = "pixels"
    """``pixels`` trains the task model on the images themselves, from scratch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryConfig:
    """How much is asked."""

    size: int = 24
    """Labels asked a round."""
    budget: int = 0
    """Labels allowed in all; 0 sets no limit."""
    overlap: int = 1
    """People asked about each image; where they differ, the majority counts, else the earliest,
    until somebody adjudicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """How the terminal asks."""

    hints: bool = False
    """Show the model's guess before the answer; it is recorded with each label."""
    gate_ms: int = 80
    """An image must have been on the screen this long before an answer to it is accepted."""
    learner: bool = True
    """Improve guesses and order within the round by the answers given, once the round's sampler is
    exported; it is recorded with each label."""
    keys: dict[str, str | list[str]] = field(default_factory=dict[str, "str | list[str]"])
    """Other keys for commands of the terminal: ``undo = "ctrl+z"``, ``skip = ["space", "n"]``, on
    other screens ``"grid.wrong" = "w"``."""
    class_keys: str = ""
    """Keys of the first classes, in order; empty: ``1234567890``. On a French keyboard
    ``&é"'(-è_çà``, for the left hand ``asdfgqwert``."""
    max_junk: float = 0.5
    """Share of synthetic images that nobody could name above which no new ones are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Sizes of the networks."""

    width: int = 64
    """Channels of the first encoder block; later blocks have up to four times as many."""
    latent: int = 32
    """Width Z of the vector that the latent discriminator D1 sees."""
    residual_blocks: int = 4
    """Residual blocks between encoder and decoder."""
    latent_hidden: int = 512
    """Width of D1's hidden layers."""
    critic_width: int = 64
    """Channels of the first block of the image discriminator D2."""
    classifier_width: int = 64
    """Channels of the first block of the task model T."""
    max_image_size: int = 32
    """Upper bound for the side that ``pool.image_size = 0`` chooses."""
    init: Init = "scratch"
    """How networks that select begin a round, where their method does not carry them on anyway, as
    dgaal does: anew, with the weights of the round before, or with those shrunk and perturbed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Before round 0: (G1, D1) and (G, D2) learn on the whole pool (Guo et al. 2021, Alg. 1)."""

    epochs: float = 50.0
    """Passes; a step counts ``2 * batch`` images."""
    epoch_unit: Literal["pool", "labeled"] = "pool"
    """What a pass is over: all images, or as many as have a label."""
    min_steps: int = 0
    """Steps taken however small the pool is."""
    stop_overlap: float = 0.0
    """Ends the games once the order of the pool is stable: this share of a probe's highest ranks
    stays the same between looks, twice in a row. 0 takes all steps."""
    batch: int = 64
    """Images from each pool a step."""
    lr_latent: float = 1e-3
    """Adam rate of G1 and D1 in their game (a1 = a2 in the paper)."""
    lr_image: float = 2e-4
    """Adam rate of G and D2 in their game."""
    adversarial_weight: float = 0.02
    """Weight of the critic's value beside the mean squared error in G's loss."""
    pool_weight: float = 1.0
    """G1's rate in the game against D1, as a part of ``lr_latent``; 0 leaves the game out. Games
    that last erase what D1 ranks by."""
    representation: Literal["games", "vicreg"] = "games"
    """What G1 learns from: the two games, or VICReg beside them: that two distorted views show the
    same image."""
    vicreg_weight: float = 1.0
    """Rate of VICReg's steps, as a part of ``lr_latent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoevolveConfig:
    """Each round: D1 learns the labels of now (Alg. 2, eq. 9)."""

    is_on: bool = True
    """False leaves D1 as the first labels made it, the ablation without co-evolution; dgaal-paper
    only, for the D1s of dgaal begin anew each round."""
    steps: int = 120
    """Upper bound of steps a fold."""
    batch: int = 128
    """Rows from each side a step."""
    lr: float = 2e-3
    """Adam rate."""
    folds: int = 3
    """Networks of D1: a pool image is scored only by one that did not train on it. In dgaal-paper
    they only measure what a D1 can know; its one D1 trains on all images, as published."""
    copies: bool = True
    """D1 learns synthesized images as well, as published: candidates as unlabeled, chosen ones as
    labeled. False keeps them out, so that no trace of the generator can pass for what labels lack;
    health says by ``copies_auc`` whether D1 would rather have copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """The task model T, from scratch each round unless ``init`` says otherwise."""

    architecture: Literal["vgg-small", "vgg16-bn", "resnet18", "linear-svm"] = "vgg-small"
    """The network, whose width ``network.classifier_width`` sets (64 as published), or GAAL's
    linear support vector machine on pixels."""
    init: Init = "scratch"
    """Weights that a round begins with: new ones, those of the round before, or those shrunk and
    perturbed. Warm starts cost accuracy (Ash & Adams 2020), which shrinking wins back in part."""
    steps: int = 2000
    """Optimizer steps a round, where ``epochs`` is 0."""
    epochs: float = 0.0
    """Passes instead of a number of steps."""
    epoch_unit: Literal["pool", "labeled"] = "labeled"
    """What a pass is over: the labeled images, or as many images as the pool has."""
    batch: int = 64
    """Labeled images a step."""
    lr: float = 0.05
    """Peak rate of SGD with Nesterov momentum, warmed up and annealed to zero."""
    weight_decay: float = 5e-4
    """L2 penalty."""
    shift: int = 2
    """Largest random shift in pixels."""
    flip: bool = False
    """Mirror at random; wrong for digits and letters."""
    penalty: float = 1.0
    """C of the support vector machine, in GAAL's methods too; their paper does not state it."""
    dropout: float = 0.0
    """Share of the penultimate features dropped in training; dbal and bald score with it (with 0.5
    where it is 0)."""
    semi_supervised: Literal["auto", "none", "fixmatch"] = "auto"
    """Whether T learns from images without a label too: by FixMatch's confident pseudo-labels or
    not at all; auto is fixmatch in dgaal and none in every other method."""
    unlabeled_ratio: float = 1.0
    """FixMatch: images of the pool a step for each labeled one."""
    unlabeled_weight: float = 1.0
    """FixMatch: weight of the pool's loss beside that of the labels."""
    unlabeled_threshold: float = 0.95
    """FixMatch: T's least probability of a class for it to count as a pseudo-label."""
    unlabeled_steps: float = 2.0
    """FixMatch: the steps of a round are multiplied by this."""
    unlabeled_copies: bool = False
    """FixMatch: synthesized candidates count as images of the pool; their inherited labels are not
    looked at."""
    distorted_labels: float = 0.5
    """FixMatch: share of a step's labeled images that are distorted too; 0 as published."""
    distortion: float = 1.0
    """FixMatch: how far an image is bent on which T must keep its answer; 1 turns it by up to 25
    degrees, 0 not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionConfig:
    """How DGAAL fills a query."""

    is_adaptive: bool = True
    """Move D1's share to the class boundary as labels grow; False keeps it."""
    spread: float = 1.0
    """Batch diversity: the boundary's images are chosen, unlike one another in T's gradients, among
    this many times as many; 1 takes the nearest. On digits (queries of 40 and 80, eight seeds) and
    MNIST with rare classes (four) 2 and 4 were worth what 1 is."""
    cover: int = 0
    """First queries of dgaal that ask typical points of clusters without labels on G1's latents,
    whatever T and D1 say. Off: on digits (20 random labels, five queries of 20, four seeds) one
    such query changed the area under the curve by -4.7 to +0.2 points, -1.35 on average, two by
    -2.96; typical images before margin lost on MNIST, too, in a first study. Where no two classes
    have labels yet, clusters are asked anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig:
    """Synthesized images."""

    noise: float = 0.05
    """Half width of the per-channel factor around 1 that the noise layer draws (paper: 0.05)."""
    is_progressive: bool = True
    """Let the noise grow to ``last_noise`` as labels grow; False keeps ``noise``."""
    last_noise: float = 0.2
    """Half width at the end of the labeling."""
    is_balanced: bool = True
    """Draw more copies of classes that labels and pseudo-labels show to be rare."""
    share: float = 0.1
    """Largest part of a query, beyond its size, that synthesized images may add to the labels."""
    per_parent: int = 1
    """Copies of one labeled image that may enter the candidate pool."""
    copies_of_copies: bool = False
    """Redraw copies that a query took as labels, too, as published: what G got wrong compounds.
    False redraws images of the pool only, in dgaal-paper a chosen copy's parent once more."""
    min_confidence: float = -1.0
    """T's least probability of the inherited label; below it a copy is set aside, at 0 none is; -1
    leaves it to the method: 0.5, in dgaal-paper 0, as published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionConfig:
    """How a query is filled from scores; the same switch for every method that ranks by a score."""

    rule: Literal["top", "power", "softmax", "softrank"] = "top"
    """The highest scores, or a draw that favors them (Kirsch et al. 2023)."""
    beta: float = 1.0
    """Sharpness of a drawn query: 0 is random, large values are "top"."""
    sub_batches: int = 0
    """Parts in which a query is chosen; 0 leaves it to the method: 20 in dal, 1 in the others."""
    passes: int = 25
    """Dropout masks that dbal and bald average over."""
    members: int = 5
    """Task models of the ensemble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminativeConfig:
    """DAL: a perceptron tells labeled from unlabeled features (Gissin & Shalev-Shwartz 2019)."""

    hidden: int = 256
    """Width of its three hidden layers."""
    epochs: int = 500
    """Upper bound of passes over both pools, for each part of a query."""
    batch: int = 1024
    """Rows a step."""
    lr: float = 2e-4
    """Adam rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageConfig:
    """TypiClust and ProbCover."""

    purity: float = 0.95
    """Share of ProbCover's balls that must lie within one cluster; it decides their radius."""
    radius: float = 0.0
    """ProbCover's radius between unit vectors, 0..2; 0 lets ``purity`` decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaalConfig:
    """GAAL (Zhu & Bento 2017): a DCGAN, a linear learner, and descent in the latent space."""

    latent: int = 100
    """Width of z, uniform in [-1, 1]."""
    width: int = 64
    """Channels of the DCGAN's widest resolution; deeper layers double up to eight times as many."""
    epochs: float = 25.0
    """Passes over the pool before the first query."""
    min_steps: int = 0
    """Steps taken however small the pool is."""
    batch: int = 64
    """Images a step."""
    lr: float = 2e-4
    """Adam rate of both networks."""
    descent_steps: int = 100
    """Steps of a descent."""
    descent_lr: float = 0.05
    """First rate of a descent: how far each value of z moves in a step; it falls to zero."""
    momentum: float = 0.9
    """Of a descent."""
    restarts: int = 4
    """Descents for each image asked; the best are kept."""
    patience: int = 15
    """Steps without gain after which a descent begins anew from the prior."""
    diversity: float = 0.1
    """Weight of the distance to images asked already; 0 is the paper's form."""
    realism: float = 0.01
    """Weight of the DCGAN discriminator's verdict; 0 is the paper's form."""
    objective: Literal["margin", "entropy"] = "margin"
    """What gaal-deep and asal seek in the task model's answer."""
    atoms: int = 64
    """Dictionary size of self-taught learning; larger ones need more labels before they pay."""
    sparsity: float = 0.5
    """Weight of the codes' absolute values in self-taught learning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaalConfig:
    """VAAL and its successors (Sinha, Ebrahimi & Darrell 2019): a VAE against a discriminator.

    ``vaal-released`` takes sizes, ``batch``, ``lr`` and lengths from here and keeps its own losses.
    """

    representation: Literal["vae", "frozen-vae", "image", "none"] = "vae"
    """What D sees: the VAE it plays against, one trained without it, or the image itself; "none"
    ranks by the distance to the labeled images' centroid instead."""
    width: int = 32
    """Channels of the VAE's first block; 128 as published. ``network.latent`` is its Z."""
    epochs: float = 30.0
    """Passes; an iteration counts ``batch`` images."""
    epoch_unit: Literal["pool", "labeled"] = "pool"
    """What a pass is over: the released code reads it as the whole pool, the paper can be read as
    the labeled images."""
    min_steps: int = 0
    """Iterations taken however small the pool is."""
    stop_overlap: float = 0.0
    """As in ``[pretrain]``: ends the game once the order of the pool is stable; 0 never does."""
    batch: int = 64
    """Images from each pool an iteration."""
    lr: float = 5e-4
    """Adam rate of VAE and D."""
    decoder_variance: float = 0.5
    """sigma2 of the decoder; latent directions of smaller variance stay unused."""
    beta: float = 1.0
    """Weight of the KL divergence beside the one that ``decoder_variance`` gives it."""
    kappa: float = 0.0
    """KL weight an image beside the mean squared error; 0 takes 2 sigma2 beta / values."""
    adversary_weight: float = 0.1
    """Weight of D's verdict in the VAE's loss; 0 stops the game, 1 is published."""
    vae_steps: int = 1
    """Steps of the VAE an iteration."""
    discriminator_steps: int = 1
    """Steps of D an iteration."""
    settle_steps: int = 200
    """Upper bound of D's steps on the finished encoder; 0 as published."""
    held_out: float = 0.1
    """Share of both pools that D never sees, to measure whether it knows anything."""
    certainty_weight: float = 0.5
    """SRAAL: how far T's certainty makes an unlabeled image count as labeled. 1 is published, and
    never asks for what T is sure of and wrong about."""
    ranking_share: float = 0.0
    """TA-VAAL: share of T's steps in which the ranking loss shapes T too; 0.6 as published, which
    gives T a loss that no other method's T has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """How accuracy is measured."""

    held_out: float = 0.2
    """Share of the labels kept from training to measure on, where ``pool.test`` is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A workspace's whole configuration."""

    version: Literal[1] = 1
    """Version of this file's keys."""
    name: str = ""
    """What the terminal shows; the folder's name if empty."""
    method: str = "dgaal"
    """How the next images are chosen."""
    preset: str = "small"
    """Sizes and schedules."""
    seed: int = 0
    """Source of all randomness."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    threads: int = 0
    """CPU threads; 0 takes as many of those that the process may use as a step's work is worth: one
    for 8 x 8 images."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """What networks train in; auto is bf16 on a GPU that has it and fp32 elsewhere. Images are
    scored in fp32 always."""
    compile: Literal["auto", "off", "on"] = "off"
    """Whether torch.compile fuses the networks' operations; auto does on a GPU. Off, as nobody has
    measured what it gains here."""
    pool: PoolConfig
    query: QueryConfig = field(default_factory=QueryConfig)
    label: LabelConfig = field(default_factory=LabelConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    coevolve: CoevolveConfig = field(default_factory=CoevolveConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    acquisition: AcquisitionConfig = field(default_factory=AcquisitionConfig)
    discriminative: DiscriminativeConfig = field(default_factory=DiscriminativeConfig)
    coverage: CoverageConfig = field(default_factory=CoverageConfig)
    gaal: GaalConfig = field(default_factory=GaalConfig)
    vaal: VaalConfig = field(default_factory=VaalConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
