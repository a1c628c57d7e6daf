"""Convolutions with small output maps, rewritten as one matrix product over patches.

Encoders end in maps of 2 x 2 pixels. There the CPU convolution of ONNX Runtime, which works along
the rows of a map, reaches a quarter of the speed of its matrix product. The patches of all images
of a batch form one large product instead.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

MAX_MAP_PIXELS = 4
"""Largest output map in pixels that is rewritten; at 4 x 4 both forms are equally fast."""


class PatchProduct(nn.Module):
    """A convolution as a product of patches ``(B * H * W, K)`` and weights ``(K, C)``."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.kernel = convolution.kernel_size
        self.stride = convolution.stride
        assert not isinstance(convolution.padding, str), "callers check is_rewritable first"
        self.padding = convolution.padding
        weight = convolution.weight.detach()
        self.weight = nn.Parameter(weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous())
        bias = convolution.bias
        self.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias.detach())

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps ``(B, C, H, W)``."""
        high, wide = self.padding
        x = functional.pad(maps.permute(0, 2, 3, 1), (0, 0, wide, wide, high, high))
        rows = _places(x.shape[1], self.kernel[0], self.stride[0])
        columns = _places(x.shape[2], self.kernel[1], self.stride[1])
        patches = torch.cat([x[:, row][:, :, column] for row in rows for column in columns], -1)
        product = patches.flatten(0, 2) @ self.weight + self.bias
        shape = (-1, patches.shape[1], patches.shape[2], product.shape[1])
        return product.reshape(shape).permute(0, 3, 1, 2)


def rewritten(
    module: nn.Module, example: Sequence[Tensor], *, max_pixels: int = MAX_MAP_PIXELS
) -> nn.Module:
    """Return the module with convolutions to small maps rewritten; its outputs stay equal.

    Args:
        module: In evaluation mode; it is not changed.
        example: Inputs, to measure the size of the maps.
        max_pixels: Largest map that counts as small.
    """
    small = _small(module, example, max_pixels)
    if not small:
        return module
    changed = copy.deepcopy(module)
    for name in small:
        convolution = changed.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        changed.set_submodule(name, PatchProduct(convolution))
    return changed


def _small(module: nn.Module, example: Sequence[Tensor], max_pixels: int) -> list[str]:
    """Return the names of convolutions of which no output has more pixels than ``max_pixels``."""
    pixels: dict[str, int] = {}

    def watch(name: str) -> Any:
        def note(_: nn.Module, __: Any, output: Tensor) -> None:
            pixels[name] = max(pixels.get(name, 0), output.shape[-2] * output.shape[-1])

        return note

    layers = cast("Iterable[tuple[str, nn.Module]]", module.named_modules())
    hooks = [
        layer.register_forward_hook(watch(name))
        for name, layer in layers
        if isinstance(layer, nn.Conv2d) and is_rewritable(layer)
    ]
    try:
        with torch.inference_mode():
            module(*example)
    finally:
        for hook in hooks:
            hook.remove()
    return [name for name, count in pixels.items() if count <= max_pixels]


def is_rewritable(layer: nn.Conv2d) -> bool:
    """Return whether a convolution has one group, no dilation, and zero padding."""
    is_plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    return is_plain and not isinstance(layer.padding, str) and layer.kernel_size != (1, 1)


def _places(length: int, kernel: int, stride: int) -> list[slice]:
    """Return the input positions of each kernel column along one padded axis."""
    reach = (length - kernel) // stride * stride + 1
    return [slice(start, start + reach, stride) for start in range(kernel)]
