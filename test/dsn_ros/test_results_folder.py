"""Results are whole or not there; latency figures are those of NumPy."""

import numpy as np
import pytest

from dsn_ros.errors import UserError
from dsn_ros.metrics import Latencies
from dsn_ros.results_folder import staged


def test_files_appear_when_the_block_ends_well(tmp_path):
    out = tmp_path / 'deep' / 'out'
    with staged(out) as folder:
        (folder / 'sub').mkdir()
        (folder / 'sub' / 'a').write_text('new')
        assert not (out / 'sub').exists()
    assert (out / 'sub' / 'a').read_text() == 'new'
    assert [p.name for p in out.iterdir()] == ['sub']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_nothing_changes_when_it_does_not(tmp_path, error):
    (tmp_path / 'a').write_text('old')

    def fail_midway():
        with staged(tmp_path) as folder:
            (folder / 'a').write_text('new')
            raise error

    with pytest.raises(error):
        fail_midway()
    assert (tmp_path / 'a').read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a']


def test_other_results_beside_it_are_kept(tmp_path):
    (tmp_path / 'other').write_text('mine')
    (tmp_path / 'a').write_text('old')
    with staged(tmp_path) as folder:
        (folder / 'a').write_text('new')
    assert (tmp_path / 'other').read_text() == 'mine'
    assert (tmp_path / 'a').read_text() == 'new'


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match=r'file.*--out'), staged(tmp_path / 'file' / 'out'):
        pass


def test_percentiles():
    latencies = Latencies()
    values = np.random.default_rng(0).uniform(1, 9, 500)
    for value in values:
        latencies.add({'infer': float(value)})
    row = latencies.summary()['infer']
    assert row['p90'] == pytest.approx(np.percentile(values, 90), abs=1e-3)
    assert row['mean'] == pytest.approx(values.mean(), abs=1e-3)
    assert row['max'] == pytest.approx(values.max(), abs=1e-3)
    assert latencies.summary().keys() == {'infer'}
