"""Checks after a command met a failing disk: the old or the new state must be complete."""

import json
from pathlib import Path
from typing import Any

from class_labels import name_of

from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store

Job = dict[str, Any]


def store_of(root: Path) -> Store:
    return open_store(root / "labels.db", read_only=True)


def initialized(root: Path, job: Job, code: int, _out: str) -> str:
    workspace = root / "w"
    if code == 8:
        return "a half-made workspace" if workspace.exists() else ""
    with store_of(workspace) as store:
        expected = (store.counts().items, store.counts().labeled)
        if (
            store.check()
            or not (workspace / "dgaal.toml").is_file()
            or expected != tuple(job["counts"])
        ):
            return f"not complete: {expected}"
    return ""


def imported(root: Path, job: Job, code: int, _out: str) -> str:
    before, after = job["events"]
    with store_of(root) as store:
        if store.check():
            return str(store.check())
        # A sync that fails after the last write of the commit also leaves the new state.
        is_whole = store.watermark() == after or (code == 8 and store.watermark() == before)
        if not is_whole:
            return "a part of a file"
        return _check_backups(root, [before] if store.watermark() == after else [])


def written(root: Path, job: Job, code: int, _out: str) -> str:
    """Check an output file: old or new content after a failure, otherwise the new content."""
    content = (root / job["output"]).read_text()
    if job["new"] in content or (code == 8 and content == job["old"]):
        return ""
    return f"neither the old file nor the new one: {content[:40]!r}"


def backed_up(root: Path, job: Job, code: int, _out: str) -> str:
    with store_of(root) as store:
        if store.check():
            return str(store.check())
    return _check_backups(root, [job["events"]] if code == 0 else [])


def _check_backups(root: Path, expected: list[int]) -> str:
    """Check that every backup is intact and that backups with these numbers of events exist."""
    from dgaal_cli.store.sqlite import backups

    found = [backups.verify(copy) for copy in backups.existing(root / "labels.db")]
    return "" if set(expected) <= set(found) else f"backups of {found} events, expected {expected}"


def adjudicated(root: Path, job: Job, code: int, _out: str) -> str:
    """Check that the adjudication or the old answer counts."""
    with store_of(root) as store:
        if store.check():
            return str(store.check())
        found = {label.sample_id: name_of(store, label) for label in store.labels()}[job["image"]]
    is_whole = found == job["new"] or (code == 8 and found == job["old"])
    return "" if is_whole else f"{found} counts"


def mended(root: Path, _job: Job, code: int, _out: str) -> str:
    """Check that the current state follows from the history, or is unchanged after a failure."""
    with store_of(root) as store:
        problems = store.check()
    return "" if not problems or code == 8 else str(problems)


def labeled(root: Path, job: Job, _code: int, out: str) -> str:
    acknowledged = sum(line.startswith(("saved:", "taken back")) for line in out.splitlines())
    with store_of(root) as store:
        events = store.watermark() - job["events"]
        # One more: a sync may fail after the last write of the commit; a retry then adds nothing.
        if store.check() or not acknowledged <= events <= acknowledged + 1:
            return f"{acknowledged} acknowledged, {events} stored"
    return ""


def trained(root: Path, job: Job, code: int, _out: str) -> str:
    from dgaal_cli.rounds.state import last_trained, round_metrics
    from dgaal_cli.training.checkpoint_folder import candidates, is_sound
    from dgaal_cli.workspace import Workspace

    workspace = Workspace(root)
    if last_trained(workspace) not in job["rounds"]:
        return f"trained: {last_trained(workspace)}"
    round_metrics(workspace)
    for folder in workspace.rounds_path.glob("*/progress"):
        if candidates(folder) and not is_sound(folder):
            return "a saved state that is not complete"
    with store_of(root) as store:
        return str(store.check() or "")


