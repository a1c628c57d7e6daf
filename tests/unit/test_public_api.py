"""The Python API is there by its names, typed as what it loads."""

import dgaal_cli


def test_every_public_name_loads_and_is_documented():
    for name in dgaal_cli.__dir__():
        value = getattr(dgaal_cli, name)
        assert isinstance(value, str) if name == "__version__" else value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(dgaal_cli, "no_such_name")


def test_a_round_from_python(tmp_path):
    result = dgaal_cli.init(
        dgaal_cli.InitRequest(
            root=tmp_path / "w", pool="builtin:digits", base=tmp_path, preset="tiny"
        )
    )
    workspace = dgaal_cli.open_workspace(tmp_path / "w")
    config = dgaal_cli.configuration(workspace, "query.size=7", "pretrain.min_steps=3")
    assert (result.images, config.query.size) == (1797, 7)
    status = dgaal_cli.status(workspace, config)
    assert (status.counts.unlabeled, status.next_step) == (1797, "train")
