//! gzip: what others made at every level is what comes out, and what is wrong is named.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "tests")]

mod support;

use std::io::{Error, Read, Write};

use edgelay_codec::{Fault, Gzip};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use support::{Dribble, Numbers, drain, kinds};

fn pack(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Fault> {
    let (data, end) = drain(Gzip::new(packed), 1 << 16);
    end.map(|()| data).map_err(|e| fault(&e))
}

fn fault(e: &Error) -> Fault {
    *e.get_ref().unwrap().downcast_ref().unwrap()
}

fn theirs(packed: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).take(50_000_000).read_to_end(&mut data).ok().map(|_| data)
}

/// A member around a deflate stream that is written by hand.
fn member(deflate: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    let tail = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], deflate, &tail[..]].concat()
}

#[test]
fn all_levels() {
    for length in [0, 1, 5, 100, 5_000, 70_000, 1_000_000] {
        for (kind, data) in kinds(length) {
            for level in 0..=9 {
                let found = unpack(&pack(&data, level));
                assert!(found.as_ref() == Ok(&data), "{kind} {length} level {level}: {:?}", found.map(|f| f.len()));
            }
        }
    }
}

/// Of the system's own gzip, which is the one that most layers were made with.
#[test]
fn gzip_itself() {
    for (kind, data) in kinds(400_000) {
        for level in ["-1", "-6", "-9"] {
            let mut child = std::process::Command::new("gzip")
                .args(["-c", level])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let sent = data.clone();
            let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
            let packed = child.wait_with_output().unwrap().stdout;
            writer.join().unwrap();
            assert!(unpack(&packed).as_ref() == Ok(&data), "{kind} {level}");
        }
    }
}

#[test]
fn streams_in_pieces() {
    let data = kinds(300_000).remove(4).1;
    for level in [0, 6] {
        let packed = pack(&data, level);
        for most in [1, 2, 3, 7, 15, 16, 17, 100, 4096] {
            for out in [1, 10, 777, 1 << 20] {
                let (found, end) = drain(Gzip::new(Dribble { data: &packed, most }), out);
                assert!(end.is_ok() && found == data, "{level} {most} {out}");
            }
        }
    }
}

#[test]
fn blocks_by_hand() {
    // Stored, empty; fixed, "a" and a match of 258 over 1; the end.
    let mut bits: Vec<u8> = Vec::new();
    let mut put = |value: u32, count: usize| bits.extend((0..count).map(|n| (value >> n & 1) as u8));
    put(0b000, 3);
    put(0, 5);
    put(0xffff_0000, 32);
    put(0b011, 3);
    let code = |value: u32, count: usize| value.reverse_bits() >> (32 - count);
    put(code(0x30 + u32::from(b'a'), 8), 8);
    put(code(0xc0 + 285 - 280, 8), 8);
    put(0, 5);
    put(0, 7);
    let stream: Vec<u8> = bits.chunks(8).map(|c| c.iter().rev().fold(0, |byte, bit| byte << 1 | bit)).collect();
    assert_eq!(unpack(&member(&stream, &[b'a'; 259])).unwrap(), [b'a'; 259]);
    let cases: [(&[u8], Fault); 6] = [
        (&[0b111], Fault::Block),
        (&[1, 1, 0, 0xfe, 0xfe], Fault::Block),
        // A match before any data.
        (&[0b0000_0011, 0b0000_0010, 0, 0], Fault::Distance),
        // 31 distance codes.
        (&[0b1111_1101, 0b1111_1111, 0xff], Fault::Code),
        // A code of lengths of three codes of one bit.
        (&[0b0000_0101, 0b1000_0000, 0b0010_0100, 0b1001_0010, 0, 0, 0], Fault::Code),
        (&[0b011, 0], Fault::Checksum),
    ];
    for (stream, fault) in cases {
        let data: &[u8] = if fault == Fault::Checksum { b"x" } else { b"" };
        assert_eq!(unpack(&member(stream, data)), Err(fault), "{stream:?}");
    }
}

