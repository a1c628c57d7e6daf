"""MODEL_CARD.md: the files of an artifact folder, their purpose, and how to run them.

Its content comes from the manifests. Class names are data and are escaped.
"""

from collections.abc import Mapping

from dgaal_cli.escaping import show
from exporters.manifest import Manifest

_PURPOSES = {
    "sampler": "image to score: which images to label next (higher = ask first)",
    "generator": "parents and noise factors, or latents alone, to synthetic images",
    "classifier": "image to class: the task model that the labels are for",
}

_LIMITS = """\
## Limits

- A score ranks images that are similar to the pool. It is not a probability, and it is not valid
  for other kinds of images.
- The sampler was trained on the labels of its round. After more labels, train and export again.
- Synthetic images inherit the label of their parent; check them before you train on them.
- The seal inside each file proves that its bytes are unchanged, not who created them. Keep a copy
  of `SHA256SUMS` in another place. TorchScript is code: run it only if you trust its author.

## License

The weights were learned from your images and labels. Whether you may share them depends on the
license of those images. The software that produced them is under the MIT license.
"""


def model_card(manifests: Mapping[str, Manifest]) -> str:
    """Return the card as Markdown.

    Args:
        manifests: File name -> manifest of every artifact in the folder, at least one.
    """
    # The sampler is the main artifact; without one, any manifest describes the training.
    chosen = next((m for m in manifests.values() if m.role == "sampler"), None)
    main = chosen or next(iter(manifests.values()))
    sections = [
        f"# Artifacts of {_code(main.method)}, round {main.round}\n",
        _contents(manifests),
        _training(main),
        _inputs(main),
        _parity(manifests),
        *(_agreement(name, m) for name, m in manifests.items() if m.agreement),
        *(_usage(name, m) for name, m in manifests.items() if name.endswith(".onnx")),
        _LIMITS,
    ]
    return "\n".join(sections)


def _contents(manifests: Mapping[str, Manifest]) -> str:
    rows = [
        f"| `{name}` | {_PURPOSES[m.role]} | {m.precision} | {m.round} |"
        for name, m in manifests.items()
    ]
    head = "| file | what it does | precision | round |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def _training(main: Manifest) -> str:
    accuracy = "not measured" if main.accuracy is None else f"{100 * main.accuracy:.1f} %"
    classes = ", ".join(_code(name) for name in main.classes) or "none"
    versions = ", ".join(f"{_plain(key)} {_plain(value)}" for key, value in main.versions.items())
    return f"""\
## Training

- Method: {_code(main.method)}, seed {main.seed}, round {main.round}
- Labeled images: {main.labels}
- Accuracy of the task model on held-out images: {accuracy}
- Classes, in the order of the probabilities: {classes}
- Digest of the pool: {_code(main.dataset_digest or "unknown")}
- Created: {_plain(main.created)} with {versions}
"""


def _inputs(main: Manifest) -> str:
    kind = "gray" if main.channels == 1 else "color (RGB)"
    side = main.input_size
    return f"""\
## Input

uint8, shape (N, {side}, {side}, {main.channels}), values 0..255, {kind}; any N. {_resizing(main)}
to {side}x{side} with Pillow's antialiased {_filter(main)} filter. Normalization is part of the
graph.
{_encoder(main)}{_samples(main)}"""


def _filter(main: Manifest) -> str:
    return "bilinear" if main.encoder is None else main.encoder.interpolation


def _resizing(main: Manifest) -> str:
    if main.encoder is None or not main.encoder.share:
        return "Images of another size are stretched"
    return (
        f"The central square with {main.encoder.share:.6g} of the shorter side is cut out and "
        "resized"
    )


def _encoder(main: Manifest) -> str:
    if main.encoder is None:
        return ""
    licence = main.encoder.licence or "unknown"
    return (
        f"The graph contains the encoder {_code(main.encoder.source)}; the license of its weights: "
        f"{_plain(licence)}.\n"
    )


