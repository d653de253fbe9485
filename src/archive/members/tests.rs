//! Members out of bytes put together here; what containerd makes of odd ones is compared in the integration tests.

use super::*;
use crate::testing::mutate;

fn header(kind: u8, name: &str) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o104_755);
    header.set_uid(3_000_000);
    header.set_gid(7);
    header.set_mtime(1_500_000_000);
    header.set_size(0);
    header.set_cksum();
    header
}

fn member(kind: u8, name: &str, data: &[u8]) -> Vec<u8> {
    let mut header = header(kind, name);
    header.set_size(data.len() as u64);
    header.set_cksum();
    let mut out = [header.as_bytes(), data].concat();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn read(bytes: &[u8]) -> std::result::Result<Vec<(Member, Vec<u8>)>, String> {
    let mut members = Members::new(bytes);
    let mut all = Vec::new();
    while let Some(member) = members.advance().map_err(|e| format!("{e:?}"))? {
        let mut data = Vec::new();
        members.read_to_end(&mut data).map_err(|e| e.to_string())?;
        all.push((*member, data));
    }
    Ok(all)
}

#[test]
fn everything_about_a_file_is_there() {
    let pax = b"30 mtime=1400000000.123456789\n26 SCHILY.xattr.user.a=b\0\n28 atime=1600000000.5000000\n";
    let bytes = [member(b'x', "x", pax), member(b'0', "dir/f", b"data"), member(b'2', "l", b"")].concat();
    let all = read(&bytes).unwrap();
    let (file, data) = &all[0];
    assert_eq!(data, b"data");
    assert_eq!((file.name.as_slice(), &file.kind), (&b"dir/f"[..], &MemberKind::File));
    assert_eq!((file.mode, file.uid, file.gid), (0o4755, 3_000_000, 7));
    assert_eq!((file.mtime, file.atime), (1_400_000_000_123_456_789, 1_600_000_000_500_000_000));
    assert_eq!((file.size, &file.segments), (4, &vec![Segment { offset: 0, length: 4 }]));
    assert_eq!(file.xattrs().collect::<Vec<_>>(), [(&b"user.a"[..], &b"b\0"[..])]);
    assert_eq!(all[1].0.kind, MemberKind::Symlink(vec![]));
}

/// A file larger than eleven octal digits can say, stepped over without being held.
#[test]
fn huge_files_are_stepped_over() {
    const SIZE: u64 = 9 << 30;
    let mut big = header(b'0', "big");
    big.set_size(SIZE);
    big.set_cksum();
    let stream = big.as_bytes().chain(io::repeat(0).take(SIZE));
    let tail = member(b'0', "after", b"");
    let mut members = Members::new(stream.chain(&tail[..]));
    assert_eq!(members.advance().unwrap().unwrap().size, SIZE);
    assert_eq!(members.advance().unwrap().unwrap().name, b"after");
    assert_eq!(members.advance().unwrap(), None);
    assert_eq!(members.position(), SIZE + 1024);
}

#[test]
fn refusals_say_why() {
    let mut flipped = member(b'0', "b", b"");
    flipped[0] ^= 1;
    for (bytes, why) in [
        (
            [member(b'0', "a", b"1"), flipped].concat(),
            "Bundle: the tar after 'a' is damaged: the header at byte 1024 cannot be read: its check sum is wrong \
             (hint: copy the file again from where it was made; the medium may be failing)",
        ),
        (
            [member(b'x', "x", b"9 path=ab\n"), member(b'0', "a", b"")].concat(),
            "Bundle: the tar is damaged: the header at byte 1024 cannot be read: its extended header is damaged \
             (hint: copy the file again from where it was made; the medium may be failing)",
        ),
        (
            member(b'0', "a", b"1")[..300].to_vec(),
            "Bundle: the tar is truncated: unexpected end of file \
             (hint: copy the file again from where it was made; the medium may be failing)",
        ),
    ] {
        assert_eq!(read(&bytes).unwrap_err(), why);
    }
    let many = member(b'5', "d/", b"");
    let mut members = Members::new(many.as_slice());
    members.count = MAX_MEMBERS;
    let e = members.advance().unwrap_err();
    assert_eq!(e.to_string(), "has more members than the limit of 4194304");
}

#[test]
fn damaged_tars_end() {
    let seeds = [
        [member(b'x', "x", b"12 path=abc\n"), member(b'0', "f", &[b'x'; 600]), member(b'L', "L", b"long\0")].concat(),
        member(b'x', "x", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"),
    ];
    mutate(&seeds, 20_000, |bytes| drop(read(bytes)));
}
