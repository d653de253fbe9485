"""Who runs against whom: the command of each, and what it works on."""

from dataclasses import dataclass

from bed import Daemon

# One layer after the other, each into a directory of its own, then to the disk: no merging, no hashing, no records.
FLOOR = '''
set -e
for layer in "$2"/layers/*; do
    into=$1/$(basename "$layer")
    mkdir "$into"
    tar --extract --numeric-owner --same-permissions --directory "$into" $3 --file "$layer"
done
sync --file-system "$1"
'''
UNPACKER = {'plain': '', 'gzip': '--gzip', 'zstd': '--zstd'}


@dataclass(frozen=True)
class Contender:
    name: str
    needs_daemon: bool
    # Words of the command, from: bench, daemon (None for those that need none), folder of the image, its form.
    command: callable
    shown: str


def ours(program):
    """Edgelay, started with these words."""
    return Contender('edgelay', True,
                     lambda daemon, image, form, target: [*program, 'image', 'import', '--quiet', '--address',
                                                          daemon.socket, image / 'image.tar'],
                     'edgelay image import FILE')


def of(version, edgelay):
    """The contenders for one version of containerd."""
    ctr = [Contender('ctr', True, lambda daemon, image, form, target: daemon.ctr('images', 'import', image / 'image.tar'),
                     'ctr --namespace k8s.io images import FILE')]
    if version == '2.1':
        ctr.append(Contender(
            'ctr --local', True,
            lambda daemon, image, form, target: daemon.ctr('images', 'import', '--local', image / 'image.tar'),
            'ctr --namespace k8s.io images import --local FILE'))
    floor = Contender('tar', False,
                      lambda daemon, image, form, target: ['bash', '-c', FLOOR, 'floor', target, image, UNPACKER[form]],
                      'tar --extract of every layer, then sync --file-system')
    return [ours([edgelay]), *ctr, floor]


__all__ = ['Contender', 'Daemon', 'of']
