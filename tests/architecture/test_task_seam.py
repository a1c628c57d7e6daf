"""Only tasks depend on the meaning of labels; the list of exceptions may only get shorter."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "dgaal_cli"
LEARNING = ("encoders", "training", "methods", "rounds", "networks")
"""Folders that train, rank and query for any kind of label."""
NEUTRAL = (*LEARNING, "store", "labeling", "scoring")
"""Folders that must not import a task."""
CLASSIFICATION = "dgaal_cli.tasks.classification"
MAY_IMPORT = {
    "tui/grid.py": "the grid confirms classes",
    "tui/labeling/answers.py": "the label screen of classification",
    "tui/plain.py": "labels classes by line",
    "tui/screens/review.py": "changes the class of an answer",
}
"""Files outside the task that may import classification, and why."""
LEARNS_CLASSES = {"methods/vaal_family/game.py": "SRAAL's classifier of latents"}
"""Neutral files that may use the loss of classes."""


def imports_of_classification(tree: ast.Module) -> bool:
    """Return whether a module imports classification, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(CLASSIFICATION):
            return True
        if isinstance(node, ast.Import) and any(
            n.name.startswith(CLASSIFICATION) for n in node.names
        ):
            return True
    return False


def is_number(side: ast.expr) -> bool:
    """Return whether one side of a comparison is a literal number; None is not a class number."""
    return isinstance(side, ast.UnaryOp) or (
        isinstance(side, ast.Constant) and side.value is not None
    )


def compares_class_numbers(tree: ast.Module) -> bool:
    """Return whether a module computes the loss of classes or compares targets with a number."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "cross_entropy":
            return True
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            is_target = any(isinstance(s, ast.Attribute) and s.attr == "targets" for s in sides)
            if is_target and any(is_number(side) for side in sides):
                return True
    return False


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))


def test_only_listed_files_import_classification():
    found = {
        name
        for name, tree in modules(".")
        if not name.startswith("tasks/") and imports_of_classification(tree)
    }
    assert found == set(MAY_IMPORT)
    assert not any(name.startswith(tuple(f"{folder}/" for folder in NEUTRAL)) for name in found)


def test_learning_code_compares_no_class_numbers():
    found = {name for name, tree in modules(*LEARNING) if compares_class_numbers(tree)}
    assert found == set(LEARNS_CLASSES)


def test_control_code_specific_to_classes_is_caught():
    """Negative control: each form that the code once had is found."""
    for source in (
        "labeled = data.targets >= 0",
        "left = np.flatnonzero(data.synthetic.targets == -1)",
        "loss = F.cross_entropy(outputs, targets)",
    ):
        assert compares_class_numbers(ast.parse(source)), source
    for source in (
        "from dgaal_cli.tasks.classification.label import class_of",
        "def f():\n    import dgaal_cli.tasks.classification.model",
    ):
        assert imports_of_classification(ast.parse(source)), source
    for source in ("same = task.is_equal(data.targets, other)", "if pools.targets is None: pass"):
        assert not compares_class_numbers(ast.parse(source)), source
