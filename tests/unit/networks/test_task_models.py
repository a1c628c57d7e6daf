"""Task models: published sizes, exactness of the collapsed head, and the configured one."""

import copy

import pytest
import torch
from small_rounds import SHAPE, build, runner, small_config, small_data
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from dgaal_cli.config.load import build_config
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.registry import load_method, method_names
from dgaal_cli.networks.resnet18 import ResNet18
from dgaal_cli.networks.vgg16 import COPIES, Vgg16
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.classifier import accuracy, classifier_phase
from dgaal_cli.training.seeding import drawing_from, initializing, torch_generator

ARCHITECTURES = ("vgg-small", "vgg16-bn", "resnet18")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config_of(architecture, **changes):
    return small_config(
        "random",
        classifier={"architecture": architecture, **changes},
        network={"classifier_width": 8},  # torch 2.14.1 crashes at 2 and 4 on some CPUs
    )


def task_model(config, *, channels=1, image_size=8, classes=2):
    encoder = load_encoder(EncoderConfig(), image_size=image_size, channels=channels)
    return encoder.task_model(config, ClassLearning(classes).head)


def parameter_count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_memory_format_does_not_change_gradients(architecture):
    built = task_model(config_of(architecture), channels=3, image_size=32, classes=4).double()
    plain = copy.deepcopy(built).to(memory_format=torch.contiguous_format)
    assert built.state_dict().keys() == plain.state_dict().keys()
    assert {p.stride() for p in built.parameters()} != {p.stride() for p in plain.parameters()}
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64, generator=torch_generator(0))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    for network in (built, plain):
        with drawing_from(torch_generator(1), torch.device("cpu")):  # VGG16 drops features
            cross_entropy(network(images)[0], labels).backward()
    for (name, ours), theirs in zip(built.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_memory_format_does_not_change_initialization(architecture):
    built = task_model(config_of(architecture), channels=3, image_size=32, classes=4)
    plain = copy.deepcopy(built).to(memory_format=torch.contiguous_format)
    for network in (built, plain):
        with initializing(3, "test"):
            network.initialize()
    for (name, ours), theirs in zip(built.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


class ReplicatedHead(nn.Module):
    """The published head: a linear layer on 49 copies of a 1 x 1 map."""

    def __init__(self, ours: Vgg16) -> None:
        super().__init__()
        self.ours = copy.deepcopy(ours)
        width, depth = ours.collapsed.out_features, ours.collapsed.in_features
        self.wide = nn.Linear(COPIES * depth, width)
        share = torch.rand(width, depth, COPIES, dtype=torch.float64) + 0.1
        share /= share.sum(2, keepdim=True)
        with torch.no_grad():  # 49 unequal weights whose sum is the collapsed weight
            self.wide.weight.copy_((ours.collapsed.weight[:, :, None] * share).flatten(1))
            self.wide.bias.copy_(ours.collapsed.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images
        for stage in self.ours.body:
            x = stage(x)
        x = adaptive_avg_pool2d(x, 7).flatten(1)
        return self.ours.head(self.ours.hidden(self.wide(x)))


def published_sgd(module, lr):
    used = [p for n, p in module.named_parameters() if "collapsed" not in n]
    return torch.optim.SGD(used, lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


def collapsed_sgd(module, lr, *, factor=COPIES):
    groups = [
        {
            "params": group.parameters,
            "lr": lr * (factor if group.lr_factor != 1 else 1),
            "weight_decay": 5e-4 * group.decay_factor,
        }
        for group in module.parameter_groups()
    ]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)


def losses_of(forward, optimizer, steps=12):
    values = []
    for step in range(steps):
        generator = torch_generator(step)
        images = torch.randn(8, 3, 32, 32, generator=generator, dtype=torch.float64)
        labels = torch.randint(5, (8,), generator=generator)
        with drawing_from(generator, torch.device("cpu")):
            loss = cross_entropy(forward(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    return values


@pytest.fixture
def pair():
    torch.set_default_dtype(torch.float64)
    with initializing(3):
        ours = Vgg16(channels=3, image_size=32, head=ClassLearning(5).head, width=2)
        published = ReplicatedHead(ours)
    torch.set_default_dtype(torch.float32)
    return ours.double(), published.double()


def test_collapsed_head_trains_like_the_published_head(pair):
    ours, published = pair
    a = losses_of(lambda x: ours(x)[0], collapsed_sgd(ours, 0.05))
    b = losses_of(published, published_sgd(published, 0.05))
    assert max(abs(x - y) / y for x, y in zip(a, b, strict=True)) <= 1e-12
    summed = published.wide.weight.unflatten(1, (-1, COPIES)).sum(2)
    assert (summed - ours.collapsed.weight).abs().max() <= 1e-12
    assert a[-1] != a[0]


def test_collapsed_head_without_its_own_rate_trains_differently(pair):
    """Negative control of the test above."""
    ours, published = pair
    a = losses_of(lambda x: ours(x)[0], collapsed_sgd(ours, 0.05, factor=1))
    b = losses_of(published, published_sgd(published, 0.05))
    assert max(abs(x - y) / y for x, y in zip(a, b, strict=True)) > 1e-6


def test_parameter_counts_equal_the_published_sizes():
    with torch.device("meta"):
        vgg = Vgg16(channels=3, image_size=32, head=ClassLearning(10).head)
        resnet = ResNet18(channels=3, head=ClassLearning(10).head)
    saved = (COPIES - 1) * 512 * 4096
    assert parameter_count(vgg) + saved == 134_309_962
    assert parameter_count(resnet) == 11_173_962
    assert vgg.feature_width == 4096
    assert resnet.stage_widths == vgg.stage_widths[:4] == (64, 128, 256, 512)


def test_collapsed_layer_is_initialized_like_a_sum_of_49_weights():
    with initializing(0):
        network = Vgg16(channels=1, image_size=32, head=ClassLearning(2).head, width=8)
    assert float(network.collapsed.weight.detach().std()) == pytest.approx(0.07, rel=0.02)
    assert float(network.hidden[2].weight.detach().std()) == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_every_architecture_accepts_every_image_size(architecture, size):
    network = task_model(config_of(architecture), channels=3, image_size=size, classes=4)
    images = torch.randn(2, 3, size, size)
    stages = network.stages(images)
    assert stages.outputs.shape == (2, 4)
    assert stages.features.shape == (2, network.feature_width)
    assert tuple(m.shape[1] for m in stages.maps) == network.stage_widths
    assert network.head(stages.features).equal(stages.outputs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_learns_and_training_is_bit_reproducible(architecture, tmp_path):
    config = config_of(architecture, steps=40, lr=0.02)
    data = small_data()
    first = build(config)
    assert isinstance(first.classifier, type(task_model(config)))
    phase = classifier_phase(first.classifier, config.classifier, data)
    runner(first, [phase], tmp_path / "a").run([phase])
    value, _, _ = accuracy(first.classifier, data)
    assert value is not None
    assert value > 0.7  # chance is 0.5

    second = build(config)
    phase = classifier_phase(second.classifier, config.classifier, data)
    second.classifier.train()
    torch.rand(5)  # the global generator's state must not matter, dropout or not
    for step in range(40):
        phase.schedule(step)
        phase.step(step, torch_generator(0, 0, "classifier", step))
    ours, theirs = module_tensors(first.modules), module_tensors(second.modules)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", method_names(lambda info: not info.has_own_task_model))
def test_every_method_builds_the_configured_task_model(name, architecture):
    config = small_config(name, classifier={"architecture": architecture})
    method = load_method(config, SHAPE)
    expected = task_model(config)
    assert type(method.classifier) is type(expected)
    assert parameter_count(method.classifier) == parameter_count(expected)


def test_unknown_architecture_error_names_it():
    tree = {"pool": {"source": "x"}, "classifier": {"architecture": "vgg19"}}
    with pytest.raises(ConfigError, match="vgg19"):
        build_config(tree)
