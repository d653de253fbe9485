"""The results as JSON and as a page for people: medians, ratios, and whether the targets are met."""

import json
from dataclasses import dataclass
from statistics import median

import reasons

MIB = 1 << 20
# Key of a result, heading, divisor, digits.
COLUMNS = (
    ('wall', 'wall s', 1, 2), ('durable', 'on disk after s', 1, 2), ('cpu', 'CPU s', 1, 2),
    ('client_cpu', 'of it client', 1, 2), ('rss', 'client peak MiB', MIB, 1), ('daemon_rss', 'daemon grows MiB', MIB, 1),
    ('written', 'written MiB', MIB, 1), ('used', 'disk use MiB', MIB, 1),
    ('instructions', 'instructions, millions', 1_000_000, 0))


@dataclass(frozen=True)
class Target:
    """Median of ours divided by the median of `against`, or by the image's unpacked size."""

    key: str
    against: str
    limit: float
    heading: str
    # Which figure of the other one, where it is not the same.
    theirs: str = ''

    def ratio(self, case):
        ours = median(run[self.key] for run in case['runs']['edgelay'])
        if self.against != 'unpacked' and self.against not in case['runs']:
            return None
        if self.against == 'unpacked':
            return ours / case['unpacked']
        return ours / median(run[self.theirs or self.key] for run in case['runs'][self.against])


# `ctr` is timed as it is: it returns before its files are on the disk, we return after.
TARGETS = (
    Target('wall', 'ctr', 0.5, "wall, of ctr's"),
    Target('cpu', 'ctr', 0.4, "CPU, of ctr's"),
    Target('rss', 'ctr', 0.25, "client memory, of ctr's"),
    Target('written', 'unpacked', 1.03, 'written, of unpacked'),
    Target('wall', 'tar', 1.3, "wall, of tar's"),
)


def entry(case, moment, runs):
    """What is kept of a case."""
    return {
        'id': case.id(), 'shape': case.shape.about, 'form': case.form, 'containerd': case.version,
        'cores': case.cores, 'cold': case.cold, 'stick': case.stick, 'disk': case.disk, 'emulated': case.emulated,
        'unpacked': case.shape.unpacked(), **moment, 'runs': runs}


def dump(document):
    """As JSON, one run a line."""
    lines = ['{"about": ' + json.dumps(document['about']) + ',', ' "cases": [']
    for n, case in enumerate(document['cases']):
        head = {key: value for key, value in case.items() if key != 'runs'}
        lines.append('  {' + json.dumps(head)[1:-1] + ', "runs": {')
        for m, (name, runs) in enumerate(case['runs'].items()):
            texts = ',\n    '.join(json.dumps({key: round(value, 4) for key, value in run.items()}) for run in runs)
            lines.append(f'   {json.dumps(name)}: [\n    {texts}]' + (',' if m + 1 < len(case['runs']) else '}}'))
        lines[-1] += ',' if n + 1 < len(document['cases']) else ''
    return '\n'.join(lines) + '\n]}\n'


def cell(values, scale, digits):
    values = [value / scale for value in values]
    return f'{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})'


def table(heads, rows):
    lines = ['| ' + ' | '.join(heads) + ' |', '|' + ' --- |' * len(heads)]
    return '\n'.join(lines + ['| ' + ' | '.join(row) + ' |' for row in rows])


def title(case):
    form = {'plain': 'docker-archive', 'gzip': 'OCI, gzip', 'zstd': 'OCI, zstd'}[case['form']]
    words = [form, case['shape'], f'containerd {case["containerd"]}', f'{case["cores"]} cores'.replace('1 cores', '1 core'),
             'cold cache' if case['cold'] else 'warm cache']
    if case['stick']:
        words.append(f'file on a stick of {case["stick"] // 1_000_000} MB/s')
    if case['disk']:
        words.append(f'disk of {case["disk"] // 1_000_000} MB/s')
    if case['emulated']:
        words.append(f'{case["emulated"]} binary under qemu-user')
    return ', '.join(words)


def verdict(case, target):
    ratio = target.ratio(case)
    if ratio is None:
        return '–'
    text = f'{ratio:.2f}'
    return text if ratio <= target.limit else f'**{text}**'


def glance(cases):
    heads = ['case'] + [f'{target.heading} (≤ {target.limit})' for target in TARGETS]
    return table(heads, [[case['id'], *(verdict(case, target) for target in TARGETS)] for case in cases])


