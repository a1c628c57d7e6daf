"""Choose the next query by what the workspace has: networks, features, or ids alone."""

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.registry import (
    FIRST_METHOD,
    load_feature_rule,
    load_first_rule,
    load_id_scores,
)
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.drawing_quality import refusal_of_synthesis
from dgaal_cli.rounds.id_query import choose_by_ids
from dgaal_cli.rounds.state import RoundState, round_state
from dgaal_cli.store.protocol import Store
from dgaal_cli.workspace import Workspace


def choose_next(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    count: int | None,
    synthetic: int,
    like: SampleId | None = None,
    is_urgent: bool = False,
    emit: Emit,
) -> ChosenEntries:
    """Choose the next images by the configured method, without storing the query.

    Without a trained round that can choose, images are chosen by ``registry.FIRST_METHOD``.

    Args:
        workspace: Workspace to query.
        config: Configuration.
        store: Its store.
        count: Pool images to ask; None uses ``query.size``.
        synthetic: Images to synthesize near the decision boundary and ask in addition.
        like: Image of the pool that the images of the query are to resemble; None: none.
        is_urgent: See ``pool_rows``.
        emit: Listener for progress.

    Raises:
        UsageError: A query is open, more images are requested than exist, or synthetic images are
            requested and cannot be made.
        CheckpointError: Checkpoints are damaged.
    """
    state = round_state(workspace, store)
    _check_turn(state)
    lack = _lack_of_training(state)
    if lack and synthetic:
        raise UsageError(f"{lack}; run 'dgaal train' first")
    if synthetic and (refusal := refusal_of_synthesis(workspace, config)):
        raise UsageError(refusal)
    if like is not None and synthetic:
        raise UsageError("--like and --synthetic exclude each other; use one of them")
    id_scores = None if synthetic or like is not None else load_id_scores(config.method)
    if id_scores is not None:
        return choose_by_ids(
            workspace, config, store, id_scores, number=state.number, count=count, emit=emit
        )
    rule, strategy = load_feature_rule(config), config.method
    if like is not None:
        from dgaal_cli.rounds.similar_query import STRATEGY, similar_rule

        rule, strategy = similar_rule(store, like), STRATEGY
    if synthetic or (rule is None and not lack):
        from dgaal_cli.rounds.network_query import choose_by_networks

        return choose_by_networks(
            workspace, config, store, count=count, synthetic=synthetic, emit=emit
        )
    from dgaal_cli.rounds.feature_query import choose_by_features

    if state.is_midway:
        later = "the next training starts anew, with the labels of this query"
        emit(Warned(message=f"the training of round {state.number} was interrupted; {later}"))
    if rule is None:
        strategy, rule = FIRST_METHOD, load_first_rule()
        emit(Warned(message=f"{lack}: images are chosen by '{strategy}', not by '{config.method}'"))
    return choose_by_features(
        workspace,
        config,
        store,
        rule,
        number=state.number,
        strategy=strategy,
        count=count,
        is_urgent=is_urgent,
        emit=emit,
    )


def _lack_of_training(state: RoundState) -> str:
    """Say why no trained round can choose; empty if one can."""
    if state.step != "train":
        return ""
    if state.trained is None:
        return "nothing is trained yet"
    return f"round {state.trained} has asked its query already"


def _check_turn(state: RoundState) -> None:
    if state.step == "label" and state.open_query is not None:
        raise UsageError(
            f"round {state.number} still asks {state.open_query.left} of "
            f"{state.open_query.size} images; label them with 'dgaal label', or close the query "
            "with 'dgaal train'"
        )
    if state.damage and state.trained is None:
        raise CheckpointError(f"{state.damage}; run 'dgaal train --fresh', which changes no label")
    if state.step == "train" and state.damage:
        raise UsageError(f"{state.damage}; run 'dgaal train' first")