def asked(root: Path, _job: Job, code: int, _out: str) -> str:
    with store_of(root) as store:
        query = store.open_query()
        if store.check() or (query is not None and len(query.entries) != 8):
            return "a part of a query"
        return "nothing was stored" if code == 0 and query is None else ""


def exported(root: Path, job: Job, code: int, _out: str) -> str:
    """Check that every artifact is complete and that digests match after a success."""
    import hashlib

    from dgaal_cli.artifacts.artifact_bytes import read_artifact

    folder = root / "artifacts"
    names = [name for name in job["artifacts"] if (folder / name).is_file()]
    for name in names:
        read_artifact(folder / name)
    if code == 0 or job.get("is_second"):
        sums = dict(
            reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines()
        )
        for name, digest in sums.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not the one that SHA256SUMS lists"
    return "" if code == 8 or len(names) == len(job["artifacts"]) else "not all were written"


def scored(root: Path, job: Job, code: int, _out: str) -> str:
    text = (root / "scores.csv").read_text()
    if text.count("\n") == job["lines"] or (code == 8 and text == job["old"]):
        return ""
    return "neither the old table nor the new one"


def restored(root: Path, job: Job, code: int, _out: str) -> str:
    before, after = job["events"]
    with store_of(root) as store:
        found = store.watermark()
        if store.check() or found not in (before, after) or (code == 0 and found != after):
            return f"{found} events: {store.check()}"
    return ""


def drawn(root: Path, job: Job, code: int, _out: str) -> str:
    """Check that the folder does not exist or is complete."""
    from PIL import Image

    folder = root / "drawn"
    if not folder.exists():
        return "" if code == 8 else "nothing was drawn"
    lines = (folder / "generated.jsonl").read_text().splitlines()
    names = [json.loads(line)["file"] for line in lines]
    for name in [*names, "contact_sheet.png"]:
        with Image.open(folder / name) as image:
            image.load()
    return "" if len(names) == job["count"] else f"{len(names)} images"


def linked(root: Path, job: Job, code: int, _out: str) -> str:
    """Check that the folder of links does not exist or is complete."""
    folder = root / "out"
    if not folder.exists():
        return "" if code == 8 else "nothing was written"
    found = sorted(path.name for path in folder.rglob("*.png") if path.is_file())
    return "" if found == job["names"] else f"only {found}"


def simulated(root: Path, _job: Job, code: int, _out: str) -> str:
    """Check that every trial file is complete and that the table exists after a success."""
    from dgaal_cli.simulation.records import read_records

    folder = root / "sim"
    for path in folder.rglob("*.jsonl"):
        if not read_records(path)[-1].is_last:
            return f"{path.name} is a part of a trial"
    if list(folder.rglob("*.part")):
        return "a part of a trial was left behind"
    is_whole = (folder / "result.json").is_file() and json.loads(
        (folder / "result.json").read_text()
    )
    return "" if code == 8 or is_whole else "no result"


def reported(root: Path, _job: Job, code: int, _out: str) -> str:
    """Check that every image and the page are complete."""
    from PIL import Image

    folder = root / "report"
    pictures = list(folder.glob("*.png"))
    for picture in pictures:
        with Image.open(picture) as image:
            image.load()
    page = folder / "index.html"
    text = page.read_text().rstrip() if page.exists() else ""
    if text and not text.endswith("</html>"):
        return "a part of a page"
    return "" if code == 8 or (text and pictures) else "not drawn"


def json_job(path: Path, **job: Any) -> Path:
    path.write_text(json.dumps(job))
    return path


def encoded(root: Path, job: Job, code: int, _out: str) -> str:
    """Check that all shards are whole, and that no image lacks features after a success."""
    from dgaal_cli.features.cache import open_shards

    rows = 0
    for folder in (root / "cache" / "features").glob("*"):
        shards, refused = open_shards(folder, None, max_checked=10**9)
        if refused:
            return f"{refused[0].path.name}: {refused[0].reason}"
        rows += sum(map(len, shards))
    return "" if rows == job["count"] or code == 8 else f"{rows} rows"
