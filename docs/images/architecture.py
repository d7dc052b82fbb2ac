"""Draws architecture.svg from the imports: python docs/images/architecture.py (in .venv/test).

Which module belongs to which part stands here; which part uses which is read from the sources by
grimp (it comes with import-linter). A test holds the picture against them.
"""

from pathlib import Path
from xml.sax.saxutils import escape

import grimp

SVG = Path(__file__).with_suffix('.svg')
# Part -> (what it is, modules or packages); rows from those that use to those that are used.
ROWS: tuple[dict[str, tuple[str, tuple[str, ...]]], ...] = (
    {
        'command': ('dsn, one verb for each thing', ('cli*',)),
        'bench': ('speed, side by side', ('bench',)),
    },
    {
        'verbs': (
            'replay, infer, train, evaluate, ...',
            (
                *(
                    'replay*',
                    'infer',
                    'stages',
                    'fleet',
                    'fleet_worker',
                    'train',
                    'ablate',
                    'evaluat*',
                ),
                *(
                    'calibrat*',
                    'export_int8',
                    'int8_frames',
                    'simulated_bag',
                    'lighting_fit',
                    'installed',
                ),
            ),
        ),
        'node': (
            'the lifecycle node of ROS 2',
            (
                *('run_node', 'perception_node', 'node_camera', 'topics', 'parameter*', 'worker'),
                *('watched_engine', 'diagnostics', 'frame_saver', 'tf_poses', 'ros_logging'),
                *('latest',),
            ),
        ),
    },
    {
        'bags': (
            'recordings, without ROS',
            (
                *(
                    'bags',
                    'bag_camera',
                    'bag_frames',
                    'bag_odometry',
                    'bag_poses',
                    'bag_salvage',
                    'bag_tf',
                ),
                *('bag_topics', 'bag_types', 'ground_truth', 'lidar_truth'),
            ),
        ),
        'results': (
            'figures, limits, pages, files',
            (
                *(
                    'comparison',
                    'console',
                    'fleet_summary',
                    'metrics',
                    'results_folder',
                    'report*',
                ),
                'thresholds',
            ),
        ),
        'writers': (
            'what goes into messages',
            ('output_messages', 'recorder', 'message_builders', 'bag_writer'),
        ),
    },
    {
        'pipeline': (
            'frame in, perception out',
            (
                *('pipeline', 'view', 'scale*', 'lighting', 'sanity', 'confidence', 'any_engine'),
                *('cloud', 'grey', 'obstacles'),
            ),
        ),
    },
    {
        'engines': ('one for each runtime', ('engines',)),
        'messages': (
            'pictures, clouds, calibrations',
            (
                *('messages', 'camera_info', 'compressed_images', 'point_clouds', 'camera'),
                'errors',
            ),
        ),
    },
    {
        'core.training': ('stages that resume', ('training',)),
        'core.evaluation': ("the paper's tables", ('evaluation', 'triangulation')),
    },
    {
        'core.losses': ('one for each equation', ('losses',)),
        'core.teachers': ('pseudo-labels', ('teachers',)),
        'core.export': (
            'the deploy graph, Table 4',
            (
                *('export', 'int8', 'profile', 'checkpoint', 'pretrained', 'weight_files'),
                'efficientnet_weights',
            ),
        ),
        'core.data': ('where frames come from', ('data',)),
    },
    {
        'core.models': ('the networks', ('models',)),
        'core.simulation': ('a street, exact truth', ('simulation',)),
        'core.base': (
            'labels, geometry, files',
            (
                *('labels', 'geometry', 'metadata', 'golden', 'deploy_size', 'onnx_tensors'),
                *('errors', 'files', 'visual', 'digest', 'config', 'choice', 'processes'),
                'ray_tasks',
            ),
        ),
    },
)
WIDTH, BOX, HIGH, GAP = 960, 210, 52, 108


