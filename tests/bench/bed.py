"""Where the benchmark runs: scratch block devices, and a real containerd alone in its own namespaces.

A device is a loop device over a sparse file, in memory unless told otherwise: what is measured is the software, and
the neighbours of this machine's disk are not. Real disks are slower; the throttled cases show what that changes.
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SECTOR = 512
THROTTLE = Path('/sys/fs/cgroup/blkio')
PATIENCE = 30

# Ends the daemon when its standard input closes, also when this script is killed.
KEEPER = '''
exec >>"$2/log" 2>&1
unshare --mount --pid --net --fork --kill-child --mount-proc bash -c "$1" inside "$@" &
read -r _
kill -KILL $!
wait
'''
# Overlays keep what containerd writes to fixed places out of this machine's directories.
INSIDE = '''
set -e
dir=$2 peers=$3 version=$4
for place in run var/lib; do
    mkdir -p "$dir/over/$place" "$dir/work/$place"
    mount -t overlay -o "lowerdir=/$place,upperdir=$dir/over/$place,workdir=$dir/work/$place" overlay "/$place"
done
export PATH=$peers/$version/usr/bin:$peers/common/usr/sbin:$PATH
exec containerd -c "$dir/config.toml"
'''
CONFIG = '''version = 2
root = "{root}"
state = "{dir}/state"
[grpc]
  address = "{dir}/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/kubeedge/pause:3.6"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{dir}/cni"
    conf_dir = "{dir}/cni"
'''


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def alone():
    """Goes on in a mount namespace of its own: what others start meanwhile would keep our devices mounted."""
    if 'EDGELAY_BENCH_ALONE' not in os.environ:
        os.environ['EDGELAY_BENCH_ALONE'] = 'yes'
        os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv])


def until(what, met):
    deadline = time.monotonic() + PATIENCE
    while not met():
        if time.monotonic() > deadline:
            raise RuntimeError(f'waited {PATIENCE} s for {what}')
        time.sleep(0.01)


class Device:
    """A scratch block device with ext4 on it."""

    def __init__(self, folder, name, size):
        self.file, self.point = folder / f'{name}.img', folder / name
        self.point.mkdir()
        with open(self.file, 'wb') as file:
            file.truncate(size)
        self.node = run('losetup', '--find', '--show', self.file).strip()
        # Without it every byte would lie in the page cache twice; not every file system can.
        subprocess.run(['losetup', '--direct-io=on', self.node], stderr=subprocess.DEVNULL, check=False)
        self.stats = Path('/sys/block', Path(self.node).name, 'stat')
        self.mounted = False

    def format(self):
        """An empty file system. Its tables are not written in the background: such bytes would be counted."""
        self.unmount()
        until('nobody to use ' + self.node, self.free)
        run('mkfs.ext4', '-q', '-F', '-b', '4096', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1', self.node)

    def free(self):
        """An ended daemon's mount namespace holds its mounts for a moment longer."""
        try:
            os.close(os.open(self.node, os.O_RDWR | os.O_EXCL))
        except OSError:
            return False
        return True

    def mount(self, options='noinit_itable'):
        run('mount', '-t', 'ext4', '-o', options, self.node, self.point)
        self.mounted = True

    def unmount(self):
        if self.mounted:
            run('umount', self.point)
            self.mounted = False

    def sync(self):
        run('sync', '--file-system', self.point)

    def written(self):
        """Bytes written to the device so far (Documentation/block/stat.rst in the kernel's sources)."""
        return int(self.stats.read_text().split()[6]) * SECTOR

    def used(self):
        stat = os.statvfs(self.point)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def throttle(self, way, rate):
        """Limits 'read' or 'write' to `rate` bytes a second; 0 ends it. In the root group of blkio (cgroup v1), as
        pages are written back by the kernel's own threads, which belong there."""
        number = Path('/sys/block', Path(self.node).name, 'dev').read_text().strip()
        (THROTTLE / f'blkio.throttle.{way}_bps_device').write_text(f'{number} {rate}')

    def close(self):
        if can_throttle():
            self.throttle('read', 0)
            self.throttle('write', 0)
        with contextlib.suppress(subprocess.CalledProcessError):
            self.unmount()
        subprocess.run(['losetup', '--detach', self.node], check=False)
        self.file.unlink(missing_ok=True)


def can_throttle():
    return (THROTTLE / 'blkio.throttle.write_bps_device').exists()


class Daemon:
    """A containerd whose root is `root`, answering."""

    def __init__(self, folder, root, peers, version, cores):
        self.peers, self.version, self.folder = peers, version, folder
        self.socket = folder / 'c.sock'
        self.log = folder / 'log'
        # Nothing else in it: CRI watches it, and would go on and on about its own log file.
        (folder / 'cni').mkdir(exist_ok=True)
        (folder / 'config.toml').write_text(CONFIG.format(dir=folder, root=root))
        for leftover in (self.socket, self.log):
            leftover.unlink(missing_ok=True)
        self.keeper = subprocess.Popen([*pinned(cores), 'bash', '-c', KEEPER, 'keeper', INSIDE, folder, peers, version],
                                       stdin=subprocess.PIPE)
        try:
            self.pid = self.wait()
        except BaseException:
            self.close()
            raise

    def wait(self):
        until(f'containerd {self.version} to start (see {self.log})', self.booted)
        run(*self.ctr('version'))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            pid, _, _ = struct.unpack('3i', client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid

    def booted(self):
        return self.log.exists() and 'containerd successfully booted' in self.log.read_text()

    def ctr(self, *words):
        return [self.peers / self.version / 'usr/bin/ctr', '--address', self.socket, '--namespace', 'k8s.io', *words]

    def cpu(self):
        """Seconds of processor time, its ended children included (proc(5): utime, stime, cutime, cstime)."""
        fields = Path(f'/proc/{self.pid}/stat').read_text().rsplit(') ', 1)[1].split()
        return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf('SC_CLK_TCK')

    def memory(self, key):
        status = Path(f'/proc/{self.pid}/status').read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(key + ':'))

    def forget_peak(self):
        Path(f'/proc/{self.pid}/clear_refs').write_text('5')

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait()


def pinned(cores):
    """Words in front of a command that keep it on the first `cores` cores."""
    return ['taskset', '--cpu-list', f'0-{cores - 1}']
