"""Opening an image in the desktop's viewer, or reporting why it cannot be opened."""

from dgaal_cli.tui.outside import open_outside


def test_open_outside_reports_missing_file_desktop_or_path(tmp_path):
    path = tmp_path / "a\x1b.png"
    assert open_outside(str(path), {}) == f"its file is gone: {tmp_path}/a\\u{{1b}}.png"
    path.write_bytes(b"")
    assert open_outside(str(path), {}) == f"no desktop; the image is {tmp_path}/a\\u{{1b}}.png"
    assert open_outside("", {}) == "this image has no file of its own"
