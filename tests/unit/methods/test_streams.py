"""Endless shuffled streams: each row once per pass, with random access by position."""

import torch

from dgaal_cli.methods.vaal_family.draws import RowStream

ROWS = torch.arange(100, 123)


def test_pass_contains_each_row_at_most_once():
    stream = RowStream(ROWS, 5, 0, "a")
    seen = torch.cat([stream.batch_at(k) for k in range(4)]).tolist()
    assert len(seen) == len(set(seen)) == 20
    assert set(seen) <= set(ROWS.tolist())
    other = torch.cat([stream.batch_at(4 + k) for k in range(4)]).tolist()
    assert len(set(other)) == 20
    assert other != seen


def test_batch_at_does_not_depend_on_the_order_of_calls():
    one, other = RowStream(ROWS, 5, 0, "a"), RowStream(ROWS, 5, 0, "a")
    batches = [one.batch_at(k) for k in range(30)]
    for position in (29, 3, 17, 3):
        assert torch.equal(other.batch_at(position), batches[position])


def test_streams_with_another_seed_or_role_differ():
    first = RowStream(ROWS, 20, 0, "a").batch_at(0)
    assert not torch.equal(first, RowStream(ROWS, 20, 1, "a").batch_at(0))
    assert not torch.equal(first, RowStream(ROWS, 20, 0, "b").batch_at(0))


def test_rows_repeat_if_fewer_than_a_batch():
    batch = RowStream(ROWS[:3], 8, 0).batch_at(5)
    assert len(batch) == 8
    assert set(batch.tolist()) <= {100, 101, 102}
