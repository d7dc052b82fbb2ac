"""The pool of older pictures that the CycleGAN's discriminators are shown."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from dsn_core.training.cyclegan import ImagePool


def numbered(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)


def test_pool_fills_with_the_first_and_hands_them_out():
    pool = ImagePool(50)
    for i in range(0, 50, 2):
        given = numbered(i, i + 1)
        assert torch.equal(pool.exchange(given, [[i], [i + 1]]), given)
    assert [int(p) for p in pool.kept] == list(range(50))


def test_a_full_pool_swaps_every_other_time():
    pool = ImagePool(50)
    pool.exchange(numbered(*range(50)), [[i] for i in range(50)])
    places, swaps = [], 0
    for i in range(50, 2050):
        before = [int(p) for p in pool.kept]
        shown = int(pool.exchange(numbered(i), [[i]]))
        after = [int(p) for p in pool.kept]
        if shown == i:
            assert after == before
        else:
            swaps += 1
            place = before.index(shown)
            places.append(place)
            assert after == before[:place] + [i] + before[place + 1 :]
    assert 900 < swaps < 1100  # 1000 expected, standard deviation 22
    assert set(places) == set(range(50))


def test_no_pool_hands_out_what_comes():
    pool = ImagePool(0)
    given = numbered(1, 2)
    assert torch.equal(pool.exchange(given, [[1], [2]]), given)
    assert not pool.kept
