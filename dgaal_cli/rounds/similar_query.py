"""A query for images that resemble one: to find more of a rare class."""

import numpy as np

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.features.herding import Picks
from dgaal_cli.features.kernel import FeatureRows, Floats, Ids
from dgaal_cli.features.similar import most_similar
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.feature_rules import FeatureRule
from dgaal_cli.store.protocol import Images

STRATEGY = "similar"


def similar_rule(store: Images, like: SampleId) -> FeatureRule:
    """Return the rule that asks the images nearest to one by features.

    Raises:
        UsageError: The pool has no such image; or, when the rule chooses, it has no features.
    """
    item = store.item_by_sample(like)
    if item is None:
        raise UsageError(
            f"--like names {show(like)}, and no image of the pool has this name; give one as "
            "'dgaal query' lists it"
        )

    def pick(
        rows: FeatureRows, ids: Ids, labeled: Ids, count: int, *, weights: Floats | None
    ) -> Picks:
        _ = weights
        found = np.flatnonzero(ids == item.item_id)
        if not len(found):
            raise UsageError(
                f"--like names {show(like)}, which has no features; give another image"
            )
        return most_similar(rows, labeled, count, position=int(found[0]))

    return FeatureRule(pick, f"resembles {show(like)}")
