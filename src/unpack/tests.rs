//! What needs no containerd to compare with. Owners and devices need root; elsewhere these tests do nothing.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::archive::MAX_NAME;
use crate::testing::Rng;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A ustar member.
fn member(kind: u8, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let block = header.as_mut_bytes();
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(data.len() as u64);
    header.set_mode(0o755);
    header.set_uid(nix::unistd::geteuid().as_raw().into());
    header.set_gid(nix::unistd::getegid().as_raw().into());
    header.set_mtime(1_500_000_000);
    header.set_cksum();
    let mut out = [header.as_bytes(), data].concat();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

#[test]
fn both_ways_of_opening_agree() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    fs::write(dir.path().join("a/file"), "").unwrap();
    symlink("a", dir.path().join("link")).unwrap();
    symlink("/b", dir.path().join("out")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let trees = [Tree::open(dir.path()).unwrap(), Tree::open(dir.path()).unwrap().by_hand()];
    for (path, want) in [
        ("", Ok(())),
        ("a/b/c", Ok(())),
        ("a/none", Err(Errno::ENOENT)),
        ("none/x", Err(Errno::ENOENT)),
        ("a/file", Err(Errno::ENOTDIR)),
        ("a/file/x", Err(Errno::ENOTDIR)),
        ("link", Err(Errno::ELOOP)),
        ("link/b", Err(Errno::ELOOP)),
        ("out", Err(Errno::ELOOP)),
        ("out/ssl", Err(Errno::ELOOP)),
        ("dangling", Err(Errno::ELOOP)),
    ] {
        for (tree, how) in trees.iter().zip(["openat2", "by hand"]) {
            assert_eq!(tree.dir(path.as_bytes()).map(drop), want, "{path} {how}");
        }
    }
    for (path, want) in [("link/b", "a/b"), ("out/ssl", "b/ssl"), ("dangling/x", "nowhere/x"), ("a/../x", "a/../x")] {
        for tree in &trees {
            let (path, start) = path::clean(path.as_bytes());
            let want = path::clean(want.as_bytes()).0;
            assert_eq!(tree.resolve(&path, start), Ok(want));
        }
    }
}

#[test]
fn what_was_written_goes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| member(b'0', name, "", &[1; 4096]);
    let link = member(b'2', "b/out", "..", b"");
    let layer = [file("a"), file("b/c/d"), file("b/c/e/f"), file("b/g"), link].concat();
    let target = Target::plain(dir.path()).unwrap();
    // Its last member is cut.
    apply(&target, &layer[..layer.len() - 100]).unwrap_err();
    assert!(dir.path().join("b/c/e/f").exists());
    target.clear().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    target.clear().unwrap();
}

