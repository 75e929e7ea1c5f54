"""A step's timestamp counts as Composer's does."""

from __future__ import annotations

from datetime import timedelta


def test_it_counts_as_composers() -> None:
    from composer.core import Time
    from composer.core import Timestamp as ComposerTimestamp

    from resnet_exp.training.step.timestamp import Timestamp

    theirs, ours = ComposerTimestamp(), Timestamp()
    assert type(ours).__qualname__ == type(theirs).__qualname__, "checkpoints name it"
    for batch in range(1, 8):
        before = ours.state_dict()
        moved = theirs.to_next_batch(8, 0, timedelta(seconds=batch)), ours.to_next_batch(8, 0, timedelta(seconds=batch))
        assert ours.state_dict() == before, "the one before stays"
        theirs, ours = moved
        if batch % 3 == 0:
            theirs, ours = theirs.to_next_epoch(), ours.to_next_epoch()
        if batch == 5:  # as a run that goes on from a checkpoint
            saved, ours = ours.state_dict(), Timestamp()
            ours.load_state_dict(saved)
        assert ours.state_dict() == theirs.state_dict() and isinstance(ours, Timestamp)
        assert ours.get("ba") == Time(batch, "ba") and ours < "9ba"
    assert ours.to_next_batch(8, 5).state_dict() == theirs.to_next_batch(8, 5).state_dict()
    assert ours.to_next_batch().state_dict() == theirs.to_next_batch().state_dict()
