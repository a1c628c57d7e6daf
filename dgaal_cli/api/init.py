"""Create a workspace for a pool; no image is copied, renamed or moved."""

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dgaal_cli import atomic
from dgaal_cli.config.presets import PRESETS, preset_names, read_preset
from dgaal_cli.config.schema import Config, EncoderConfig
from dgaal_cli.data.grouping import group_rule
from dgaal_cli.data.image_names import is_by_server
from dgaal_cli.data.known_files import KnownFiles
from dgaal_cli.data.pool import Survey, survey
from dgaal_cli.data.pool_shape import natural_order, stretch_note
from dgaal_cli.data.sample_range import AUTO as AUTO_RANGE
from dgaal_cli.data.sample_range import parse_range, range_text
from dgaal_cli.data.sources import open_source
from dgaal_cli.data.sources.class_map import MappedSource, read_class_map
from dgaal_cli.data.sources.pages import MARK
from dgaal_cli.encoders.choice import choose_encoder, encoder_table, open_encoder
from dgaal_cli.encoders.registry import AUTO, side_for
from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.events import Emit, ignore
from dgaal_cli.ids import SampleId
from dgaal_cli.labeling.source_labels import SourceLabels, source_labels
from dgaal_cli.methods.configuration import build_configuration
from dgaal_cli.methods.registry import method_info
from dgaal_cli.rounds.pool_growth import note_folders
from dgaal_cli.rounds.test_source import TestReport, check_test_source
from dgaal_cli.store.classes import clean_name
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.fold import SOURCE
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ImportedLabel, NewItem
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import CONFIG_NAME, Workspace, lock_path