#[test]
fn members_and_what_follows_them() {
    let one = pack(b"one", 6);
    let join = |tail: &[u8]| [&one[..], tail].concat();
    assert_eq!(unpack(&join(&pack(b"two", 0))).unwrap(), b"onetwo");
    assert_eq!(unpack(&join(&[0; 100_000])).unwrap(), b"one");
    assert_eq!(unpack(&join(b"\0\0x")), Err(Fault::Magic));
    for garbage in [&b"\n"[..], b"short", b"\x1fgarbage of ten bytes", b"garbage that is long enough"] {
        assert_eq!(unpack(&join(garbage)), Err(Fault::Magic), "{garbage:?}");
    }
    assert_eq!(unpack(&join(&[0x1f])), Err(Fault::Truncated));
    assert_eq!(unpack(b""), Err(Fault::Truncated));
    // A second member does not reach into the first.
    let far = member(&[0b0000_0011, 0b0000_0010, 0, 0], b"");
    assert_eq!(unpack(&join(&far)), Err(Fault::Distance));
    let mut long = one.clone();
    let at = long.len() - 4;
    long[at] ^= 1;
    assert_eq!(unpack(&long), Err(Fault::Length));
    long[at] ^= 1;
    long[at - 1] ^= 1;
    assert_eq!(unpack(&long), Err(Fault::Checksum));
}

#[test]
fn headers() {
    let mut full =
        GzBuilder::new().filename("name").comment("comment").extra(vec![7; 300]).mtime(99).operating_system(3);
    full = full.mtime(1);
    let mut encoder = full.write(Vec::new(), Compression::fast());
    encoder.write_all(b"data").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(unpack(&packed).unwrap(), b"data");
    // With a checksum of the header behind it.
    let head = 10 + 2 + 300 + 5 + 8;
    let mut checked = packed[..head].to_vec();
    checked[3] |= 2;
    let mut crc = flate2::Crc::new();
    crc.update(&checked);
    checked.extend_from_slice(&crc.sum().to_le_bytes()[..2]);
    checked.extend_from_slice(&packed[head..]);
    assert_eq!(unpack(&checked).unwrap(), b"data");
    checked[20] ^= 1;
    assert_eq!(unpack(&checked), Err(Fault::HeaderChecksum));
    for (at, bit, fault) in
        [(0, 1, Fault::Magic), (2, 1, Fault::Header), (3, 0x20, Fault::Header), (3, 0x80, Fault::Header)]
    {
        let mut broken = packed.clone();
        broken[at] ^= bit;
        assert_eq!(unpack(&broken), Err(fault), "{at}");
    }
}

#[test]
fn every_cut_is_seen() {
    for (kind, data) in kinds(700) {
        for level in [0, 1, 9] {
            let packed = pack(&data, level);
            for cut in 0..packed.len() {
                assert_eq!(unpack(&packed[..cut]), Err(Fault::Truncated), "{kind} {level} {cut}");
            }
        }
    }
}

#[test]
fn every_flip_is_seen() {
    for (kind, data) in kinds(600) {
        for level in [0, 1, 9] {
            let packed = pack(&data, level);
            for at in 10..packed.len() {
                for bit in 0..8 {
                    let mut broken = packed.clone();
                    broken[at] ^= 1 << bit;
                    let found = unpack(&broken);
                    assert!(found.as_ref().map_or(true, |f| *f == data), "{kind} {level}: byte {at} bit {bit}");
                }
            }
        }
    }
}

/// Damaged streams end; what is still taken is what the other decoder gives.
#[test]
fn damaged_streams() {
    let mut numbers = Numbers(99);
    for (kind, data) in kinds(20_000) {
        for level in [0, 1, 6, 9] {
            let packed = pack(&data, level);
            for round in 0..300 {
                let mut broken = packed.clone();
                for _ in 0..=numbers.below(3) {
                    let at = numbers.below(broken.len());
                    broken[at] = numbers.next().to_le_bytes()[0];
                }
                let (ours, end) = drain(Gzip::new(&broken[..]).take(50_000_000), 1 << 16);
                if end.is_ok() {
                    assert_eq!(Some(ours), theirs(&broken), "{kind} {level} {round}");
                }
            }
        }
    }
}

#[test]
fn noise_is_no_stream() {
    let mut numbers = Numbers(3);
    for _ in 0..20_000 {
        let mut noise = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        noise.extend((0..numbers.below(120)).map(|_| numbers.next().to_le_bytes()[1]));
        let (found, end) = drain(Gzip::new(&noise[..]), 1 << 16);
        assert!(end.is_err() && found.len() < 1 << 20, "{}", found.len());
    }
}

/// 200 MB out of 200 KB.
#[test]
fn huge_repeats() {
    let packed = pack(&vec![7; 200_000_000], 9);
    let mut reader = Gzip::new(&packed[..]);
    let mut buf = vec![0; 1 << 20];
    let mut sum = 0;
    loop {
        let n = reader.read(&mut buf).unwrap();
        if n == 0 {
            break;
        }
        assert!(buf[..n].iter().all(|b| *b == 7));
        sum += n;
    }
    assert_eq!(sum, 200_000_000);
}
