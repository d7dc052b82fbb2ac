"""Table 5: the paper's rows, ours over seeds, and what a part does; arithmetic by hand."""

import math

import pytest

from dsn_core.evaluation.config import DepthProtocol
from dsn_core.evaluation.run import RowScore
from dsn_core.evaluation.table_5 import ScoredVariant, part_effects, spreads, table_5

PROTOCOL = DepthProtocol(80.0, 1e-3)
ALL = ('RN', 'SN', 'LE', 'PD')
NO_LE = ('RN', 'SN', 'PD')


def figures(abs_rel=0.2, rmse=5.0, a1=0.8, iou=None):
    errors = {'abs_rel': abs_rel, 'rmse': rmse, 'a1': a1}
    wrong = dict.fromkeys(errors, 99.0)
    return {
        'depth': {
            'table_1': {'median_scaled': wrong},
            'table_2': {'median_scaled': errors, 'unscaled': wrong},
        },
        'labels': {'miou': 0.99, 'iou': iou} if iou else None,
    }


def score(name='x', set_name='towns', baseline=False, **conditions):
    conditions = {k.replace('_', '-'): v for k, v in conditions.items()}
    return RowScore(name, 'M', baseline, False, set_name, (1, 2, 3), conditions)


def cells(table, name, origin='ours'):
    (found,) = (
        line
        for block in table.blocks
        for line in block.lines
        if (line.name, line.origin) == (name, origin)
    )
    return dict(zip(table.columns[1:], found.cells, strict=True))


def test_the_papers_rows():
    (table,) = table_5([], [], PROTOCOL)
    assert table.columns[:5] == ('Variant', 'RN', 'SN', 'LE', 'PD')
    assert [line.origin for line in table.blocks[0].lines] == ['paper'] * 5
    row = cells(table, 'without LE', 'paper')
    assert [row[part] for part in ALL] == ['✓', '✓', '', '✓']
    assert (row['day mIoU↑'], row['day RMSE↓'], row['night δ<1.25↑']) == (
        '54.14',
        '6.760',
        '0.655',
    )
    full = cells(table, 'full', 'paper')
    assert (full['day Abs Rel↓'], full['night mIoU↑']) == ('0.151', '35.05')


def test_mean_and_sample_deviation_over_seeds():
    found = spreads(
        [
            score(day_clear=figures(0.1, iou={'road': 0.9, 'car': 0.5, 'sky': 0.0})),
            score(day_clear=figures(0.2, iou={'road': 0.8, 'car': None})),
            score(day_clear=figures(0.6)),
        ]
    )
    abs_rel = found['day']['abs_rel']
    # 0.1, 0.2, 0.6: mean 0.3, squares 0.04 + 0.01 + 0.09 = 0.14 over 2.
    assert abs_rel.mean == pytest.approx(0.3)
    assert abs_rel.deviation == pytest.approx(math.sqrt(0.07))
    assert abs_rel.seeds == 3
    # Road and car are of Table 3a, sky is not: 70 and 80 percent.
    assert found['day']['miou'].mean == pytest.approx(75)
    assert found['day']['miou'].seeds == 2
    assert found['day']['rmse'].deviation == 0


def test_one_seed_has_no_deviation():
    assert spreads([score(night=figures())])['night']['a1'] == (0.8, None, 1)


def test_ours_stand_below_the_papers_of_the_same_parts():
    variants = [
        ScoredVariant('mine', ALL, (score(day=figures(0.25)), score(day=figures(0.35)))),
        ScoredVariant('dark', NO_LE, (score(day=figures(), dusk=figures(0.4)),)),
        ScoredVariant('odd', ('RN',), (score(day=figures()),)),
        ScoredVariant('md2', None, (score(day=figures(0.5)),)),
        ScoredVariant('broken', ALL, ()),
    ]
    others = [score('default', day=figures()), score('map', baseline=True, day=figures())]
    table, effects = table_5(variants, others, PROTOCOL)
    assert [line.name for line in table.blocks[0].lines] == [
        'without RN',
        'without SN',
        'without LE',
        'dark',
        'without PD',
        'full',
        'mine',
        'broken',
        'odd',
    ]
    assert [[line.name for line in block.lines] for block in table.blocks[1:]] == [
        ['md2'],
        ['default', 'map'],
    ]
    assert cells(table, 'mine')['day Abs Rel↓'] == '0.300 ± 0.071'
    assert cells(table, 'dark')['dusk Abs Rel↓'] == '0.400'
    assert cells(table, 'dark')['LE'] == ''
    assert cells(table, 'dark')['day mIoU↑'] == '\u2013'
    assert set(cells(table, 'broken').values()) == {'✓', '\u2013'}
    assert '2 seeds' in table.note
    assert '80 m' in table.note
    assert [block.heading for block in effects.blocks] == ['LE: light enhancement']


def test_a_table_for_each_set():
    variant = ScoredVariant('full', ALL, (score(day=figures()), score('x', 'b', day=figures(0.9))))
    one, two = table_5([variant], [], PROTOCOL)
    assert one.title.endswith('on towns')
    assert cells(two, 'full')['day Abs Rel↓'] == '0.900'


def effect(full, without, figure='abs_rel'):
    variants = [
        ScoredVariant('full', ALL, tuple(score(night=figures(**{figure: v})) for v in full)),
        ScoredVariant('w', NO_LE, tuple(score(night=figures(**{figure: v})) for v in without)),
    ]
    (found,) = (e for e in part_effects(variants) if e.figure == figure)
    return found


@pytest.mark.parametrize(
    ('full', 'without', 'figure', 'verdict'),
    [
        ((0.20, 0.22), (0.30, 0.32), 'abs_rel', 'earns its place'),
        ((0.30, 0.32), (0.20, 0.22), 'abs_rel', 'does not earn its place'),
        ((0.30, 0.32), (0.20, 0.22), 'a1', 'earns its place'),
        ((0.20, 0.22), (0.22, 0.24), 'abs_rel', 'within the spread'),
        ((0.2,), (0.3,), 'abs_rel', 'one seed: better with it'),
        ((0.3,), (0.3,), 'a1', 'one seed: not better with it'),
        ((0.2, 0.3), (0.3,), 'abs_rel', 'one seed: better with it'),
    ],
)
def test_whether_a_part_earns_its_place(full, without, figure, verdict):
    assert effect(full, without, figure).verdict == verdict


def test_the_difference_and_its_spread():
    found = effect((0.40, 0.50), (0.40, 0.46))
    assert (found.part, found.condition) == ('LE', 'night')
    assert found.difference == pytest.approx(0.02)
    # Sample deviations 0.1 / sqrt(2) and 0.06 / sqrt(2).
    assert found.spread == pytest.approx(math.sqrt(0.005 + 0.0018))