@dataclass(frozen=True, slots=True, kw_only=True)
class InitRequest:
    """Options of ``init``."""

    root: Path
    pool: str
    base: Path
    """Folder that a relative ``pool`` or ``test`` is relative to."""
    test: str = ""
    classes: Sequence[str] = ()
    method: str = "dgaal"
    preset: str = ""
    """Preset of sizes and schedules; empty uses ``small`` for color pools, else ``tiny``."""
    name: str = ""
    seed: int = 0
    query_size: int = 24
    budget: int = 0
    imports_labels: bool = False
    """Import the labels of the source."""
    accepts_network_folder: bool = False
    """Allow a network file system: only one annotator at a time may use it."""
    encoder: str = "pixels"
    """As ``encoder.source`` of the configuration, relative to ``base``; "auto" takes an installed
    encoder for images of more than 64 pixels."""
    downloads: bool = False
    """Whether the weights of a timm model may be downloaded."""
    sample_range: str = AUTO_RANGE
    """Range of the samples of images of more than 8 bits: see ``sample_range.parse_range``."""
    class_map: Path | None = None
    """CSV file with the names of the classes of the labels of both sources: see ``pool.class_map``
    of the configuration."""
    pages: Literal["first", "each", "max"] = "first"
    """What is used of files with several pages: the first, each as an image, or the brightest
    sample of all; the last two become a part of ``pool.source`` and ``pool.test``."""
    group_by: str = ""
    """How names give groups of images: see ``pool.group_by`` of the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitResult:
    """Workspace that ``init`` created."""

    workspace: Workspace
    config: Config
    images: int
    duplicates: int
    unreadable: tuple[tuple[SampleId, str], ...]
    classes: list[str]
    labels: int
    offered: int
    """Labels of the source that were not imported."""
    splits: tuple[str, ...]
    """Folders that are splits of the pool, such as ``train``."""
    conflicting: tuple[tuple[tuple[SampleId, str], ...], ...]
    """Images with equal bytes and different labels, left unlabeled: name and label of each."""
    note: str
    """How images that are not square, or of other sizes, are resized; empty without such images."""
    encoder_note: str
    """Which encoder is used and why, or what was guessed of it; empty for ``pixels``."""
    paged: tuple[SampleId, ...]
    """Images whose files have pages or frames after the first, which are not used."""
    by_server: tuple[SampleId, ...]
    """Images in folders in which file servers keep thumbnails and deleted files."""
    grouped: int
    """Images that have a group; each of the others is a group of its own."""
    groups: int
    """Groups that these have."""
    range_note: str
    """Which range of samples was chosen and why; empty if ``pool.range`` was not chosen."""
    test: TestReport | None = None
    """What was found in the test source; None without one."""


def init(request: InitRequest, *, emit: Emit = ignore) -> InitResult:
    """Survey the pool, then write the store and, last, ``dgaal.toml``.

    Args:
        request: Folder, pool, classes and preset.
        emit: Listener for progress.

    Raises:
        UsageError: A workspace exists already, or a name is unknown.
        InputDataError: The pool is missing, empty or unreadable.
        DgaalError: The encoder cannot be used here.
        InterruptedRunError: A signal stopped the call; no file is left.
    """
    root = request.root.absolute()
    _check_request(request, root)
    with _claimed(root):
        _check_free(root)  # another process may have made it meanwhile
        return _init(request, Workspace(root), emit)


@contextmanager
def _claimed(root: Path) -> Generator[None]:
    """Make the folder and keep every other ``init`` out of it; after an error nothing is left."""
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with Workspace(root).lock("init", doing="creating it"):
            try:
                yield
            finally:
                with contextlib.suppress(
                    OSError
                ):  # the workspace is complete, or the error is known
                    lock_path(root, "init").unlink(missing_ok=True)
    except BaseException:
        for folder in (root / ".locks", *made):
            with contextlib.suppress(OSError):  # something else is in it
                folder.rmdir()
        raise


def _init(request: InitRequest, workspace: Workspace, emit: Emit) -> InitResult:
    if request.pages != "first":
        mark = f"#{MARK}{request.pages}"
        test = request.test and request.test + mark
        request = replace(request, pool=request.pool + mark, test=test)
    range_request = parse_range(request.sample_range)
    group_of = group_rule(request.group_by)
    source = open_source(request.pool, base=request.base)
    test_source = open_source(request.test, base=request.base) if request.test else None
    if request.class_map is not None:
        names = read_class_map(request.class_map)
        source = MappedSource(source, names)
        test_source = None if test_source is None else MappedSource(test_source, names)
    chosen = None
    if request.encoder != AUTO:  # an encoder that does not work fails before the long survey
        chosen = open_encoder(request.encoder, base=request.base, downloads=request.downloads)
    known, began_ns = KnownFiles(), time.time_ns()
    found = survey(source, range_request=range_request, group_of=group_of, known=known, emit=emit)
    chosen = chosen or choose_encoder(found.median_side)
    labels = source_labels(found.items, _named_classes(request))
    classes = _classes(request, labels)
    test = None
    if test_source is not None:
        test = check_test_source(test_source, found, classes, group_of, emit)
    pool = {
        "source": _portable(request.pool, request.base, workspace.root),
        "test": _portable(request.test, request.base, workspace.root),
        "class_map": _portable(str(request.class_map or ""), request.base, workspace.root),
        "channels": 3 if found.is_color else 1,
        "range": list(found.range.range or ()),
        "group_by": request.group_by,
    }
    # The decoder fits the pool: gray strokes need a quarter of the width.
    preset = request.preset or ("small" if found.is_color else "tiny")
    tree: dict[str, Any] = {
        "name": request.name or show(workspace.root.name),
        "method": request.method,
        "preset": preset,
        "seed": request.seed,
        "pool": pool,
        "query": {"size": request.query_size, "budget": request.budget},
        "encoder": chosen.as_table(),
    }
    config = build_configuration(tree)
    side = side_for(config.encoder.source, found.median_side, limit=config.network.max_image_size)
    config = build_configuration({**tree, "pool": {**pool, "image_size": side}})
    result = _write(workspace, config, request, found, classes, labels)
    known.save(workspace.cache_path)
    names = (*(item.id for item in found.items), *(name for name, _ in found.unreadable))
    note_folders(workspace, config, names, began_ns=began_ns)
    return replace(result, encoder_note=chosen.note, test=test)


def _check_request(request: InitRequest, root: Path) -> None:
    method_info(request.method)
    if request.preset:
        read_preset(request.preset, PRESETS)
    _check_free(root)
    # The store's locks and syncs are not reliable on a network file system.
    location = store_location(Workspace(root).store_path)
    kind = None if request.accepts_network_folder else location.network_filesystem()
    if kind is not None:
        raise UsageError(
            f"{root} is on a network file system ({kind}), where two annotators can damage "
            "each other's labels; choose a folder on a local disk, or give --i-know if only one "
            "person on one host will ever label here"
        )


def _check_free(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; name a folder for the workspace")
    if (root / CONFIG_NAME).exists():
        raise UsageError(
            f"{root} is a workspace already; use another folder, or continue with 'dgaal status'"
        )
    if store_location(Workspace(root).store_path).exists():
        raise UsageError(
            f"{root} holds a labels.db but no {CONFIG_NAME}; put {CONFIG_NAME} back, or "
            "choose another folder: dgaal never overwrites labels"
        )


def _named_classes(request: InitRequest) -> list[str]:
    if any(not name.strip() for name in request.classes):
        raise InputDataError("a class name is empty; write --classes cat,dog")
    return list(dict.fromkeys(map(clean_name, request.classes)))


def _classes(request: InitRequest, labels: SourceLabels) -> list[str]:
    """Return the requested classes, or those of the source if its labels are imported."""
    names = _named_classes(request)
    if not request.imports_labels:
        return names
    copies = {label for group in labels.conflicting for _, label in group}
    carried = copies | set(labels.by_sample.values())
    if not carried:
        raise InputDataError(f"{request.pool} has no labels; leave --labels-from-source out")
    if names and (unknown := sorted(carried - set(names))):
        raise InputDataError(
            f"the source has labels that are not in --classes: {', '.join(unknown[:5])}"
        )
    return names or sorted(carried, key=natural_order)


def _portable(spec: str, base: Path, root: Path) -> str:
    """Return a path inside the workspace as relative, any other path as absolute."""
    path_text, mark, split = spec.rpartition("#")
    if not mark or (base / spec).exists():
        path_text, mark, split = spec, "", ""
    path = base / path_text
    if not spec or ":" in path_text.partition("/")[0]:
        return spec
    if not path.exists() and "{" not in path.name:
        return spec
    path = path.absolute()
    inside = path.is_relative_to(root)
    return (str(path.relative_to(root)) if inside else os.path.normpath(path)) + mark + split


def _write(
    workspace: Workspace,
    config: Config,
    request: InitRequest,
    found: Survey,
    classes: list[str],
    carried: SourceLabels,
) -> InitResult:
    with store_location(workspace.store_path).build(
        then=lambda: _write_config(workspace.config_path, render_config(config)),
        accepts_network_folder=request.accepts_network_folder,
    ) as store:
        store.add_classes(classes)
        added = store.add_items(
            NewItem(
                sample_id=item.id,
                sha256=item.sha256,
                size_bytes=item.size_bytes,
                width=item.width,
                height=item.height,
                group=item.group,
            )
            for item in found.items
        )
        store.mark_unreadable(found.unreadable)
        labels = 0
        if request.imports_labels:
            labels = _import_labels(store, load_task(config.task).text, carried)
        group_of = store.groups()
    return InitResult(
        workspace=workspace,
        config=config,
        images=added.new,
        duplicates=added.duplicates,
        unreadable=found.unreadable,
        classes=classes,
        labels=labels,
        offered=0 if request.imports_labels else len(carried.by_sample),
        splits=tuple(sorted({item.split for item in found.items} - {"", *classes})),
        conflicting=carried.conflicting if request.imports_labels else (),
        note=stretch_note(found.sizes(), config.pool.image_size),
        encoder_note="",
        paged=found.paged if request.pages == "first" else (),
        by_server=tuple(item.id for item in found.items if is_by_server(item.id)),
        grouped=len(group_of),
        groups=len(set(group_of.values())),
        range_note=found.range.note,
    )


def _write_config(path: Path, text: str) -> None:
    try:
        atomic.write_text(path, text)
    except StorageError:  # the new name may be there, but not durably
        path.unlink(missing_ok=True)
        raise


def _import_labels(store: Store, text: LabelText, found: SourceLabels) -> int:
    uids = {record.name: record.uid for record in store.classes()}
    labels = [
        ImportedLabel(
            sample_id=name,
            label=text.from_text((label,), lambda names: uids[names[0]]),
            annotator=SOURCE,
        )
        for name, label in found.by_sample.items()
    ]
    return store.import_labels(labels).added


def render_config(config: Config) -> str:
    """Return the text of ``dgaal.toml``: the keys that users edit, with a comment on each."""
    pool, query = config.pool, config.query
    return f"""\
