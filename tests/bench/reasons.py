"""Why a target is missed, in words of people. Key: figure and what it is compared with."""

REASONS = {
    ('wall', 'ctr'):
        'Where a device is throttled, both wait for it: the image has to be read at the rate of the stick and written at that of '
        'the disk. `ctr` returns before its bytes are on the disk, edgelay after; until all is on the disk ("on disk after" below) '
        'edgelay takes about half of the time of `ctr` there, for it writes half as much. With many small files the time goes '
        'into the kernel making them, one by one for whoever makes them. zstd leaves the least to win: unpacking it costs '
        'little, and what remains are two SHA-256 and the writing of files.',
    ('cpu', 'ctr'):
        'What cannot be left out is decompression, SHA-256 of the compressed and of the plain layer, and the kernel writing the '
        'files. containerd\'s decoder of zstd has assembler of its own; ours have '
        'neither that nor unsafe code in their loops. The daemon pays less for each byte; for each layer it takes its two '
        'transactions from either of us, which is what counts with 60 layers.',
    ('written', 'unpacked'):
        'About 300 KiB for each layer are containerd\'s own: preparing and committing a snapshot are two transactions in each of its two '
        'databases, every one of them synced and so with a commit of the file system\'s journal. `ctr` pays the same and '
        'its blobs on top. Layers of a real image are larger than the 2.5 MiB of that case. An '
        'image of 64 MiB is too small to hide the 2.5 MiB that any import costs. 20,000 small files need inodes and directories, which '
        '`unpacked` does not count: `tar` writes nearly as much.',
    ('wall', 'tar'):
        'With one large layer nothing hides decoding: `tar` leaves it to libzstd, in a process of its own, and hashes nothing. We '
        'decode and hash the blob in one thread, and hash and write the files in the other.',
}