def part_of(module: str) -> str:
    """The part that ``module`` (dsn_ros.cli) belongs to; raises LookupError where it has none."""
    package, _, rest = module.partition('.')
    name = rest.partition('.')[0]
    found = [
        part
        for row in ROWS
        for part, (_, patterns) in row.items()
        if part.startswith('core.') == (package == 'dsn_core')
        for pattern in patterns
        if name == pattern or (pattern[-1] == '*' and name.startswith(pattern[:-1]))
    ]
    if len(found) != 1:
        raise LookupError(f'{module} belongs to {found or "no part"}: see ROWS')
    return found[0]


def uses() -> dict[str, set[str]]:
    """Part -> the parts that it imports something of."""
    graph = grimp.build_graph('dsn_core', 'dsn_ros', exclude_type_checking_imports=True)
    found: dict[str, set[str]] = {part: set() for row in ROWS for part in row}
    for module in graph.modules - {'dsn_core', 'dsn_ros'}:
        for other in graph.find_modules_directly_imported_by(module) - {'dsn_core', 'dsn_ros'}:
            found[part_of(module)].add(part_of(other))
    return {part: others - {part} for part, others in found.items()}


def drawn(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows: of a part that is reached in several ways, only those that say something new."""

    def reach(part: str, seen: frozenset[str] = frozenset()) -> set[str]:
        further = found[part] - seen
        return further.union(*(reach(each, seen | further | {part}) for each in further))

    return {
        part: {
            each
            for each in others
            if not any(each in reach(o) and part not in reach(o) for o in others - {each})
        }
        for part, others in found.items()
    }


def svg() -> str:
    """The picture, as text."""
    places = {}
    for number, row in enumerate(ROWS):
        for column, part in enumerate(row):
            left = WIDTH * (column + 0.5) / len(row) - BOX / 2
            places[part] = (left, 20 + number * GAP + (34 if number > 4 else 0))
    height = 20 + len(ROWS) * GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="14">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    split = 20 + 5 * GAP - 13
    for top, bottom, name in ((4, split, 'dsn_ros'), (split + 8, height - 4, 'dsn_core')):
        lines.append(
            f'<rect x="4" y="{top}" width="{WIDTH - 8}" height="{bottom - top}" rx="8" '
            f'fill="{"#f3f6fc" if name == "dsn_ros" else "#f4faf3"}" stroke="#bbc"/>'
            f'<text x="16" y="{top + 16}" fill="#667" font-weight="bold">{name}</text>'
        )
    for part, others in sorted(drawn(uses()).items()):
        for other in sorted(others):
            (x, y), (to_x, to_y) = places[part], places[other]
            x, to_x = x + BOX / 2, to_x + BOX / 2
            if y == to_y:  # beside each other
                side = BOX / 2 if to_x > x else -BOX / 2
                x, to_x, y, to_y = x + side, to_x - side, y + HIGH / 2, to_y + HIGH / 2
                path = f'M{x:.0f} {y:.0f}L{to_x:.0f} {to_y:.0f}'
            else:
                lean = max(-80.0, min(80.0, (to_x - x) / 4))
                y, to_y = (y + HIGH, to_y) if to_y > y else (y, to_y + HIGH)
                x, to_x, half = x + lean, to_x - lean, (y + to_y) / 2
                path = f'M{x:.0f} {y:.0f}C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} '
                path += f'{to_x:.0f} {to_y:.0f}'
            lines.append(
                f'<path d="{path}" fill="none" stroke="#667" marker-end="url(#tip)">'
                f'<title>{part} uses {other}</title></path>'
            )
    for row in ROWS:
        for part, (what, _) in row.items():
            x, y = places[part]
            lines.append(
                f'<rect x="{x:.0f}" y="{y}" width="{BOX}" height="{HIGH}" rx="6" fill="#fff" '
                f'stroke="#446"/><text x="{x + BOX / 2:.0f}" y="{y + 21}" text-anchor="middle" '
                f'font-weight="bold">{part.removeprefix("core.")}</text>'
                f'<text x="{x + BOX / 2:.0f}" y="{y + 41}" text-anchor="middle" font-size="12" '
                f'fill="#445">{escape(what)}</text>'
            )
    return '\n'.join([*lines, '</svg>']) + '\n'


if __name__ == '__main__':
    SVG.write_text(svg(), encoding='utf-8')
