"""Container images for the benchmark: made from a shape, same shape and same programs, same bytes.

Everything goes through files, one layer at a time, so that an image may be larger than the memory.
"""

import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
# What the file system of the scratch device rounds a file up to.
BLOCK = 4096
# Pieces of real programs, so that compression finds what it finds in a program and no more.
PIECE = 64 << 10
MEDIA = 'application/vnd.oci.image.'
SUFFIX = {'plain': '', 'gzip': '+gzip', 'zstd': '+zstd'}
GOARCH = {'x86_64': 'amd64', 'aarch64': 'arm64'}


@dataclass(frozen=True)
class Shape:
    """Each of `layers` layers has `files` files of `size` bytes."""

    name: str
    layers: int
    files: int
    size: int
    about: str
    # Whom the image is for; empty is this machine.
    arch: str = ''

    def unpacked(self):
        """Bytes that the files take, each rounded up to a block of the file system."""
        return self.layers * self.files * -(-self.size // BLOCK) * BLOCK


@dataclass
class Layer:
    plain: Path
    digest: str
    packed: Path
    packed_digest: str


class Hashing:
    """A file to write to that knows the digest of what it got."""

    def __init__(self, path):
        self.file, self.hash = open(path, 'wb'), hashlib.sha256()

    def write(self, data):
        self.hash.update(data)
        return self.file.write(data)

    def close(self):
        self.file.close()
        return 'sha256:' + self.hash.hexdigest()


class Pieces:
    """Reads as `size` bytes of pieces of `programs`, in an order that `seed` decides."""

    def __init__(self, programs, seed, size):
        self.programs, self.random, self.left, self.rest = programs, random.Random(seed), size, b''

    def read(self, n=-1):
        n = self.left if n < 0 else min(n, self.left)
        out = [self.rest[:n]]
        self.rest = self.rest[n:]
        got = len(out[0])
        while got < n:
            at = self.random.randrange(max(1, len(self.programs) - PIECE))
            piece = self.programs[at:at + PIECE]
            out.append(piece[:n - got])
            self.rest = piece[n - got:]
            got += len(out[-1])
        self.left -= n
        return b''.join(out)


def entry(name, size=0, kind=tarfile.REGTYPE, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode, info.mtime = size, kind, mode, 1_700_000_000
    return info


def make_layer(shape, number, programs, path):
    """Writes the plain tar of one layer; its digest."""
    out = Hashing(path)
    with tarfile.open(fileobj=out, mode='w|', format=tarfile.GNU_FORMAT, bufsize=MIB) as tar:
        folder = ''
        for part in ('opt', f'opt/layer-{number}'):
            tar.addfile(entry(part, kind=tarfile.DIRTYPE, mode=0o755))
            folder = part
        for n in range(shape.files):
            if shape.files > 200 and n % 200 == 0:
                folder = f'opt/layer-{number}/{n // 200}'
                tar.addfile(entry(folder, kind=tarfile.DIRTYPE, mode=0o755))
            tar.addfile(entry(f'{folder}/{n}', shape.size), Pieces(programs, f'{shape.name}/{number}/{n}', shape.size))
    return out.close()


def file_digest(path):
    with open(path, 'rb') as file:
        return 'sha256:' + hashlib.file_digest(file, 'sha256').hexdigest()


def pack(plain, form, path):
    """Compresses a layer as `docker push` (gzip) or a builder with zstd does."""
    if form == 'gzip':
        with open(plain, 'rb') as source, open(path, 'wb') as out:
            with gzip.GzipFile(filename='', fileobj=out, mode='wb', compresslevel=6, mtime=0) as packed:
                shutil.copyfileobj(source, packed, MIB)
    else:
        subprocess.run(['zstd', '-q', '-3', '-f', str(plain), '-o', str(path)], check=True)
    return file_digest(path)


def compact(value):
    return json.dumps(value, separators=(',', ':'), sort_keys=True).encode()


def config(layers, arch):
    return compact({
        'architecture': arch, 'os': 'linux', 'created': '2024-01-01T00:00:00Z', 'config': {'Cmd': ['/bin/sh']},
        'rootfs': {'type': 'layers', 'diff_ids': [layer.digest for layer in layers]},
    })


class Archive:
    """The outer tar."""

    def __init__(self, path):
        self.tar = tarfile.open(path, 'w', format=tarfile.GNU_FORMAT)

    def data(self, name, data):
        self.tar.addfile(entry(name, len(data)), io.BytesIO(data))

    def blob(self, data):
        digest = 'sha256:' + hashlib.sha256(data).hexdigest()
        self.data('blobs/sha256/' + digest[7:], data)
        return {'digest': digest, 'size': len(data)}

    def file(self, name, path):
        with open(path, 'rb') as source:
            self.tar.addfile(entry(name, path.stat().st_size), source)


def docker_archive(path, name, layers, arch):
    """What `docker save` wrote up to version 24."""
    archive = Archive(path)
    names = []
    for number, layer in enumerate(layers):
        names.append(hashlib.sha256(f'{number} {layer.digest}'.encode()).hexdigest() + '/layer.tar')
        archive.file(names[-1], layer.plain)
    body = config(layers, arch)
    config_name = hashlib.sha256(body).hexdigest() + '.json'
    archive.data(config_name, body)
    archive.data('manifest.json', compact([{'Config': config_name, 'RepoTags': [name], 'Layers': names}]))
    archive.tar.close()


def oci_archive(path, name, layers, form, arch):
    """An OCI image layout in a tar."""
    archive = Archive(path)
    archive.data('oci-layout', b'{"imageLayoutVersion":"1.0.0"}')
    manifest = {'schemaVersion': 2, 'mediaType': MEDIA + 'manifest.v1+json', 'layers': []}
    manifest['config'] = {'mediaType': MEDIA + 'config.v1+json', **archive.blob(config(layers, arch))}
    for layer in layers:
        archive.file('blobs/sha256/' + layer.packed_digest[7:], layer.packed)
        manifest['layers'].append({'mediaType': MEDIA + 'layer.v1.tar' + SUFFIX[form], 'digest': layer.packed_digest,
                                   'size': layer.packed.stat().st_size})
    top = {'mediaType': MEDIA + 'manifest.v1+json', **archive.blob(compact(manifest)),
           'platform': {'architecture': arch, 'os': 'linux'},
           'annotations': {'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.rsplit(':', 1)[1]}}
    archive.data('index.json', compact({'schemaVersion': 2, 'manifests': [top]}))
    archive.tar.close()


def make(shape, form, programs, folder, arch):
    """Makes `folder`/image.tar and, for `tar`, its layers as files; a made one is taken as it is."""
    image, parts = folder / 'image.tar', folder / 'layers'
    if image.exists():
        return
    parts.mkdir(parents=True, exist_ok=True)
    layers = []
    for number in range(shape.layers):
        plain = parts / f'{number:03}.plain'
        digest = make_layer(shape, number, programs, plain)
        packed, packed_digest = plain, digest
        if form != 'plain':
            packed = parts / f'{number:03}.{form}'
            packed_digest = pack(plain, form, packed)
            plain.unlink()
        layers.append(Layer(plain, digest, packed, packed_digest))
    name = f'docker.io/edgelay/bench-{shape.name}:{form}'
    part = folder / 'image.part'
    if form == 'plain':
        docker_archive(part, name, layers, arch)
    else:
        oci_archive(part, name, layers, form, arch)
    part.rename(image)
