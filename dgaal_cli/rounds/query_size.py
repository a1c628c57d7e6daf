"""How many images a query asks: the requested number, within pool and budget."""

from collections.abc import Callable

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError

NOTHING_LEFT = "every image of the pool is answered; there is nothing left to ask"


def images_to_ask(
    config: Config,
    *,
    left: int,
    annotations: Callable[[], int],
    count: int | None = None,
    synthetic: int = 0,
) -> int:
    """Return how many images of the pool are asked.

    Args:
        config: Configuration.
        left: Images that can still be asked.
        annotations: Counts the answers so far; called only if there is a budget.
        count: Requested images; None requests ``query.size``, fewer near the end of pool or budget.
        synthetic: Synthetic images that are asked in addition.

    Raises:
        UsageError: Nothing is left, the budget is spent, or ``count`` is more than there are.
    """
    if left == 0 and not synthetic:
        raise UsageError(NOTHING_LEFT)
    requested = config.query.size if count is None else count
    budget = config.query.budget
    affordable = left
    if budget:  # each image needs one label per annotator
        affordable = (budget - annotations()) // config.query.overlap - synthetic
    if affordable < (0 if synthetic and not left else 1):
        raise UsageError(
            f"the budget of {budget} labels is spent; raise query.budget in dgaal.toml to continue"
        )
    if count is not None and count > left:
        raise UsageError(f"requested {count} images, {left} are unlabeled; lower -n")
    if count is not None and count > affordable:
        raise UsageError(
            f"requested {count} images, the budget leaves {affordable}; lower -n or raise "
            "query.budget"
        )
    return min(requested, left, affordable)
