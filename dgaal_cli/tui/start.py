"""Start the label screen or the line mode."""

import os
import sys
from collections.abc import Callable

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import SampleId
from dgaal_cli.tui.bridge import LabelSession
from dgaal_cli.tui.prefetch import Reader
from dgaal_cli.workspace import Workspace


def start_plain(opener: Callable[[], LabelSession]) -> int:
    """Run the line mode on stdin and stdout; return the exit code."""
    from dgaal_cli.tui.plain import run_plain

    return run_plain(opener, sys.stdin, sys.stdout)


def start_screen(
    opener: Callable[[], LabelSession],
    workspace: Workspace,
    config: Config,
    *,
    images: str,
    is_review_first: bool,
    dgaal: str,
    say: Callable[[str], None],
) -> int:
    """Run the label screen until the operator leaves; return the exit code.

    ``say`` prints what was done and the next command, for which ``dgaal`` calls dgaal.
    """
    from dgaal_cli.tui.bridge import Bridge

    bridge = Bridge(opener)
    bridge.begin()  # opens the store and leases the first image while Textual is imported
    if config.label.theme == "light":
        from dgaal_cli.tui.theme import use_light

        use_light()
    from dgaal_cli.tui.app import run
    from dgaal_cli.tui.keymap import OwnKeys
    from dgaal_cli.tui.render.choose import Mode, choose_mode
    from dgaal_cli.tui.render.look import choose_glyphs
    from dgaal_cli.tui.settings import Settings, print_nothing
    from dgaal_cli.tui.trainer import command_for

    def make_reader() -> Reader:
        from dgaal_cli.data.image_reader import ImageReader
        from dgaal_cli.data.sample_range import rendering_of

        return ImageReader(workspace.root, config.pool.source, rendering_of(config.pool))

    def synthetic_of_round(number: int) -> list[SampleId]:
        folder = workspace.round_path(number) / "synthetic"
        names = sorted(path.name for path in folder.glob("*.png"))
        return [SampleId(f"synthetic/{number:03d}/{name}") for name in names]

    gallery = None
    if images == "kitty":
        from dgaal_cli.tui.render.kitty import Gallery

        gallery = Gallery(os.environ)
    mode = choose_mode(images, os.environ)
    setting = "half" if images.startswith("half") else config.label.glyphs
    is_palette = images == "auto" and mode is Mode.HALF256
    settings = Settings(
        mode=mode,
        grid_floor=config.label.grid_floor,
        glyphs=choose_glyphs(setting, os.environ),
        task=config.task,
        advice="256 colors; more: set COLORTERM" if is_palette else "",
        gate_s=config.label.gate_ms / 1000,
        hints=config.label.hints,
        make_reader=make_reader,
        train_command=command_for(workspace.root),
        is_review_first=is_review_first,
        say=print_nothing if os.environ.get("TEXTUAL_DRIVER") else say,  # a tab of --serve
        dgaal=dgaal,
        uses_learner=config.label.learner,
        gallery=gallery,
        keys=OwnKeys(commands=config.label.keys, classes=config.label.class_keys),
        synthetic_of_round=synthetic_of_round,
        has_sampler=(workspace.artifacts_path / "sampler.onnx").is_file,
    )
    return run(bridge, settings)