def _samples(main: Manifest) -> str:
    if main.sample_range is None:
        return ""
    low, high = main.sample_range
    return (
        "Before that, samples of images of more than 8 bits are mapped linearly to 0..255, and "
        f"clipped:\n{low:.9g} becomes 0 and {high:.9g} becomes 255. Images of 8 bits stay as they "
        "are.\n"
    )


def _parity(manifests: Mapping[str, Manifest]) -> str:
    rows = [
        f"| `{name}` | {_code(output)} | {batch} | {difference:.2g} |"
        for name, m in manifests.items()
        for batch, outputs in m.parity.items()
        for output, difference in outputs.items()
    ]
    return (
        "## Parity\n\nLargest absolute difference from the eager model, measured through the "
        "engine that `dgaal score`\nuses, on these files.\n\n"
        "| file | output | batch size | difference |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n"
    )


def _agreement(name: str, m: Manifest) -> str:
    spearman = m.agreement.get("spearman", float("nan"))
    overlap = m.agreement.get("top_5_percent_overlap", float("nan"))
    images = m.agreement.get("images", 0.0)
    return (
        f"## Ranking of `{name}`\n\nIts convolutions are int8, except those on pixels and, "
        "where the best images would\nchange, those on small feature maps. Compared with the "
        f"float32 sampler on {images:.0f} images of\nthe pool that were not used to quantize it: "
        f"Spearman {spearman:.4f}, overlap of the best 5 %: {overlap:.2f}.\n"
    )


def _usage(name: str, m: Manifest) -> str:
    mode, suffix = ("L", "[..., None]") if m.channels == 1 else ("RGB", "")
    size = (m.input_size, m.input_size)
    feed = ['"images": images']
    lines = [
        "import numpy as np",
        "import onnxruntime",
        "from PIL import Image",
        "",
        f'session = onnxruntime.InferenceSession("{name}", providers=["CPUExecutionProvider"])',
        f'picture = Image.open("image.png").convert("{mode}")',
        *_cut(m),
        f"picture = picture.resize({size}, Image.Resampling.{_filter(m).upper()}{_box(m)})",
        f"images = np.asarray(picture, dtype=np.uint8){suffix}[None]",
    ]
    for info in m.inputs[1:]:
        width = info.shape[1]
        lines.append(
            f"{info.name} = np.random.default_rng(0).uniform("
            f"0.95, 1.05, (1, {width})).astype(np.float32)"
        )
        feed.append(f'"{info.name}": {info.name}')
    outputs = [info.name for info in m.outputs]
    lines += [
        f"values = session.run({outputs}, {{{', '.join(feed)}}})",
        f"result = dict(zip({outputs}, values))",
    ]
    meanings = "\n".join(f"- `{_plain(i.name)}`: {_plain(i.meaning)}" for i in m.outputs)
    code = "\n".join(lines)
    return f"## Use `{name}` from Python\n\n```python\n{code}\n```\n\n{meanings}\n"


def _cut(m: Manifest) -> list[str]:
    """Return the lines that compute the central square."""
    if not _box(m) or m.encoder is None:
        return []
    return [
        f"edge = min(picture.size) * {m.encoder.share!r}",
        "left, top = ((length - edge) / 2 for length in picture.size)",
    ]


def _box(m: Manifest) -> str:
    is_cut = m.encoder is not None and m.encoder.share > 0
    return ", (left, top, left + edge, top + edge)" if is_cut else ""


def _code(text: str) -> str:
    """Return the text as a Markdown code span, with backticks replaced."""
    escaped = show(text).replace("`", "'").replace("|", "\\|")
    return f"`{escaped}`" if escaped.strip() else "(empty)"


def _plain(text: str) -> str:
    """Return the text with Markdown and HTML escaped."""
    escaped = show(text)
    for mark in "\\`*_[]<>|#":
        escaped = escaped.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return escaped
