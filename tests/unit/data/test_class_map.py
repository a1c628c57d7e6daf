"""A file names the classes of the labels of a source."""

import pytest
from sample_images import png

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.data.sources.class_map import read_class_map
from dgaal_cli.errors import InputDataError, StorageError
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store


def write(folder, text):
    path = folder / "names.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_names_are_read_in_their_order(tmp_path):
    text = '\ufeffname,extra,label\r\n"tench, fish",1,n01\r\ngoldfish,,n02\r\ngoldfish,,n03\r\n'
    assert read_class_map(write(tmp_path, text)) == {
        "n01": "tench, fish",
        "n02": "goldfish",
        "n03": "goldfish",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the columns label and name"),
        ("label;name\n1;cat\n", "needs the columns"),
        ("label,name\n", "names no class"),
        ("label,name\n1,\n", "line 2: the row names no class"),
        ("label,name\n1,cat\n1,dog\n", "line 3"),
        ("label,name\n1\n", "line 2"),
        ('label,name\n1,"cat\n', "unexpected end of data"),
        (b"label,name\n1,\xff\n", "not UTF-8"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, text, message):
    with pytest.raises(InputDataError, match=message):
        read_class_map(write(tmp_path, text))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"none\.csv"):
        read_class_map(tmp_path / "none.csv")


def test_init_names_classes_of_pool_and_test_images(tmp_path):
    for number, name in enumerate(("pool/n01", "pool/n02", "pool/other", "test/n01")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").write_bytes(png(number))
    path = write(tmp_path, "label,name\nn01,tench\nn02,goldfish\n")
    made = init(
        InitRequest(
            root=tmp_path / "w",
            pool="pool",
            test="test",
            base=tmp_path,
            class_map=path,
            imports_labels=True,
            method="random",
        )
    )
    assert made.classes == ["goldfish", "other", "tench"]
    with open_store(made.workspace) as store:
        named = {record.uid: record.name for record in store.classes()}
        found = {r.sample_id: named[r.label.classes[0]] for r in store.labels()}
    assert found == {"n01/a.png": "tench", "n02/a.png": "goldfish", "other/a.png": "other"}
    assert made.test is not None
    assert made.test.images == 1
    assert configuration(made.workspace).pool.class_map == str(path)