# Precedence: command line, DGAAL_* environment, this file, preset, defaults.
version = {config.version}
name = {_quoted(config.name)}
method = {_quoted(config.method)}   # how the next images are chosen; 'dgaal init --help' lists all
preset = {_quoted(config.preset)}   # sizes and schedules: {", ".join(preset_names(PRESETS))}
seed = {config.seed}
device = {_quoted(config.device)}   # auto, cpu, cuda, cuda:N, mps

[pool]
source = {_quoted(pool.source)}
test = {_quoted(pool.test)}   # labeled images used only to measure accuracy; "": held-out labels
image_size = {pool.image_size}   # side in pixels that the networks see: 8, 16, 32 or 64
channels = {pool.channels}   # 1 gray, 3 color
{_range_line(pool.range)}{_group_line(pool.group_by)}{_class_map_line(pool.class_map)}
[query]
size = {query.size}   # images asked per round
budget = {query.budget}   # labels allowed in total; 0 = no limit
{_encoder_section(config.encoder)}"""


def _range_line(samples: tuple[float, ...]) -> str:
    if not samples:
        return ""
    text = range_text((samples[0], samples[1]))
    return f"range = {text}   # black and full brightness in images of more than 8 bits\n"


def _group_line(rule: str) -> str:
    if not rule:
        return ""
    return f"group_by = {_quoted(rule)}   # which images are held out together, by their names\n"


def _class_map_line(path: str) -> str:
    if not path:
        return ""
    return f"class_map = {_quoted(path)}   # names of the classes of the labels of both sources\n"


def _encoder_section(settings: EncoderConfig) -> str:
    if settings == EncoderConfig():
        return ""
    table = encoder_table(settings)
    lines = [f"{name} = {_toml(value)}" for name, value in table.items()]
    return "\n[encoder]\n" + "\n".join(lines) + "\n"


def _toml(value: str | int | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(repr, value))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    r"""Return a TOML basic string.

    Raises:
        InputDataError: The text has surrogates (undecodable path bytes), which TOML cannot store.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputDataError(
            f"the path {text} is not valid UTF-8, so dgaal.toml cannot name it; rename the "
            "folder or link to it"
        ) from error
    escaped = "".join(
        f"\\u{ord(c):04x}" if c < " " or c == "\x7f" else {"\\": "\\\\", '"': '\\"'}.get(c, c)
        for c in text
    )
    return f'"{escaped}"'
