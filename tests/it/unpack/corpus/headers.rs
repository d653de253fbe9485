//! What tar programs write into headers, and where an archive may end.

use super::{Case, Fate, case, raw, refused, same};
use crate::support::tar::{E, Form, record};

pub(super) fn all() -> Vec<Case> {
    [headers(), odd_ends(), sparse()].into_iter().flatten().collect()
}

fn headers() -> Vec<Case> {
    let comment = |name: &str| E { data: record(b"comment", b"hello"), ..E::new(b'g', name) };
    let twice = [
        E { data: record(b"path", b"one"), ..E::new(b'x', "x") },
        E { data: record(b"path", b"two"), ..E::new(b'x', "x") },
        E::file("three", ""),
    ];
    let long =
        |name: &str| E { data: [name.as_bytes(), b"\0"].concat(), form: Form::Gnu, ..E::new(b'L', "././@LongLink") };
    let mut signed = E::file(b"signed-\xff\xff", "").header();
    let sum: i32 = signed
        .iter()
        .enumerate()
        .map(|(n, b)| if (148..156).contains(&n) { 32 } else { i32::from(b.cast_signed()) })
        .sum();
    signed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bad_sum = E::file("f", "").header();
    bad_sum[0] ^= 1;
    let end = [0; 1024];
    vec![
        same(
            "GNU, ustar and V7",
            &[&[
                E::file("g", "1").form(Form::Gnu),
                E::file("u", "2"),
                E::file("v", "3").form(Form::V7),
                E::symlink("l", "t").form(Form::V7),
                E::dir("d").form(Form::Gnu),
            ]],
        ),
        same(
            "base 256",
            &[&[
                E::file("f", "").owner(3_000_000, 4_000_000).form(Form::Gnu),
                E::file("g", "").mtime(1 << 34).form(Form::Gnu),
            ]],
        ),
        same(
            "global headers",
            &[&[comment("pax_global_header"), E::file("f", ""), comment("made/for/nothing"), comment("f")]],
        ),
        same("a global header over a lower one", &[&[E::dir("d").mode(0o700), E::file("d/f", "")], &[comment("d/f")]]),
        refused("a broken global header", &[&[E { data: b"junk".to_vec(), ..E::new(b'g', "g") }, E::file("f", "")]]),
        same("two PAX headers in a row", &[&twice]),
        same("two long names in a row", &[&[long("one"), long("two"), E::file("three", "")]]),
        same("PAX number beats header", &[&[E::file("f", "12345").pax("size", "5").pax("uid", "7"), E::file("g", "")]]),
        same(
            "sizes where there is no data",
            &[&[E { size: Some(600), ..E::dir("d") }, E { size: Some(5), ..E::symlink("l", "t") }, E::file("f", "x")]],
        ),
        raw(Fate::Same, "a signed check sum", [&signed[..], &end].concat()),
        raw(Fate::Refused, "a wrong check sum", [&bad_sum[..], &end].concat()),
        refused("a broken PAX header", &[&[E { data: b"9 a=bc\n".to_vec(), ..E::new(b'x', "x") }, E::file("f", "")]]),
        refused("a PAX number that is none", &[&[E::file("f", "").pax("uid", "seven")]]),
        refused("a PAX time that is none", &[&[E::file("f", "").pax("mtime", "today")]]),
        refused("a PAX size below zero", &[&[E::file("f", "").pax("size", "-1")]]),
        refused(
            "an attribute whose name is too long",
            &[&[E::file("f", "").xattr(&format!("user.{}", "n".repeat(300)), "")]],
        ),
        refused("an attribute that is too large", &[&[E::file("f", "").xattr("user.a", vec![b'x'; 70_000])]]),
        refused("a capability that is none", &[&[E::file("f", "").xattr("security.capability", "junk")]]),
        case(Fate::Ours, "a contiguous file", &[&[E { data: b"x".to_vec(), ..E::new(b'7', "f") }]]),
        refused("a multi-volume part", &[&[E::new(b'M', "f")]]),
        refused(
            "a 1 MiB name",
            &[&[E { data: vec![b'n'; 1 << 20], ..E::new(b'L', "L").form(Form::Gnu) }, E::file("f", "")]],
        ),
        refused("a PAX header of 2 MiB", &[&[E::file("f", "").pax("comment", vec![b'c'; 2 << 20])]]),
    ]
}

