//! Corners of the formats in which nobody is known to live: whatever containerd does there, we do.

use super::Bench;
use crate::support::tar::{E, Form, layer, number, record, sum};

// The oldest and the newest only: each takes a minute or more.
#[test]
fn corners_are_as_containerd_1_6_has_them() {
    corners_are_as_containerd_has_them("1.6");
}

#[test]
fn corners_are_as_containerd_2_1_has_them() {
    corners_are_as_containerd_has_them("2.1");
}

/// Layers, each by its bytes.
type Layers = (String, Vec<Vec<u8>>);

fn corners_are_as_containerd_has_them(version: &str) {
    let Some(mut bench) = Bench::start("corners_are_as_containerd_has_them", version) else { return };
    let mut wrong = Vec::new();
    let mut taken = 0;
    let cases: Vec<Layers> = [types(), records(), numbers(), attributes(), inherited(), odd_names()].concat();
    for (name, layers) in &cases {
        match bench.compare(name, layers.clone()) {
            Ok(super::Fate::Same) => taken += 1,
            Ok(_) => {}
            // containerd takes of a number that no device has what fits, and makes another device (newer ones do not).
            Err(why) if why.contains("only we refuse it: 'f' is the impossible device") => {}
            Err(why) => wrong.push(why),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    println!("containerd {version}: {} cases, {taken} taken", cases.len());
    assert!(taken > cases.len() / 3 && taken < cases.len() * 9 / 10, "{taken} of {} are taken", cases.len());
}

fn of(name: impl Into<String>, layers: &[&[E]]) -> Layers {
    (name.into(), layers.iter().map(|members| layer(members)).collect())
}

/// `e`, with other bytes in its header.
fn patched(e: &E, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = e.header();
    for (at, bytes) in patches {
        block[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    sum(&mut block);
    let mut out = [&block[..], &e.data].concat();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn ended(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend([0; 1024]);
    bytes
}

/// Every letter that may stand for a kind of file.
fn types() -> Vec<Layers> {
    let mut cases = Vec::new();
    for kind in (b'8'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').chain([1, b' ', 0x80, 0xff]) {
        if b"KLSgx".contains(&kind) {
            continue;
        }
        let odd = E { data: b"data".to_vec(), ..E::new(kind, "odd") };
        cases.push(of(format!("type {kind:#x}"), &[&[E::file("before", ""), odd, E::file("after", "")]]));
        let empty = E::new(kind, "d/.wh.e");
        cases.push(of(format!("type {kind:#x} as a whiteout"), &[&[E::dir("d"), empty]]));
    }
    // The seventh, contiguous files, we read and containerd does not.
    for kind in *b"1234560" {
        let data = E { data: b"x".repeat(512), link: b"f".to_vec(), ..E::new(kind, "odd") };
        cases.push(of(format!("type {} with data", char::from(kind)), &[&[E::file("f", ""), data, E::file("g", "")]]));
        let named = E { data: b"data".to_vec(), ..E::new(kind, "old/") };
        cases.push(of(format!("type {} with a slash", char::from(kind)), &[&[named, E::file("g", "")]]));
    }
    for form in [Form::V7, Form::Gnu, Form::Ustar] {
        let old = |name: &str| E { data: b"data".to_vec(), ..E::new(0, name) }.form(form);
        cases.push(of(format!("an old directory with data, {form:?}"), &[&[old("d/"), E::file("g", "")]]));
        let long = format!("{}/", "long".repeat(40));
        cases.push(of(format!("an old directory with a long name, {form:?}"), &[&[old(&long), E::file("g", "")]]));
        let pax = [old("x").pax("path", "pax/"), old("y/").pax("path", "pay"), E::file("g", "")];
        cases.push(of(format!("an old directory by its PAX name, {form:?}"), &[&pax]));
    }
    cases
}

/// PAX records that say odd things, or say them oddly.
fn records() -> Vec<Layers> {
    let mut cases = Vec::new();
    let times = [
        "1e3",
        "1.",
        ".5",
        "-.5",
        "-0.5",
        "1.-5",
        "+5",
        " 5",
        "5 ",
        "0x5",
        "",
        "-",
        ".",
        "1.1234567891234",
        "1.999999999999",
        "-1.999999999",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "99999999999999999999",
        "253402300800",
        "-62135596801",
        "1_000",
        "1,5",
        "1.5.5",
        "\u{661}",
    ];
    for key in ["mtime", "atime", "ctime"] {
        for time in times {
            let all =
                [E::file("f", "").pax(key, time), E::dir("d").pax(key, time), E::symlink("l", "f").pax(key, time)];
            cases.push(of(format!("{key} {time:?}"), &[&all]));
        }
    }
    for key in ["uid", "gid", "size"] {
        for number in [
            "-1",
            "+7",
            " 7",
            "7 ",
            "",
            "07",
            "0x7",
            "2147483647",
            "2147483648",
            "4294967294",
            "4294967295",
            "9223372036854775808",
        ] {
            if key == "size" && number.len() > 4 {
                continue;
            }
            let all = [E::file("f", "seven77").pax(key, number), E::dir("d").pax(key, number), E::file("g", "")];
            cases.push(of(format!("{key} {number:?}"), &[&all]));
        }
    }
    for (key, value) in [
        ("path", "."),
        ("path", "/"),
        ("path", ".."),
        ("path", "a/"),
        ("path", "/a//b/./c/"),
        ("linkpath", ""),
        ("linkpath", "g\0h"),
        ("uname", "a\0b"),
        ("gname", "a\0b"),
        ("comment", "a\0b"),
        ("hdrcharset", "BINARY"),
        ("SCHILY.dev", "x"),
        ("", "x"),
        ("GNU.sparse.size", "5"),
        ("GNU.sparse.name", "../s"),
        ("GNU.sparse.numblocks", "-1"),
        ("GNU.sparse.major", "2"),
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.realsize", "5"),
        ("GNU.sparse.map", "0,1"),
        ("LIBARCHIVE.xattr.user.a", "dmFsdWU"),
        ("LIBARCHIVE.creationtime", "x"),
        ("RHT.security.selinux", "x"),
        ("SCHILY.xattr.", "x"),
        ("SCHILY.xattr.user.", "x"),
        ("SCHILY.xattr.user", "x"),
        ("SCHILY.xattr.bogus.a", "x"),
        ("SCHILY.xattr.user.a\0b", "x"),
        ("SCHILY.acl.access", "x"),
    ] {
        let all = [
            E::file("t", "target"),
            E::file("f", "data").pax(key, value),
            E::symlink("l", "t").pax(key, value),
            E::hard("h", "t").pax(key, value),
            E::file("after", ""),
        ];
        for (n, one) in all[1..4].iter().enumerate() {
            cases.push(of(format!("{key:?} is {value:?} of {n}"), &[&[all[0].clone(), one.clone(), all[4].clone()]]));
        }
    }
    for text in [
        "",
        "\n",
        "6 a=b",
        "6 a=b\n",
        "06 a=b\n",
        "+6 a=b\n",
        "7 a=b\n",
        "5 a=b\n",
        "4 a=\n",
        "5 ab\n",
        "5 =b\n",
        "6  a=b\n",
        "x a=b\n",
        "-6 a=b\n",
        "6 a=b\n\0\0\0",
        "6 a=b\njunk",
        "99999999999999999999 a=b\n",
        "6\ta=b\n",
        "0 a=b\n",
        "3 \n",
        "00000000000000000000006 a=b\n",
    ] {
        for kind in [b'x', b'g'] {
            let head = E { data: text.as_bytes().to_vec(), ..E::new(kind, "head") };
            cases.push(of(format!("{} {text:?}", char::from(kind)), &[&[head, E::file("f", "")]]));
        }
    }
    let head = |kind: u8, data: &[u8]| E { data: data.to_vec(), form: Form::Gnu, ..E::new(kind, "head") };
    let file = E::file("f", "");
    let path = record(b"path", b"pax");
    for (name, heads) in [
        ("x L", vec![head(b'x', &path), head(b'L', b"long\0")]),
        ("L x", vec![head(b'L', b"long\0"), head(b'x', &path)]),
        ("L without a NUL", vec![head(b'L', b"long")]),
        ("L of nothing", vec![head(b'L', b"")]),
        ("L of a NUL", vec![head(b'L', b"\0")]),
        ("L of a directory", vec![head(b'L', b"long/\0")]),
        ("K for a file", vec![head(b'K', b"link\0")]),
        ("g for all", vec![head(b'g', &path), E::file("e", "")]),
        ("g with a size", vec![head(b'g', &record(b"size", b"4"))]),
        ("x g", vec![head(b'x', &path), head(b'g', &record(b"comment", b"x"))]),
        ("L g", vec![head(b'L', b"long\0"), head(b'g', &record(b"comment", b"x"))]),
        ("x that takes records back", vec![head(b'x', &[path.clone(), record(b"path", b"")].concat())]),
    ] {
        cases.push(of(name, &[&[&heads[..], std::slice::from_ref(&file)].concat()]));
        let link = [heads, vec![E::symlink("l", "text")]].concat();
        cases.push(of(format!("{name}, before a link"), &[&link]));
    }
    cases
}

/// Fields of a header, byte by byte.
fn numbers() -> Vec<Layers> {
    let mut cases = Vec::new();
    let fields: [(&str, usize, usize); 7] = [
        ("mode", 100, 8),
        ("uid", 108, 8),
        ("gid", 116, 8),
        ("size", 124, 12),
        ("mtime", 136, 12),
        ("major", 329, 8),
        ("minor", 337, 8),
    ];
    for (field, at, width) in fields {
        let texts: Vec<Vec<u8>> = vec![
            vec![0; width],
            vec![b' '; width],
            vec![b'0'; width],
            [&vec![b' '; width - 2][..], b"4\0"].concat(),
            [b"4".to_vec(), vec![b' '; width - 1]].concat(),
            [b"4\0".to_vec(), vec![b'7'; width - 2]].concat(),
            [b"4 ".to_vec(), vec![b'7'; width - 2]].concat(),
            [b"\0".to_vec(), vec![b'4'; width - 1]].concat(),
            [b"-1".to_vec(), vec![0; width - 2]].concat(),
            [b"8".to_vec(), vec![0; width - 1]].concat(),
            [b"0x4".to_vec(), vec![0; width - 3]].concat(),
            number(-5, width),
            number(-1, width),
            [&[0x80][..], &vec![0; width - 2], &[4]].concat(),
            [&[0xc0][..], &vec![0; width - 1]].concat(),
            [&[0x81][..], &vec![0; width - 2], &[4]].concat(),
            vec![0xff; width],
            [&[0xbf][..], &vec![0xff; width - 1]].concat(),
        ];
        for text in texts {
            for e in [E::file("f", "data"), E::dir("f"), E::device(b'3', "f", 1, 3)] {
                // Sizes that are true of no layer, of whatever length.
                if field == "size"
                    && e.kind == b'0'
                    && text[0] & 0x80 != 0
                    && text[0] != 0xff
                    && text[1..4] != [0, 0, 0]
                {
                    continue;
                }
                let bytes = ended([patched(&e, &[(at, &text)]), E::file("after", "").bytes()].concat());
                let name = format!("{field} {} of {}", text.escape_ascii(), char::from(e.kind));
                cases.push((name, vec![bytes]));
            }
        }
    }
    let star = |extra: &[(usize, &[u8])]| {
        let all = [&[(508, &b"tar\0"[..]), (345, &b"prefix"[..])][..], extra].concat();
        ended(patched(&E::file("f", "data"), &all))
    };
    cases.push(("star".into(), vec![star(&[])]));
    cases.push(("star with times".into(), vec![star(&[(476, b"00000000005\0"), (488, b"00000000007\0")])]));
    cases.push(("star with times that are none".into(), vec![star(&[(476, b"xyzxyzxyzxy\0")])]));
    let full = E { prefix: vec![b'p'; 155], ..E::file([b'n'; 100], "") };
    cases.push(("a name and a prefix that fill their fields".into(), vec![ended(full.bytes())]));
    for magic in [&b"ustar\x00 "[..], b"ustar \0 ", b"ustar\x0001", b"USTAR\x0000", b"ustar  0", b"\0\0\0\0\0\0\0\0"] {
        let e = E { prefix: b"p".to_vec(), ..E::file("f", "data").owner(3, 4) };
        cases.push((format!("magic {}", magic.escape_ascii()), vec![ended(patched(&e, &[(257, magic)]))]));
    }
    for check in [&b"  "[..], b"\0\0"] {
        let mut block = E::file("f", "").header();
        let digits: Vec<u8> = block[148..154].to_vec();
        block[148..156].copy_from_slice(&[check, &digits].concat());
        cases.push((format!("a sum after {}", check.escape_ascii()), vec![ended(block.to_vec())]));
    }
    cases
}

fn attributes() -> Vec<Layers> {
    const CAP2: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const CAP3: &[u8] = b"\x01\0\0\x03\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0";
    const CAP: &str = "security.capability";
    let mut cases = vec![
        of(
            "capabilities stay through owner, mode and links",
            &[&[
                E::file("two", "x").xattr(CAP, CAP2).owner(1000, 1000).mode(0o4755),
                E::file("three", "x").xattr(CAP, CAP3).owner(5, 6).mode(0o2755),
                E::hard("hard", "two").owner(7, 8).mode(0o4755),
                E::hard("again", "three").xattr(CAP, CAP2).owner(7, 8),
            ]],
        ),
        of(
            "on the root",
            &[&[E::dir("./").mode(0o1755).owner(3, 4).xattr("user.a", "b").xattr("trusted.a", "b").mtime(5)]],
        ),
        of("on a whiteout", &[&[E::file("f", "")], &[E::file(".wh.f", "").xattr("user.a", "b")]]),
        of(
            "on an opaque mark",
            &[&[E::file("d/f", "")], &[E::dir("d"), E::file("d/.wh..wh..opq", "").xattr("user.a", "b")]],
        ),
        of("on what replaces", &[&[E::file("f", "").xattr("user.a", "1"), E::file("f", "").xattr("user.b", "2")]]),
        of("on a directory twice", &[&[E::dir("d").xattr("user.a", "1"), E::dir("d").xattr("user.b", "2")]]),
        of("large in sum", &[&[(0..40).fold(E::file("f", ""), |e, n| e.xattr(&format!("user.{n}"), [b'x'; 100]))]]),
    ];
    for (name, value) in [
        ("trusted.overlay.opaque", &b"y"[..]),
        ("trusted.overlay.redirect", b"/d"),
        ("trusted.overlay.metacopy", b""),
        ("trusted.overlay.origin", b"junk"),
        ("user.overlay.opaque", b"y"),
        ("security.selinux", b"system_u:object_r:bin_t:s0\0"),
        ("security.ima", b"\x03\x02"),
        ("security.evm", b"junk"),
        ("security.SMACK64", b"_"),
        ("security.any", b"x"),
        ("system.any", b"x"),
        ("system.nfs4_acl", b"x"),
        ("system.posix_acl_access", b"junk"),
        (
            "system.posix_acl_default",
            b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff",
        ),
        ("com.apple.quarantine", b"x"),
        ("User.a", b"x"),
        ("user.a", b""),
    ] {
        for e in [E::file("f", "x"), E::dir("f"), E::symlink("f", "g"), E::device(b'3', "f", 1, 3), E::hard("f", "g")] {
            let kind = char::from(e.kind);
            cases.push(of(format!("{name} on {kind}"), &[&[E::file("g", ""), e.xattr(name, value)]]));
        }
    }
    cases
}

/// What directories that no entry names take over from those above.
fn inherited() -> Vec<Layers> {
    const DEFAULT: &[u8] = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    let group = E::dir("d").mode(0o2775).owner(1, 50);
    let acl = E::dir("d").xattr("system.posix_acl_default", DEFAULT);
    let below = [
        E::file("d/a/b/f", "x").mode(0o6755).owner(9, 9),
        E::dir("d/c"),
        E::symlink("d/e/l", "x"),
        E::fifo("d/g/p"),
        E::hard("d/h/h", "d/a/b/f"),
        E::file("d/i/.wh.gone", ""),
        E::file("d/j/.wh..wh..opq", ""),
    ];
    let mut cases = Vec::new();
    for (name, top) in [
        ("a group", &group),
        ("an ACL", &acl),
        ("no rights", &E::dir("d").mode(0)),
        ("sticky", &E::dir("d").mode(0o1777)),
    ] {
        let one: Vec<E> = [std::slice::from_ref(top), &below].concat();
        cases.push(of(format!("below {name}"), &[&one]));
        cases.push(of(format!("below {name} of a lower layer"), &[std::slice::from_ref(top), &below]));
        let deeper = [E::dir("d/a"), E::file("d/a/b/f", "")];
        cases.push(of(format!("below {name}, two layers down"), &[std::slice::from_ref(top), &deeper, &below]));
    }
    let root = E::dir("./").mode(0o2775).owner(1, 50);
    cases.push(of("below the root's group", &[&[root.clone(), E::file("a/f", "")], &[E::file("b/f", "")]]));
    cases.push(of("the root comes last", &[&[E::file("a/f", ""), root]]));
    cases
}

fn odd_names() -> Vec<Layers> {
    let base = [E::file("d/e/f", ""), E::file("f", "f"), E::symlink("l", "d")];
    let mut cases = Vec::new();
    for name in [
        ".wh.d/f",
        "d/.wh.e/f",
        "d/.wh.e/g/",
        ".wh./f",
        ".wh..wh..opq/f",
        "d/.wh..wh.x",
        "d/.wh..wh..opqx",
        "d/.wh..wh.plnk/f",
        ".wh..wh.x/y",
        ".wh..wh..opq/",
        "d/.wh..wh..opq/.",
        "d/.wh.e/",
        "d/.wh.e/.",
        "f/.wh.x",
        "f/.wh..wh..opq",
        "nowhere/.wh.x",
        "l/.wh..wh..opq",
        "l/",
        "l/.",
        "l/..",
        "f/",
        "f/.",
        "d/e/../.wh.e",
        "./.wh.f",
        "/.wh.f",
        "//.wh.f",
        ".wh.f/..",
        "d//.wh.e",
        ".wh.l",
        ".wh.l/e",
        "d/e/.wh...",
        "d/e/.wh..",
        ".WH.f",
        "d/\n",
        "d/\\",
        "d/..f",
        "d/...",
        "\0",
        "d\0e",
        ".wh.\0f",
        "d/e/f/g",
        "d/e/f/..",
    ] {
        for e in [
            E::file(name, "x"),
            E::dir(name),
            E::symlink(name, "d"),
            E::hard(name, "f"),
            E::device(b'3', name, 1, 3),
            E::fifo(name),
        ] {
            let kind = char::from(e.kind);
            let in_one: Vec<E> = [&base[..], std::slice::from_ref(&e)].concat();
            cases.push(of(format!("{} as {kind}", name.escape_debug()), &[&in_one]));
            let above = if e.kind == b'1' { vec![E::file("f", "f"), e] } else { vec![e] };
            cases.push(of(format!("{} as {kind}, above", name.escape_debug()), &[&base, &above]));
        }
    }
    let half = "0123456789/".repeat(300);
    cases
        .push(of("a link that makes a path too long", &[&[E::symlink("l", &half), E::file(format!("l/{half}f"), "")]]));
    cases.push(of(
        "links that make a path too long",
        &[&[E::dir(&half), E::symlink("l", &half), E::file(format!("l/{half}f"), "")]],
    ));
    cases.push(of("a hard link to a path too long", &[&[E::hard("h", format!("{half}{half}f"))]]));
    cases.push(of(
        "parts of 255 bytes",
        &[&[E::file(format!("{0}/{0}/{0}", "n".repeat(255)), ""), E::file(format!(".wh.{}", "n".repeat(251)), "")]],
    ));
    cases.push(of(
        "a whiteout of a name of 255 bytes",
        &[&[E::file("n".repeat(255), "")], &[E::file(format!(".wh.{}", "n".repeat(255)), "")]],
    ));
    cases
}
