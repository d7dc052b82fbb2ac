"""The label set: Cityscapes' ids and colours, and what each class is to a robot."""

import numpy as np
import pytest

from dsn_core.labels import CITYSCAPES, LabelClass, LabelSet


def test_the_nineteen_of_cityscapes_in_their_order():
    assert len(CITYSCAPES) == 19
    assert CITYSCAPES.names[:3] == ('road', 'sidewalk', 'building')
    assert [CITYSCAPES.id_of(n) for n in ('sky', 'car', 'bicycle')] == [10, 13, 18]
    assert CITYSCAPES.classes[13].colour == (0, 0, 142)


def test_every_class_has_one_of_ground_obstacle_sky():
    exclusive = [CITYSCAPES.with_role(r) for r in ('ground', 'obstacle', 'sky')]
    assert sorted(sum(exclusive, ())) == list(range(19))
    assert set(CITYSCAPES.with_role('dynamic')) <= set(CITYSCAPES.with_role('obstacle'))


def test_mask_and_colours():
    labels = np.array([[0, 13, 10, 255]], np.uint8)
    assert CITYSCAPES.mask(labels, 'obstacle').tolist() == [[False, True, False, False]]
    painted = CITYSCAPES.colourise(labels)
    assert painted.shape == (1, 4, 3)
    assert painted[0, 1].tolist() == [0, 0, 142]
    assert painted[0, 3].tolist() == [0, 0, 0]


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(KeyError, match='road'):
        CITYSCAPES.id_of('moon')
    with pytest.raises(ValueError, match='obstacle'):
        CITYSCAPES.with_role('friend')


def test_ids_must_be_in_order():
    with pytest.raises(ValueError, match='0 to n - 1'):
        LabelSet('x', (LabelClass(1, 'a', (0, 0, 0), frozenset()),))
