//! Zstandard: what libzstd made at every level is what comes out, and what is wrong is named.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::io::{Error, Read, Write};

use edgelay_codec::{Fault, MAX_WINDOW, Zstd};
use support::{Dribble, Numbers, drain, kinds};

fn pack(data: &[u8], level: i32, set: impl Fn(&mut zstd::Encoder<'_, Vec<u8>>)) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
    set(&mut encoder);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>, Fault> {
    let (data, end) = drain(Zstd::new(packed, limit), 1 << 16);
    end.map(|()| data).map_err(|e| fault(&e))
}

fn fault(e: &Error) -> Fault {
    *e.get_ref().unwrap().downcast_ref().unwrap()
}

fn same(what: &str, data: &[u8], packed: &[u8], limit: u64) {
    let found = unpack(packed, limit);
    let equal = found.as_ref().is_ok_and(|found| found == data);
    assert!(equal, "{what}: {:?}", found.map(|f| (f.len(), f.iter().zip(data).position(|(a, b)| a != b))));
}

#[test]
fn all_levels() {
    for length in [0, 1, 5, 100, 5_000, 150_000] {
        for (kind, data) in kinds(length) {
            for level in [-131_072, -50, -7, -1].into_iter().chain(1..=22) {
                let what = format!("{kind} {length} level {level}");
                same(&what, &data, &zstd::bulk::compress(&data, level).unwrap(), MAX_WINDOW);
                // Without the length, those from 20 on get windows and tables of hundreds of megabytes.
                if level < 20 && length < 150_000 {
                    let checked = pack(&data, level, |e| e.include_checksum(true).unwrap());
                    same(&what, &data, &checked, MAX_WINDOW);
                }
            }
        }
    }
}

/// Small windows, so that the ring's seam is passed often and matches lie across it.
#[test]
fn all_windows() {
    for (kind, data) in kinds(3_000_000) {
        for log in [10, 11, 14, 17, 18, 20, 21] {
            for level in [1, 3, 12] {
                let packed = pack(&data, level, |e| {
                    e.window_log(log).unwrap();
                    e.include_checksum(true).unwrap();
                });
                same(&format!("{kind} level {level} window {log}"), &data, &packed, 1 << log);
                // Held less, nothing is made up: what lies too far back is refused.
                for limit in [(1 << log) - 1, 1 << 10] {
                    match unpack(&packed, limit) {
                        Ok(found) => assert!(found == data, "{kind} level {level} window {log} in {limit}"),
                        Err(fault) => assert_eq!(fault, Fault::Window { wanted: 1 << log, limit }, "{kind}"),
                    }
                }
            }
        }
    }
}

/// What zstd:chunked makes: frames that ask for 32 MiB and have next to nothing, with notes in skippable ones behind.
#[test]
fn large_windows_that_are_not_used() {
    let data = kinds(9 << 20).remove(2).1;
    let mut stream = Vec::new();
    for piece in data.chunks(1 << 20) {
        stream.extend(pack(piece, 3, |e| e.window_log(25).unwrap()));
    }
    stream.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    same("chunked", &data, &stream, 1 << 20);
    // The first one that refers further back ends it; what is damaged is not blamed on the window.
    let whole = pack(&data.repeat(2)[..10 << 20], 3, |e| {
        e.long_distance_matching(true).unwrap();
        e.window_log(25).unwrap();
    });
    assert_eq!(unpack(&whole, MAX_WINDOW), Err(Fault::Window { wanted: 1 << 25, limit: MAX_WINDOW }));
    same("whole", &data.repeat(2)[..10 << 20], &whole, 1 << 25);
}

/// `--ultra --long`: the second half repeats the first at a distance of 20 MB.
#[test]
fn long_windows() {
    let mut data = kinds(20_000_000).remove(2).1;
    data.extend_from_within(..);
    let packed = pack(&data, 3, |e| {
        e.long_distance_matching(true).unwrap();
        e.window_log(27).unwrap();
        e.include_checksum(true).unwrap();
    });
    assert!(packed.len() * 9 < data.len() * 5, "no long matches in {} bytes", packed.len());
    same("long", &data, &packed, 1 << 27);
    assert_eq!(unpack(&packed, MAX_WINDOW), Err(Fault::Window { wanted: 1 << 27, limit: MAX_WINDOW }));
}

#[test]
fn streams_in_pieces() {
    let data = kinds(200_000).remove(4).1;
    let packed = pack(&data, 5, |e| {
        e.window_log(12).unwrap();
        e.include_checksum(true).unwrap();
    });
    for most in [1, 2, 3, 7, 100, 4096] {
        for out in [1, 10, 777, 1 << 20] {
            let (found, end) = drain(Zstd::new(Dribble { data: &packed, most }, MAX_WINDOW), out);
            assert!(end.is_ok() && found == data, "{most} {out}");
        }
    }
}

#[test]
fn frames_in_a_row_and_skippable_ones() {
    let frame = |data: &[u8]| pack(data, 3, |e| e.include_checksum(true).unwrap());
    let skip = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let stream = [&skip[..], &frame(b"one"), &frame(b""), &skip, &frame(b"two"), &skip].concat();
    assert_eq!(unpack(&stream, MAX_WINDOW).unwrap(), b"onetwo");
    assert_eq!(unpack(&stream[..stream.len() - 1], MAX_WINDOW), Err(Fault::Truncated));
    assert_eq!(unpack(&[&frame(b"one")[..], b"garbage"].concat(), MAX_WINDOW), Err(Fault::Magic));
    assert_eq!(unpack(b"", MAX_WINDOW), Err(Fault::Truncated));
    // Nothing carries over: neither data nor codes nor recent distances, into windows of other sizes.
    let mut stream = Vec::new();
    let mut all = Vec::new();
    for (number, (_, data)) in kinds(150_000).into_iter().enumerate() {
        stream.extend(pack(&data, 9, |e| e.window_log([20, 10, 17, 12, 11][number]).unwrap()));
        all.extend(data);
    }
    same("frames", &all, &stream, 1 << 20);
}

#[test]
fn dictionaries_are_refused_by_name() {
    for (flag, id) in [(1, 0xab), (2, 0xcdab), (3, 0x12ef_cdab)] {
        let frame = [&[0x28, 0xb5, 0x2f, 0xfd, flag, 0x38][..], &u32::to_le_bytes(id), &[0; 20]].concat();
        assert_eq!(unpack(&frame, MAX_WINDOW), Err(Fault::Dictionary(id)));
    }
    // One of content alone has no number; that it is missing is seen by what is not there.
    let content = b"a record of number 17, and so on".repeat(3);
    let packed = zstd::bulk::Compressor::with_dictionary(3, &content).unwrap().compress(&content).unwrap();
    assert!(packed.len() < 30, "{}", packed.len());
    assert_eq!(unpack(&packed, MAX_WINDOW), Err(Fault::Distance));
}

#[test]
fn every_cut_is_seen() {
    for (kind, data) in kinds(700) {
        for level in [-5, 1, 19] {
            let packed = pack(&data, level, |e| e.include_checksum(true).unwrap());
            for cut in 0..packed.len() {
                assert_eq!(unpack(&packed[..cut], MAX_WINDOW), Err(Fault::Truncated), "{kind} {level} {cut}");
            }
        }
    }
}

/// With a checksum, no flipped bit goes by: but for the unused one of the descriptor, and those that only say less
/// about the same data.
#[test]
fn every_flip_is_seen() {
    for (kind, data) in kinds(500) {
        for level in [-5, 1, 19] {
            let packed = pack(&data, level, |e| {
                e.include_checksum(true).unwrap();
                e.include_contentsize(false).unwrap();
            });
            for at in 6..packed.len() {
                for bit in 0..8 {
                    let mut broken = packed.clone();
                    broken[at] ^= 1 << bit;
                    let found = unpack(&broken, MAX_WINDOW);
                    assert!(found.as_ref().map_or(true, |f| *f == data), "{kind} {level}: byte {at} bit {bit}");
                    let theirs = zstd::decode_all(&broken[..]);
                    assert!(found.is_err() || theirs.is_ok(), "{kind} {level}: byte {at} bit {bit}: libzstd refuses");
                }
            }
        }
    }
}

/// Damaged streams end, in bounded memory, and libzstd takes none of them that we refuse nor gives other data.
#[test]
fn damaged_streams() {
    let mut numbers = Numbers(77);
    for (kind, data) in kinds(20_000) {
        for level in [-3, 1, 6, 19] {
            let packed = pack(&data, level, |e| e.window_log(11).unwrap());
            for round in 0..400 {
                let mut broken = packed.clone();
                for _ in 0..=numbers.below(3) {
                    let at = numbers.below(broken.len());
                    broken[at] = numbers.next().to_le_bytes()[0];
                }
                let (ours, end) = drain(Zstd::new(&broken[..], MAX_WINDOW).take(50_000_000), 1 << 16);
                let mut theirs = Vec::new();
                let other = zstd::Decoder::new(&broken[..]).unwrap().take(50_000_000).read_to_end(&mut theirs);
                if end.is_ok() {
                    assert!(other.is_ok() && ours == theirs, "{kind} {level} {round}");
                }
            }
        }
    }
}

#[test]
fn noise_is_no_stream() {
    let mut numbers = Numbers(5);
    for _ in 0..20_000 {
        let mut noise = vec![0x28, 0xb5, 0x2f, 0xfd];
        noise.extend((0..numbers.below(80)).map(|_| numbers.next().to_le_bytes()[1]));
        // Blocks of every kind, not only headers that are refused.
        if noise.len() > 8 {
            noise[4] &= 0xe4;
        }
        let (found, end) = drain(Zstd::new(&noise[..], MAX_WINDOW), 1 << 16);
        assert!(found.len() < 4 << 20, "{}", found.len());
        let mut theirs = Vec::new();
        let other = zstd::Decoder::new(&noise[..]).unwrap().read_to_end(&mut theirs);
        assert!(end.is_err() || (other.is_ok() && found == theirs), "{noise:?}");
    }
}

/// 4 GB out of some kilobytes: one window of memory, whatever the size.
#[test]
fn huge_repeats() {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    let blocks = 2000u32;
    for number in 0..blocks {
        // RLE blocks of 128 KiB.
        let header = (128 << 10) << 3 | 1 << 1 | u32::from(number + 1 == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(7);
    }
    let mut reader = Zstd::new(&frame[..], MAX_WINDOW);
    let mut buf = vec![0; 1 << 20];
    let mut sum = 0u64;
    loop {
        let n = reader.read(&mut buf).unwrap();
        if n == 0 {
            break;
        }
        assert!(buf[..n].iter().all(|b| *b == 7));
        sum += u64::try_from(n).unwrap();
    }
    assert_eq!(sum, u64::from(blocks) * (128 << 10));
}