#[test]
fn deep_trees_go_with_few_handles() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let deep = format!("x{}", "/d".repeat(1500));
    fs::create_dir_all(dir.path().join(&deep)).unwrap();
    for n in 0..50 {
        fs::write(dir.path().join(format!("x/d/d/f{n}")), "").unwrap();
        fs::create_dir_all(dir.path().join(format!("x/d/side{n}/below"))).unwrap();
    }
    tree.remove(&tree.dir(b"").unwrap(), b"", b"x").unwrap();
    tree.remove(&tree.dir(b"").unwrap(), b"", b"x").unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn refusals_name_the_entry() {
    let name = |n| "n".repeat(n);
    for (members, why) in [
        (
            vec![member(b'0', "a", "", b""), member(b'0', "a/b", "", b"")],
            "unpack 'a/b': 'a', which should hold it, is no directory",
        ),
        (vec![member(b'1', "h", "none", b"")], "unpack 'h': its target 'none' is not in the same layer"),
        (vec![member(b'5', "d/", "", b""), member(b'1', "h", "d", b"")], "unpack 'h': its target 'd' is a directory"),
        (vec![member(b'0', "d/.wh..", "", b"")], "unpack 'd/.wh..': is a whiteout of nothing"),
        (vec![member(b'Q', "q", "", b"")], "unpack 'q': is of the unknown type 'Q'"),
        (
            vec![member(b'2', "l", "l", b""), member(b'0', "l/x", "", b"")],
            "unpack 'l/x': find its directory: ELOOP: Too many levels of symbolic links",
        ),
        (
            vec![member(b'0', "f", "", b"data")[..514].to_vec()],
            "unpack 'f': its data is truncated: unexpected end of file",
        ),
        (
            vec![member(b'L', "L", "", name(MAX_NAME + 2).as_bytes())],
            "extended header at byte 512 has 4098 bytes, the limit is 4097",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::plain(dir.path()).unwrap();
        let e = apply(&target, &members.concat()[..]).unwrap_err();
        assert_eq!((e.to_string().as_str(), e.kind()), (why, Kind::Bundle));
        assert!(e.hint_text().is_some(), "{why}");
    }
}

#[test]
fn a_file_of_many_gib_is_a_few_bytes_with_holes() {
    let dir = tempfile::tempdir().unwrap();
    let records = [
        "22 GNU.sparse.major=1\n",
        "22 GNU.sparse.minor=0\n",
        "23 GNU.sparse.name=big\n",
        "35 GNU.sparse.realsize=21474836480\n",
    ]
    .concat();
    let mut map = b"2\n0\n5\n21474836475\n5\n".to_vec();
    map.resize(512, 0);
    let data = [&map[..], b"firstafter"].concat();
    let layer = [member(b'x', "x", "", records.as_bytes()), member(b'0', "s", "", &data)].concat();
    apply(&Target::plain(dir.path()).unwrap(), &layer[..]).unwrap();
    let meta = fs::metadata(dir.path().join("big")).unwrap();
    assert_eq!((meta.len(), meta.blocks() < 100), (21_474_836_480, true));
    let mut end = [0; 6];
    std::os::unix::fs::FileExt::read_exact_at(
        &fs::File::open(dir.path().join("big")).unwrap(),
        &mut end,
        21_474_836_474,
    )
    .unwrap();
    assert_eq!(&end, b"\0after");
}

#[test]
fn overlays_get_devices_and_marks() {
    if !is_root() {
        return;
    }
    let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir_all(lower.path().join("d")).unwrap();
    let target = Target::overlay(upper.path(), &[lower.path()]).unwrap();
    let layer = [member(b'0', "d/.wh.gone", "", b""), member(b'0', "o/.wh..wh..opq", "", b"")].concat();
    apply(&target, &layer[..]).unwrap();
    let gone = fs::symlink_metadata(upper.path().join("d/gone")).unwrap();
    assert_eq!((gone.mode(), gone.rdev()), (0o020_000, 0));
    let root = fs::File::open(upper.path()).unwrap();
    let mark = crate::sys::xattr::get(std::os::fd::AsFd::as_fd(&root), b"o", b"trusted.overlay.opaque");
    assert_eq!(mark.unwrap(), b"y");
}

/// Whatever the bytes are: it ends, with an error of ours or without, and nothing outside is touched.
#[test]
fn damaged_layers_end_and_stay_inside() {
    if !is_root() {
        return;
    }
    let around = tempfile::tempdir().unwrap();
    fs::write(around.path().join("outside"), "mine").unwrap();
    let good = [
        member(b'5', "d/", "", b""),
        member(b'0', "d/f", "", &[b'x'; 700]),
        member(b'2', "l", "../outside", b""),
        member(b'2', "up", "..", b""),
        member(b'1', "d/h", "d/f", b""),
        member(b'0', "up/x", "", b"y"),
        member(b'0', "d/.wh.f2", "", b""),
        member(b'x', "x", "", b"21 path=../../../abc\n16 size=0000000\n"),
        member(b'0', "z", "", b""),
    ]
    .concat();
    let mut rng = Rng::new(0x1234_5678_9abc_def1);
    for round in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..=rng.below(3) {
            let block = rng.below(bytes.len() / 512) * 512;
            bytes[block + rng.below(512)] ^= 1 << rng.below(8);
            let header: &mut [u8; 512] = (&mut bytes[block..block + 512]).try_into().unwrap();
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let upper = around.path().join("upper");
        fs::create_dir(&upper).unwrap();
        match apply(&Target::plain(&upper).unwrap(), &bytes[..]) {
            Ok(()) => {}
            Err(e) => assert_eq!(e.kind(), Kind::Bundle, "round {round}: {e:?}"),
        }
        fs::remove_dir_all(&upper).unwrap();
        assert_eq!(fs::read(around.path().join("outside")).unwrap(), b"mine");
        assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1, "round {round}");
    }
}

/// In a mount namespace of its own thread.
#[test]
fn a_full_disk_is_the_hosts_fault() {
    use nix::mount::{MsFlags, mount};
    if !is_root() {
        return;
    }
    let run = || {
        let dir = tempfile::tempdir().unwrap();
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k,nr_inodes=20")).unwrap();
        let target = Target::plain(dir.path()).unwrap();
        let many: Vec<u8> = (0..30).flat_map(|n| member(b'0', &format!("f{n}"), "", b"")).collect();
        for (layer, why) in [
            (member(b'0', "f", "", &[b'x'; 100_000]), "unpack 'f': write it: ENOSPC: No space left on device"),
            (many, "unpack 'f18': make it: ENOSPC: No space left on device"),
        ] {
            let e = apply(&target, &layer[..]).unwrap_err();
            assert_eq!((e.to_string().as_str(), e.kind()), (why, Kind::Host));
            // Which disk it is, the caller knows.
            assert_eq!(e.hint_text(), None);
        }
        drop(target);
        nix::mount::umount(dir.path()).unwrap();
    };
    std::thread::spawn(run).join().unwrap();
}
