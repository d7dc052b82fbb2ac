"""The tables: the paper's figures as it prints them, and ours beside them."""

import pytest

from dsn_core.evaluation import published
from dsn_core.evaluation.config import EvaluationConfig
from dsn_core.evaluation.run import RowScore
from dsn_core.evaluation.tables import tables

ERRORS = {
    'abs_rel': 0.1234,
    'sq_rel': 1.0,
    'rmse': 5.5,
    'rmse_log': 0.2,
    'a1': 0.8,
    'a2': 0.9,
    'a3': 0.95,
}


class Config(EvaluationConfig):
    def __init__(self):
        from dsn_core.evaluation.config import DepthProtocol

        object.__setattr__(self, 'table_1', DepthProtocol(40.0, 0.1))
        object.__setattr__(self, 'table_2', DepthProtocol(80.0, 0.001))


def figures(abs_rel=0.1234, labels=True):
    errors = {**ERRORS, 'abs_rel': abs_rel}
    both = {'median_scaled': errors, 'unscaled': {**errors, 'abs_rel': 2 * abs_rel}}
    return {
        'frames': 4,
        'depth': {'table_1': both, 'table_2': both},
        'scale': {'median': 1.5, 'spread': 0.1},
        'labels': {'miou': 0.5, 'iou': {'road': 0.91239, 'sky': 0.7}} if labels else None,
        'calibration': None,
        'temporal': {'pairs': 3, 'depth': 0.05, 'labels': 0.9, 'true_labels': 0.99},
        'pictures': {},
    }


def row(name='mine', metric=True, **conditions):
    return RowScore(name, 'sim', False, metric, 'towns', (1, 2, 3), conditions)


def line(table, name, heading=None, split=None):
    (found,) = (
        each
        for block in table.blocks
        if heading in (None, block.heading)
        for each in block.lines
        if each.name == name and split in (None, each.cells[0])
    )
    return dict(zip(table.columns[1:], found.cells, strict=True))


def test_cells_of_the_paper():
    one, two, three_a, three_b, _ = tables([], Config())
    assert line(one, 'DepthSegNet24', 'Night')['Abs Rel↓'] == '0.195'
    assert line(one, 'DepthSegNet24', 'Day')['RMSE↓'] == '3.490'
    assert line(one, 'Monodepth2 (night)', 'Night')['Sq Rel↓'] == '25.213'
    assert line(one, 'ADDS-DepthNet', 'Night')['δ<1.25²↑'] == '0.908'
    assert line(one, 'HR-Depth', 'Day')['RMSE log↓'] == '0.166'
    assert line(two, 'md4all')['Train'] == 'M+v'
    assert line(two, 'md4all')['night RMSE↓'] == '8.507'
    assert line(two, 'DepthSegNet24')['day Abs Rel↓'] == '0.151'
    assert line(two, 'STEPS')['day δ<1.25↑'] == '0.858'
    assert line(two, 'Monodepth2-naive')['night Abs Rel↓'] == '0.256'
    assert line(three_a, 'Mask2Former', split='day')['mIoU'] == '68.31'
    assert line(three_a, 'DepthSegNet24', split='night')['truck'] == '6.81'
    assert line(three_a, 'DepthSegNet24', split='day')['terrain'] == '57.44'
    assert line(three_b, 'DepthSegNet24', split='night')['sky'] == '19.67'
    assert line(three_b, 'DepthSegNet24', split='day')['car'] == '89.50'


@pytest.mark.parametrize(
    ('rows', 'classes'),
    [
        (published.TABLE_3_NUSCENES, published.TABLE_3_NUSCENES_CLASSES),
        (published.TABLE_3_ROBOTCAR, published.TABLE_3_ROBOTCAR_CLASSES),
    ],
)
def test_the_papers_mean_is_the_mean_of_its_classes(rows, classes):
    # A digit that was copied wrongly would not add up. One row of the paper's own is 0.06 off.
    for each in rows:
        assert len(each.classes) == len(classes)
        off = 0.062 if (each.method, each.miou) == ('DepthSegNet24', 57.74) else 0.01
        assert sum(each.classes) / len(classes) == pytest.approx(each.miou, abs=off)


def test_ours_stands_beside_in_both_scalings():
    mine = row(day=figures(), night=figures(0.2), dusk=figures(0.3))
    one, two, three_a, three_b, beyond = tables([mine], Config())
    assert [block.heading for block in one.blocks] == ['Night', 'Day', 'Dusk']
    assert line(one, 'mine, median-scaled', 'Night')['Abs Rel↓'] == '0.200'
    assert line(one, 'mine, unscaled', 'Day')['Abs Rel↓'] == '0.247'
    assert line(two, 'mine, median-scaled')['dusk Abs Rel↓'] == '0.300'
    assert line(two, 'mine, median-scaled')['Train'] == 'sim'
    assert line(two, 'RNW')['dusk RMSE↓'] == '\u2013'
    assert line(three_a, 'mine', split='night')['road'] == '91.24'
    assert line(three_a, 'mine', split='night')['truck'] == '\u2013'
    assert line(three_b, 'mine', split='dusk')['sky'] == '70.00'
    assert line(beyond, 'mine', 'Dusk')['Depth change↓'] == '5.00'
    assert line(beyond, 'mine', 'Day')['Scale'] == '1.500'
    assert line(beyond, 'mine', 'Day')['mIoU, all classes↑'] == '50.00'
    assert line(three_b, 'mine', split='dusk')['mIoU'] == '80.62'  # of road and sky


def test_a_relative_row_has_no_unscaled_line_and_no_scale():
    one, *_, beyond = tables([row(metric=False, day=figures())], Config())
    assert 'mine, unscaled' not in {each.name for block in one.blocks for each in block.lines}
    assert line(beyond, 'mine')['Scale'] == '\u2013'


def test_day_clear_is_the_papers_day_and_sets_keep_to_their_tables():
    scores = RowScore('mine', 'M', False, False, 'nuScenes', (2, 3), {'day-clear': figures()})
    one, two, three_a, *_ = tables([scores], Config())
    assert line(two, 'mine, median-scaled')['day Abs Rel↓'] == '0.123'
    assert line(three_a, 'mine', split='day')['mIoU'] == '91.24'  # of the columns: the sky is none
    assert all(each.origin == 'paper' for block in one.blocks for each in block.lines)


def test_with_two_sets_each_line_says_which():
    other = RowScore('mine', '', False, False, 'other', (1, 2, 3), {'day': figures()})
    one, *_ = tables([row(day=figures()), other], Config())
    names = {each.name for block in one.blocks for each in block.lines}
    assert {'mine (towns), median-scaled', 'mine (other), median-scaled'} <= names