def floor(case, target):
    """What `tar` alone takes of what `target` compares us with; None if that is no figure of another contender's time."""
    if target.against != 'ctr' or target.key not in ('wall', 'cpu'):
        return None
    return median(run[target.key] for run in case['runs']['tar']) / median(run[target.key] for run in case['runs'][target.against])


def missed(cases):
    """For each target that some case misses: which, by how much, and why."""
    parts = []
    for target in TARGETS:
        over = [case for case in cases if (target.ratio(case) or 0) > target.limit]
        if not over:
            continue
        worst = max(over, key=target.ratio)
        text = (f'**{target.heading}** (≤ {target.limit}): {len(over)} of {len(cases)} cases, at worst '
                f'{target.ratio(worst):.2f} ({worst["id"]}).')
        beyond = [case for case in over if (floor(case, target) or 0) > target.limit]
        if beyond:
            text += f' In {len(beyond)} of them `tar` alone takes more than the target: ' + ', '.join(
                f'{case["id"]} ({floor(case, target):.2f})' for case in beyond) + '.'
        parts.append('* ' + text + ' ' + reasons.REASONS.get((target.key, target.against), 'The reason is not known yet.'))
    return '\n'.join(parts) or 'None.'


def figures(case):
    columns = [column for column in COLUMNS if all(column[0] in run for runs in case['runs'].values() for run in runs)]
    rows = [[name, *(cell([run[key] for run in runs], scale, digits) for key, _, scale, digits in columns)]
            for name, runs in case['runs'].items()]
    return f'### {case["id"]}\n\n{title(case)}; {case["unpacked"] / MIB:.1f} MiB unpacked. ' + \
        f'Measured {case["date"]} at {case["commit"]}, load {case["load"]} before.\n\n' + \
        table(['', *(heading for _, heading, _, _ in columns)], rows)


def machine(about, cases):
    versions = ', '.join(about['containerd'].values())
    first, last = min(case['date'] for case in cases), max(case['date'] for case in cases)
    edgelay = ' and '.join(sorted({f'{case["edgelay"]} of {case["binary_bytes"]} bytes' for case in cases}))
    loads = [case['load'] for case in cases]
    return (f'{first} to {last}: {about["cores"]} cores ({about["cpu"]}), {about["memory_gib"]} GiB, Linux {about["kernel"]}, '
            f'load {min(loads)} to {max(loads)} before a case; containerd {versions} from Debian; {edgelay}, {about["binary"]}.')


def lacking(about, cases):
    left = [name for name in about['matrix'] if name not in {case['id'] for case in cases}]
    return f'Not measured yet (`--missing` does): {", ".join(left)}.' if left else 'All cases are measured.'


HOW = """Every run has an ext4 made anew on a scratch block device and a containerd started anew on it; the contenders take
turns, so that what disturbs the machine disturbs them alike. A cell is the median of {runs} runs (smallest–largest).

* **wall**: from starting the command to its end. **on disk after**: the same and then `sync --file-system`; `ctr` returns
  earlier than its files are safe, `edgelay` does not.
* **CPU**: user and system time of client and daemon together, half a second of the daemon's tidying included; the kernel's own
  threads that write pages back are not.
* **client peak**: highest resident memory of the client. **daemon grows**: the daemon's highest resident memory less what it had.
* **written**: sectors written to the device until it is synced, metadata and journal included. **disk use**: what the file
  system has less of afterwards. **unpacked**: the sizes of the image's files, each rounded up to a block of 4 KiB.
* **tar**: `tar --extract` of the same layers as files, then `sync --file-system`: no hashing, no records, no daemon. The floor.
* **cold**: the device with the image file was mounted just before. **warm**: the file was read once before.
* **under qemu-user**: the binary for another processor, alone; its instructions, counted by a plugin of the emulator, and what
  is written do not depend on how fast it runs. Its times and its peak are the emulator's.
* The devices are loop devices in memory; a rate is kept by the kernel's block throttling (cgroup v1, root group)."""


def render(document):
    about, cases = document['about'], document['cases']
    parts = [
        '# Benchmarks',
        f'<!-- Made by {about["command"]} from benchmarks.json -->',
        f'`{about["command"]}` measures `edgelay image import FILE` against `ctr images import FILE` (`--local`, too, where it has '
        'that) and against `tar`, and writes this page.',
        machine(about, cases), lacking(about, cases),
        '## Targets', 'Ratios of medians, smaller is better; a missed target is bold.', glance(cases),
        '## Missed', missed(cases),
        '## How it is measured', HOW.format(runs=about['runs']),
        '## Figures', *(figures(case) for case in cases),
    ]
    return '\n\n'.join(parts) + '\n'
