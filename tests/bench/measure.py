"""One measured run: a fresh file system, a fresh containerd, one command, and what it cost."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import bed
import contenders
import images

# Longest wait for the daemon's collector of garbage, whose work belongs to the import that made it.
SETTLE = 0.5


@dataclass(frozen=True)
class Case:
    """What is imported, how the machine is then."""

    shape: images.Shape
    form: str
    version: str
    cores: int = 2
    # The file's own device was just mounted: nothing of it is in the page cache.
    cold: bool = False
    # Bytes a second of the device that the file lies on, and of the one that is written; 0 is unlimited.
    stick: int = 0
    disk: int = 0
    # Edgelay's binary for this processor under emulation, alone: for figures that do not depend on the machine's speed.
    emulated: str = ''

    def id(self):
        parts = [self.shape.name, self.form, self.version, f'{self.cores}c', 'cold' if self.cold else 'warm']
        parts += [f'{way}{rate // 1_000_000}' for way, rate in (('stick', self.stick), ('disk', self.disk)) if rate]
        parts += [self.emulated] if self.emulated else []
        return '-'.join(parts)


class Bench:
    """The devices, the programs, and the place for small files."""

    def __init__(self, work, peers, edgelay, launcher):
        self.work, self.peers, self.edgelay, self.launcher = work, peers, edgelay, launcher
        # Words that run edgelay's binary for another processor, and the file in which they leave how long it took.
        self.emulated, self.counted = None, work / 'instructions'
        self.stick = self.disk = None

    def image(self, case):
        return self.stick.point / f'{case.shape.name}-{case.form}'

    def prepare(self, case):
        """Empty disk, source cold or warm, limits."""
        self.disk.format()
        self.disk.mount()
        if case.cold:
            self.stick.unmount()
        if not self.stick.mounted:
            self.stick.mount('ro,noload')
        if not case.cold:
            for file in self.image(case).rglob('*'):
                if file.is_file():
                    warm(file)
        if bed.can_throttle():
            self.stick.throttle('read', case.stick)
            self.disk.throttle('write', case.disk)

    def once(self, case, contender):
        """Runs the contender on the case; what it cost, as a dictionary."""
        self.prepare(case)
        daemon = None
        try:
            if contender.needs_daemon:
                folder = Path(tempfile.mkdtemp(prefix='daemon-', dir=self.work))
                daemon = bed.Daemon(folder, self.disk.point / 'root', self.peers, case.version, case.cores)
            return self.measure(case, contender, daemon)
        finally:
            if daemon:
                daemon.close()
                shutil.rmtree(daemon.folder)
            if bed.can_throttle():
                self.stick.throttle('read', 0)
                self.disk.throttle('write', 0)
            self.disk.unmount()

    def measure(self, case, contender, daemon):
        command = contender.command(daemon, self.image(case), case.form, self.disk.point)
        self.disk.sync()
        written, used = self.disk.written(), self.disk.used()
        cpu = rss = 0
        if daemon:
            daemon.forget_peak()
            cpu, rss = daemon.cpu(), daemon.memory('VmRSS')
        begin = time.monotonic()
        client = self.launch(command, case.cores)
        self.disk.sync()
        durable = time.monotonic() - begin
        if daemon:
            time.sleep(SETTLE)
            cpu, rss = daemon.cpu() - cpu, daemon.memory('VmHWM') - rss
            self.disk.sync()
        counted = {'instructions': int(self.counted.read_text())} if case.emulated else {}
        return {'wall': client['wall'], 'durable': durable, 'cpu': client['cpu'] + cpu, 'client_cpu': client['cpu'],
                'rss': client['rss'], 'daemon_rss': rss, 'written': self.disk.written() - written,
                'used': self.disk.used() - used, **counted}

    def launch(self, command, cores):
        read, write = os.pipe()
        words = [*bed.pinned(cores), 'bash', '-c', 'exec "$@" 3>&"$0"', str(write), self.launcher, *command]
        done = subprocess.run([str(word) for word in words], pass_fds=[write], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        os.close(write)
        with os.fdopen(read) as report:
            client = json.loads(report.read() or '{"status": -1}')
        if client['status'] != 0:
            raise RuntimeError(f'{" ".join(str(word) for word in command)}: exit status {client["status"]}\n{done.stdout}')
        return client


def warm(file):
    with open(file, 'rb') as source:
        while source.read(1 << 20):
            pass


def run_case(bench, case, runs, hear):
    """Every contender `runs` times, in turns, so that what disturbs the machine disturbs them alike."""
    field = [contenders.ours(bench.emulated)] if case.emulated else contenders.of(case.version, bench.edgelay)
    results = {contender.name: [] for contender in field}
    for turn in range(runs):
        for n in range(len(field)):
            contender = field[(turn + n) % len(field)]
            result = bench.once(case, contender)
            results[contender.name].append(result)
            hear(case, contender, turn, result)
    return results