fn odd_ends() -> Vec<Case> {
    let file = E::file("f", "data").bytes();
    let zero = vec![0; 512];
    vec![
        raw(Fate::Same, "no byte at all", vec![]),
        raw(Fate::Same, "no end mark", file.clone()),
        raw(Fate::Same, "half an end mark", [&file[..], &zero].concat()),
        raw(Fate::Same, "more zeros", [&file[..], &zero.repeat(20)].concat()),
        raw(Fate::Same, "bytes behind the end mark", [&file[..], &zero, &zero, &[b'x'; 1000]].concat()),
        raw(Fate::Refused, "half an end mark and more", [&file[..], &zero, &file].concat()),
        raw(Fate::Refused, "cut in the data", [&file[..], &file[..514]].concat()),
        raw(Fate::Refused, "cut in a header", [&file[..], &file[..100]].concat()),
        raw(Fate::Same, "cut in the padding", file[..516].to_vec()),
        raw(Fate::Refused, "no tar", b"this is no tar".repeat(100)),
        raw(
            Fate::Same,
            "a PAX header for nothing",
            [&file[..], &E { data: record(b"path", b"x"), ..E::new(b'x', "x") }.bytes()].concat(),
        ),
    ]
}

/// PAX sparse files by hand; those that GNU tar makes are in `real`.
fn sparse() -> Vec<Case> {
    let map = |pairs: &[(u64, u64)], data: &str| {
        let text: Vec<String> = pairs.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
        E::file("GNUSparseFile.1/s", data)
            .pax("GNU.sparse.size", "100000")
            .pax("GNU.sparse.numblocks", pairs.len().to_string())
            .pax("GNU.sparse.name", "s")
            .pax("GNU.sparse.map", text.join(","))
    };
    let oldest = |order: &[&str]| {
        let mut e = E::file("s", "abc").pax("GNU.sparse.size", "20").pax("GNU.sparse.numblocks", "2");
        for (key, value) in order.iter().zip(["0", "1", "10", "2"]) {
            e = e.pax(format!("GNU.sparse.{key}"), value);
        }
        e
    };
    let newest = |head: &str, data: &str| {
        let mut bytes = head.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(data.as_bytes());
        E::file("GNUSparseFile.1/s", bytes)
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", "n/s")
            .pax("GNU.sparse.realsize", "70000")
    };
    let old = |map: &[(i64, i64)], size: i64, data: &str| {
        use crate::support::tar::{number, sum};
        let mut block = E::file("old", data).form(Form::Gnu).header();
        block[156] = b'S';
        for (n, (offset, length)) in map.iter().enumerate() {
            block[386 + n * 24..398 + n * 24].copy_from_slice(&number(*offset, 12));
            block[398 + n * 24..410 + n * 24].copy_from_slice(&number(*length, 12));
        }
        block[483..495].copy_from_slice(&number(size, 12));
        sum(&mut block);
        let mut bytes = [&block[..], data.as_bytes()].concat();
        bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
        bytes
    };
    vec![
        same("sparse 0.1", &[&[map(&[(0, 3), (50_000, 2), (100_000, 0)], "abcde")]]),
        same("sparse 0.1 without data", &[&[map(&[], "")]]),
        same("sparse 0.0", &[&[oldest(&["offset", "numbytes", "offset", "numbytes"])]]),
        refused("sparse 0.0 out of order", &[&[oldest(&["numbytes", "offset", "offset", "numbytes"])]]),
        same("sparse 1.0", &[&[newest("2\n0\n3\n60000\n2\n", "abcde")]]),
        same("sparse 1.0 without data", &[&[newest("0\n", "")]]),
        refused("sparse 1.0 with a map too short", &[&[newest("3\n0\n3\n", "abc")]]),
        refused("sparse 1.0 with a map that is none", &[&[newest("two\n0\n3\n", "abc")]]),
        refused("sparse and a link", &[&[E { kind: b'2', link: b"t".to_vec(), ..map(&[(0, 0)], "") }]]),
        refused("sparse and a directory", &[&[E { kind: b'5', ..newest("0\n", "") }]]),
        refused("pieces that overlap", &[&[map(&[(0, 3), (2, 2)], "abcde")]]),
        refused("pieces out of order", &[&[map(&[(50, 3), (0, 2)], "abcde")]]),
        refused("pieces beyond the end", &[&[map(&[(99_999, 5)], "abcde")]]),
        refused("fewer data than pieces", &[&[map(&[(0, 8)], "abcde")]]),
        refused("more data than pieces", &[&[map(&[(0, 2)], "abcde")]]),
        refused("pieces that overflow", &[&[map(&[(u64::MAX / 2, 5)], "abcde")]]),
        raw(Fate::Ours, "old GNU sparse", old(&[(0, 3), (5000, 2)], 9000, "abcde")),
        raw(Fate::Refused, "old GNU sparse, overlapping", old(&[(0, 3), (1, 2)], 9000, "abcde")),
    ]
}
