"""``dsn ablate`` from frames to Table 5: shared stages, seeds, what is redone, what fails."""

import json
import statistics
import sys

import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')
pytest.importorskip('tensorboard', reason='tensorboard is not installed')

from support.ablation_scene import write_ablation
from support.put_back import put_back

from dsn_core.checkpoint import load_checkpoint
from dsn_ros.ablate import ablate, load_ablation
from dsn_ros.cli import main

pytestmark = pytest.mark.slow
FULL = {'name': 'full', 'marks': ['RN', 'SN', 'LE', 'PD']}
DARK = {'name': 'dark', 'marks': ['RN', 'SN', 'PD']}
EARLY = ('frames', 'translate', 'day-depth', 'label')


def record(out, *place):
    return json.loads(out.joinpath(*place, 'stage.json').read_text())


def stamps(out):
    """When each record and score was written."""
    return {
        str(f.relative_to(out)): f.stat().st_mtime_ns
        for f in out.rglob('*.json')
        if f.name == 'stage.json' or f.parent.name == 'scores'
    }


def results(out):
    data = json.loads((out / 'ablation.json').read_text())
    return data, {v['name']: v for v in data['variants']}


def command(monkeypatch, *arguments):
    """Exit code of ``dsn ablate``."""
    monkeypatch.setattr(sys, 'argv', ['dsn', 'ablate', *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two variants with two seeds, after a start with one of them alone."""
    folder = tmp_path_factory.mktemp('ablation')
    path = write_ablation(folder, seeds=[1, 2], variants=[FULL, DARK])
    ablate(load_ablation(path, ['seeds=1']), ['full'])
    first = stamps(folder / 'out')
    ablate(load_ablation(path))
    now = stamps(folder / 'out')
    assert {name: now[name] for name in first} == first
    return folder


@pytest.fixture
def changeable(folder, tmp_path):
    """The same, for a test that changes it."""
    with put_back(folder, tmp_path / 'kept'):
        yield folder


def test_the_stages_before_distil_are_made_once(folder):
    out = folder / 'out'
    assert {p.parent.name for p in (out / 'shared').glob('*/stage.json')} == set(EARLY)
    runs = sorted(str(p.parent.relative_to(out / 'runs')) for p in out.glob('runs/**/stage.json'))
    assert runs == [f'{v}/seed-{s}/distil' for v in ('dark', 'full') for s in (1, 2)]
    assert not list(out.rglob('*.old-*'))
    for stage in ('translate', 'day-depth'):
        assert record(out, 'shared', stage)['inputs']['seed'] == 1
    for seed in (1, 2):
        inputs = record(out, 'runs', 'full', f'seed-{seed}', 'distil')['inputs']
        assert inputs['seed'] == seed
        assert inputs['translate'] == record(out, 'shared', 'translate')['digest']
    digests = {record(out, *p.parent.parts)['digest'] for p in out.glob('runs/**/stage.json')}
    assert len(digests) == 4


def test_each_variant_is_what_it_says(folder):
    for name, has_light in (('full', True), ('dark', False)):
        file = folder / 'out' / 'runs' / name / 'seed-2' / 'distil' / 'network.safetensors'
        network, _ = load_checkpoint(file)
        assert (network.light is not None) is has_light


def test_the_table_and_every_figure(folder):
    out = folder / 'out'
    data, variants = results(out)
    assert list(variants) == ['full', 'dark']
    errors = [
        run['scores'][0]['conditions']['night']['depth']['table_2']['median_scaled']['abs_rel']
        for run in variants['dark']['runs']
    ]
    over_seeds = variants['dark']['over_seeds']['drives']['night']['abs_rel']
    assert over_seeds['mean'] == pytest.approx(sum(errors) / 2)
    assert over_seeds['deviation'] == pytest.approx(statistics.stdev(errors))
    (part,) = (
        p
        for p in data['parts']
        if (p['part'], p['condition'], p['figure']) == ('LE', 'night', 'abs_rel')
    )
    assert part['difference'] == pytest.approx(part['full']['mean'] - part['without']['mean'])
    assert [each['name'] for each in data['others']] == ['predicted']
    table = (out / 'table_5.md').read_text()
    assert '| without LE (paper) | ✓ | ✓ |  | ✓ | 54.14 |' in table
    assert f'{over_seeds["mean"]:.3f} ± {over_seeds["deviation"]:.3f}' in table
    assert '### LE: light enhancement' in table
    assert '<svg' in (out / 'evaluation.html').read_text()


def test_run_again_it_does_nothing(folder):
    out = folder / 'out'
    before, table = stamps(out), (out / 'table_5.md').read_text()
    ablate(load_ablation(folder / 'ablation.yaml'))
    assert stamps(out) == before
    assert (out / 'table_5.md').read_text() == table


def test_a_user_error_is_one_line(folder, monkeypatch, capsys):
    path = folder / 'ablation.yaml'
    before = stamps(folder / 'out')
    for arguments, named in (
        (['--variant', 'moon'], 'there is no variant moon'),
        (['evaluate.rows=[nothing.onnx]'], 'nothing.onnx'),
        (['variants=[]'], 'variants must be at least one'),
    ):
        assert command(monkeypatch, path, *arguments) == 2
        error = capsys.readouterr().err
        assert [line for line in error.splitlines() if line.startswith('dsn: ')]
        assert named in error
    assert stamps(folder / 'out') == before


def test_show_trains_nothing(tmp_path, monkeypatch, capsys):
    path = write_ablation(tmp_path, variants=[FULL, DARK])
    assert command(monkeypatch, path, '--show') == 0
    shown = capsys.readouterr().out
    assert '  dark [RN SN PD]: frames, translate, day-depth, label, distil\n' in shown
    assert '    distil.light: True → False\n' in shown
    assert not (tmp_path / 'out').exists()


def test_a_changed_variant_redoes_itself_and_a_failed_one_stops_no_other(
    changeable, monkeypatch, capsys
):
    folder = changeable
    out = folder / 'out'
    before = stamps(out)
    broken = {**FULL, 'name': 'broken', 'overrides': ['weights.light_variation=1.0e+60']}
    changed = {**DARK, 'overrides': ['weights.consistency=0.5']}
    path = write_ablation(folder, seeds=[1], variants=[broken, FULL, changed])
    assert command(monkeypatch, path) == 1
    printed = capsys.readouterr()
    assert 'failed: broken, seed 1: step 0: light' in printed.err
    assert 'Table 5: ablation on drives' in printed.out
    after = stamps(out)
    record_of_dark = 'runs/dark/seed-1/distil/stage.json'
    same = {name for name, time in before.items() if after.get(name) == time}
    assert set(before) - same == {record_of_dark}
    assert (out / 'runs/dark/seed-1/distil.old-1/network.safetensors').exists()
    data, variants = results(out)
    assert variants['broken']['runs'][0]['failure'].startswith('step 0: light')
    assert variants['broken']['over_seeds'] == {}
    assert {p['verdict'] for p in data['parts']} <= {
        'one seed: better with it',
        'one seed: not better with it',
    }
