"""Single rows of a score table."""

from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.rows import Row


def scored(
    sample_id: SampleId,
    path: str,
    score: float,
    p_unlabeled: float | None,
    prediction: tuple[str, float | None],
) -> Row:
    """Build the row of an image with a score; ``prediction`` is class name and probability."""
    return Row(
        is_unreadable=False,
        descending=-score,
        id=sample_id,
        path=path,
        p_unlabeled=p_unlabeled,
        predicted=prediction[0],
        confidence=prediction[1],
        error="",
    )


def unreadable(sample_id: SampleId, path: str, reason: str) -> Row:
    """Build the row of an image without a score."""
    return Row(
        is_unreadable=True,
        descending=0.0,
        id=sample_id,
        path=path,
        p_unlabeled=None,
        predicted="",
        confidence=None,
        error=reason,
    )
