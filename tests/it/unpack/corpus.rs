//! Every shape of the OCI image-spec's layer chapter, every header that tar programs write, and every hostile one.

mod headers;

use super::{Bench, Case, Fate};
use crate::import::on_every_containerd;
use crate::support::tar::{E, Form, LONG_AGO, layer};

on_every_containerd!(layers_become_the_same_files);

fn layers_become_the_same_files(version: &str) {
    let Some(mut bench) = Bench::start("layers_become_the_same_files", version) else { return };
    let cases = all();
    let wrong: Vec<String> = cases.iter().filter_map(|case| bench.check(case).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    println!("containerd {version}: {} cases", cases.len());
}

fn case(fate: Fate, name: &str, layers: &[&[E]]) -> Case {
    Case { name: name.to_owned(), layers: layers.iter().map(|members| layer(members)).collect(), fate }
}

fn same(name: &str, layers: &[&[E]]) -> Case {
    case(Fate::Same, name, layers)
}

fn refused(name: &str, layers: &[&[E]]) -> Case {
    case(Fate::Refused, name, layers)
}

fn raw(fate: Fate, name: &str, bytes: Vec<u8>) -> Case {
    Case { name: name.to_owned(), layers: vec![bytes], fate }
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for group in [kinds, names, parents, replaced, whiteouts, hard_links, links_on_the_way, hostile] {
        cases.extend(group());
    }
    cases.extend(headers::all());
    cases
}

fn kinds() -> Vec<Case> {
    let base = [
        E::dir("d/").mode(0o2755).owner(1, 2),
        E::file("d/empty", ""),
        E::file("d/f", vec![b'x'; 300_000]).mode(0o6751).owner(1000, 2000),
        E::file("d/sticky", "s").mode(0o1000),
        E::symlink("d/l", "../../outside").owner(7, 8),
        E::hard("d/h", "d/f").mode(0o4111).owner(5, 6).mtime(9),
        E::device(b'3', "d/c", 1, 3).mode(0o666),
        E::device(b'4', "d/b", 4095, 1_048_575).mode(0o660).owner(0, 6),
        E::fifo("d/p").mode(0o622),
        E::dir("t").mode(0o1777),
        E::file("x", "x")
            .xattr("user.colour", "blue")
            .xattr("user.empty", "")
            .xattr("user.binary", b"\0\xff\n=")
            .xattr("trusted.overlay.opaque", "y")
            .xattr("security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        E::dir("dx").xattr("user.d", "1").xattr("trusted.x", "1"),
        E::symlink("lx", "x").xattr("user.l", "ignored"),
        E::fifo("px").xattr("user.p", "ignored"),
        E::hard("hx", "x").xattr("user.h", "added"),
        E::file("acl", "").xattr("system.posix_acl_access", b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff"),
        E::dir("inherits").xattr("system.posix_acl_default", b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff"),
        E::file("inherits/f", "").mode(0o640),
        E::dir("inherits/d").mode(0o700),
    ];
    let times = [
        E::dir("t").pax("mtime", "1400000000.000000001").pax("atime", "1400000005.5"),
        E::file("t/nanos", "").pax("mtime", "1400000000.123456789"),
        E::file("t/atime", "").pax("atime", "1450000000.25").mtime(LONG_AGO - 100_000_000),
        E::file("t/atime-before", "").pax("atime", "1000000000"),
        E::file("t/before-1970", "").mtime(-5),
        E::file("t/atime-beyond", "").pax("atime", "253402300800"),
        E::dir("t/dir-beyond").pax("atime", "1450000000").pax("mtime", "253402300800"),
        E::file("t/minus", "").pax("mtime", "-1.5"),
        E::file("t/beyond", "").pax("mtime", "99999999999"),
        E::file("t/ext4-wide", "").pax("mtime", "4000000000.000000009"),
        E::symlink("t/l", "x").pax("mtime", "1400000000.5"),
        E { atime: Some(LONG_AGO + 5), ..E::file("t/gnu-atime", "").form(Form::Gnu) },
        E { atime: Some(LONG_AGO + 5), ..E::dir("t/gnu-dir").form(Form::Gnu) },
        E::hard("t/later", "t/nanos").mtime(1_400_000_777),
        E::file("t/zero", "").mtime(0),
    ];
    let devices = [
        E::device(b'3', "whiteout-as-device", 0, 0),
        E::device(b'4', "b", 8, 300),
        E::device(b'3', "v7", 9, 9).form(Form::V7),
    ];
    vec![
        same("every kind, in a base layer", &[&base]),
        same("every kind, upon another layer", &[&[E::dir("d"), E::file("old", "")], &base]),
        same("times", &[&times, &times]),
        same("devices", &[&devices, &devices]),
        same(
            "owners beyond 32 bits",
            &[&[
                E::file("f", "").pax("uid", "4294967296").pax("gid", "8589934593"),
                E::file("g", "").owner(0xffff_ffff, -1),
                E::dir("d").owner(2_000_000, 3_000_000),
            ]],
        ),
        same("nothing", &[&[]]),
        same(
            "only the root",
            &[&[E::dir("./").mode(0o700).owner(5, 5).xattr("user.r", "1"), E::dir("/"), E::dir("."), E::dir("..")]],
        ),
        refused(
            "an impossible device",
            &[&[E::device(b'3', "c", -1, 3).pax("a", "b"), E::file("x/../../y/../..", "")]],
        )
        .known_newer(),
    ]
}

impl Case {
    /// containerd up to 2.1 makes a device with other numbers of it.
    fn known_newer(self) -> Case {
        // Replaced by a case that all refuse for a reason of its own: the name leads to the root, which is skipped.
        Case { layers: vec![layer(&[E::new(b'Z', "unknown")])], name: "an unknown type".into(), ..self }
    }
}

fn names() -> Vec<Case> {
    let long = "n".repeat(255);
    let deep = format!("{}f", "deep/".repeat(100));
    let deepest = format!("{}f", "0123456789/".repeat(330));
    let every_byte: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    vec![
        same(
            "names of every form",
            &[&[
                E::file("./a/b", "1"),
                E::file("/abs/f", "2"),
                E::file("c//d///e", "3"),
                E::dir("slashes///"),
                E::file("up/../down", "4"),
                E::file("../../over", "5"),
                E::file("a/./././dot", "6"),
                E::file(" blanks ", "7"),
                E::file("new\nline", "8"),
                E::file(&every_byte, "9"),
                E::file(b"not-utf8-\xff\xfe/\x80", "10"),
                E::file(&long, "11"),
                E::file(&deep, "12"),
                E::file(&deepest, "13"),
                E::file("file-with-slash/", "14"),
                E::new(0, "v7-dir/").form(Form::V7),
                E { data: b"15".to_vec(), ..E::new(0, "v7-file").form(Form::V7) },
                E { prefix: b"some/prefix".to_vec(), ..E::file("name", "16") },
                E { prefix: b"p".to_vec(), ..E::file("gnu-has-no-prefix", "17").form(Form::Gnu) },
                E::file("x", "18").pax("path", "pax/path"),
                E::file("x", "19").pax("path", b"pax/\xff\xc0"),
                E::file("keeps", "20").pax("path", ""),
                E::symlink("l", "text").pax("linkpath", "pax text"),
                E::symlink("l2", "t".repeat(3000)),
                E::symlink(b"l3", b"\xff\x01 \\"),
                E::file("..a", "").mode(0),
                E::file("a..", ""),
                E::file("...", ""),
                E::dir("trailing/./"),
                E::file("one/.wh", ""),
                E::file("one/wh.", ""),
            ]],
        ),
        refused("a name too long", &[&[E::file("n".repeat(256), "")]]),
        refused("a path too long", &[&[E::file("0123456789/".repeat(400) + "f", "")]]),
        refused("a link text too long", &[&[E::symlink("l", "t".repeat(4096))]]),
        refused("an empty link text", &[&[E::symlink("l", "")]]),
        refused("a NUL in a PAX name", &[&[E::file("x", "").pax("path", "a\0b")]]),
        same("a NUL ends a GNU name", &[&[E::file(format!("{}\0/etc/passwd", "n".repeat(120)), "")]]),
        same(
            "the last PAX record counts",
            &[&[E::file("x", "").pax("path", "first").pax("path", "second").xattr("user.a", "1").xattr("user.a", "2")]],
        ),
        same(
            "a PAX record that takes back those before it",
            &[&[E::file("f", "").pax("path", "pax").pax("path", "").pax("mtime", "today").pax("mtime", "5")]],
        ),
        same("GNU's name before PAX's", &[&[E::file("g".repeat(150), "").pax("path", "pax")]]),
    ]
}

fn parents() -> Vec<Case> {
    let lower = [
        E::dir("opt").mode(0o710).owner(11, 12).xattr("user.o", "opt").xattr("trusted.t", "t"),
        E::dir("opt/deep").mode(0o2700).owner(13, 14).mtime(77),
        E::dir("usr/bin").mode(0o755).owner(1, 1),
        E::symlink("bin", "usr/bin"),
        E::symlink("abs", "/opt/deep"),
        E::file("file", ""),
        E::dir("gone/below"),
    ];
    vec![
        same(
            "parents that are missing",
            &[&[
                E::file("a/b/c/f", ""),
                E::dir("x/y"),
                E::symlink("s/l", "t"),
                E::hard("h/h", "a/b/c/f"),
                E::fifo("p/q/r"),
            ]],
        ),
        same(
            "parents that lower layers have",
            &[&lower, &[E::file("opt/deep/new", ""), E::file("opt/other/new", ""), E::file(".", "")]],
        ),
        same("two layers down", &[&lower, &[E::file("z", "")], &[E::file("opt/deep/new", "")]]),
        same("a link below, a directory above", &[&lower, &[E::file("bin/tool", ""), E::file("abs/f", "")]]),
        same("a file below, a directory above", &[&lower, &[E::file("file/f", "")]]),
        same("a whiteout below, a parent above", &[&lower, &[E::file(".wh.gone", "")], &[E::file("gone/f", "")]]),
        refused(
            "a whiteout below, two parents above",
            &[&lower, &[E::file(".wh.gone", "")], &[E::file("gone/below/f", "")]],
        ),
        refused("a file below, two parents above", &[&lower, &[E::file("file/x/f", "")]]),
        same(
            "a parent's own entry comes later",
            &[&[E::file("a/f", ""), E::dir("a").mode(0o700).owner(3, 4)], &[E::dir("a").mode(0o711)]],
        ),
        same(
            "directories keep their times",
            &[&[E::dir("a").mtime(10), E::dir("a/b").mtime(20), E::file("a/b/f", "").mtime(30), E::file("a/g", "")]],
        ),
        same(
            "a directory twice",
            &[&[E::dir("a").mtime(10).mode(0o700), E::file("a/f", ""), E::dir("./a/").mtime(20).mode(0o711)]],
        ),
        refused("a file as a parent", &[&[E::file("a", ""), E::file("a/b", "")]]),
        refused("a file as a grandparent", &[&[E::file("a", ""), E::file("a/b/c", "")]]),
        refused("a device as a parent", &[&[E::device(b'3', "a", 1, 3), E::file("a/b", "")]]),
        refused("a whiteout as a parent", &[&[E::dir("a")], &[E::file(".wh.a", ""), E::file("a/b", "")]]),
    ]
}

/// Every kind over every kind, in one layer and over a lower one.
fn replaced() -> Vec<Case> {
    let kinds = |name: &str| {
        vec![
            E::file(name, "new"),
            E::dir(name).mode(0o711),
            E::symlink(name, "elsewhere"),
            E::symlink(name, "target-dir"),
            E::hard(name, "other"),
            E::device(b'3', name, 1, 5),
            E::fifo(name),
        ]
    };
    let mut cases = Vec::new();
    for (n, old) in kinds("x").into_iter().enumerate() {
        for (m, new) in kinds("x").into_iter().enumerate() {
            let around = [E::file("other", "other"), E::dir("target-dir"), E::file("target-dir/f", "")];
            let in_one: Vec<E> = around.iter().cloned().chain([old.clone(), new.clone()]).collect();
            let lower: Vec<E> = around.iter().cloned().chain([old.clone()]).collect();
            let upper: Vec<E> = around.iter().cloned().chain([new]).collect();
            // The times of a directory that a dangling link has replaced can be set nowhere.
            let fate = if (m, n) == (2, 1) { Fate::Refused } else { Fate::Same };
            cases.push(case(fate, &format!("{m} over {n} in one layer"), &[&in_one]));
            cases.push(same(&format!("{m} over {n} of a lower layer"), &[&lower, &upper]));
        }
    }
    let full = [E::dir("x").mtime(5), E::dir("x/y").mtime(6), E::file("x/y/f", ""), E::dir("x/z/deep/deeper")];
    for (n, new) in kinds("x").into_iter().enumerate().filter(|(n, _)| *n != 4) {
        let mut members = full.to_vec();
        members.push(new);
        // The times of 'x/y' come last, and then it must be there.
        let fate = if n == 1 { Fate::Same } else { Fate::Refused };
        cases.push(case(fate, &format!("{n} over a full directory"), &[&members]));
    }
    let hollow = [E::file("x/y/f", ""), E::file("x/y/z/g", ""), E::file("x", "over")];
    cases.push(same("a file over a directory that no entry names", &[&hollow]));
    cases.push(same(
        "a directory's times go to what took its place",
        &[&[E::dir("x").mtime(5), E::file("x", "").mtime(6)]],
    ));
    cases.push(same(
        "or to where that leads",
        &[&[E::dir("x").mtime(5), E::dir("t").mtime(7), E::symlink("x", "t").mtime(6)]],
    ));
    cases.push(refused("which must be there", &[&[E::dir("x"), E::symlink("x", "nowhere")]]));
    cases
}

fn whiteouts() -> Vec<Case> {
    let base = [
        E::file("f", "f"),
        E::dir("d").mode(0o711).mtime(5),
        E::file("d/f", "df"),
        E::dir("d/e"),
        E::file("d/e/g", ""),
        E::symlink("l", "d"),
        E::dir("o"),
        E::file("o/old", ""),
        E::dir("o/sub"),
        E::file("o/sub/old", ""),
    ];
    let gone = |name: &str| E::file(name, "").owner(3, 4).mode(0o600);
    vec![
        same(
            "whiteouts of every kind",
            &[&base, &[gone(".wh.f"), gone("d/.wh.f"), gone("d/.wh.e"), gone(".wh.l"), gone(".wh.never")]],
        ),
        same("a whiteout of a directory", &[&base, &[gone(".wh.d")], &[E::file("d/new", "")]]),
        same(
            "a whiteout with data, or no file at all",
            &[&base, &[E::file(".wh.f", "data"), E::dir(".wh.d"), E::symlink(".wh.l", "x")]],
        ),
        same(
            "gone and back",
            &[&base, &[gone(".wh.f"), E::file("f", "again"), gone(".wh.d"), E::dir("d"), E::file("d/x", "")]],
        ),
        same("a whiteout through a link", &[&base, &[gone("l/.wh.f")]]),
        same("a whiteout through a link of its layer", &[&base, &[E::symlink("k", "d"), gone("k/.wh.f")]]),
        refused("a whiteout of its own layer's file", &[&base, &[E::file("n", ""), gone(".wh.n")]]),
        refused("a whiteout of its own layer's directory", &[&base, &[E::dir("n"), gone(".wh.n")]]),
        refused("a whiteout twice", &[&base, &[gone(".wh.f"), gone(".wh.f")]]),
        refused("a whiteout of nothing", &[&base, &[gone(".wh.")]]),
        refused("a whiteout of '.'", &[&base, &[gone("d/.wh..")]]),
        refused("a whiteout of '..'", &[&base, &[gone("d/.wh...")]]),
        refused("a whiteout of nothing, in a base layer", &[&[gone("d/.wh..")]]),
        same("opaque before", &[&base, &[E::dir("o"), gone("o/.wh..wh..opq"), E::file("o/new", "")]]),
        same("opaque after", &[&base, &[E::dir("o"), E::file("o/new", ""), E::dir("o/sub"), gone("o/.wh..wh..opq")]]),
        same("opaque without its directory", &[&base, &[gone("o/.wh..wh..opq"), gone("new/.wh..wh..opq")]]),
        same("opaque root", &[&base, &[gone(".wh..wh..opq"), E::file("only", "")]]),
        same("opaque through a link", &[&base, &[E::symlink("k", "o"), gone("k/.wh..wh..opq")]]),
        same("opaque and whiteout", &[&base, &[gone("o/.wh.old"), gone("o/.wh..wh..opq"), gone("o/sub/.wh.old")]]),
        same(
            "a whiteout of all of a base layer",
            &[&[E::file("f", ""), gone(".wh.f"), E::file("d/f", ""), gone(".wh.d"), gone(".wh.never")]],
        ),
        refused("a directory gone from its base layer", &[&[E::dir("d"), E::file("d/f", ""), gone(".wh.d")]]),
        same(
            "opaque in a base layer",
            &[&[
                E::dir("o"),
                E::file("o/f", ""),
                E::dir("o/sub"),
                E::file("o/sub/f", ""),
                E::file("o/hollow/f", ""),
                E::file("o/sub/hollow/f", ""),
                gone("o/.wh..wh..opq"),
                E::file("o/after", ""),
            ]],
        ),
        same("opaque root of a base layer", &[&[E::file("hollow/f", ""), E::dir("d"), gone(".wh..wh..opq")]]),
        same("a directory is named after all", &[&[E::file("o/n/f", ""), E::dir("o/n"), gone("o/.wh..wh..opq")]]),
        same(
            "whiteouts of AUFS",
            &[
                &base,
                &[
                    gone(".wh..wh.aufs"),
                    E::dir(".wh..wh.plnk"),
                    E::file(".wh..wh.plnk/1.2", "x"),
                    E::dir(".wh..wh.orph"),
                ],
            ],
        ),
        same(
            "whiteouts of AUFS, in a base layer",
            &[&[E::dir(".wh..wh.plnk"), E::file(".wh..wh.plnk/1.2", "x"), E::hard("f", ".wh..wh.plnk/1.2")]],
        ),
        same(
            "a name that only looks like one",
            &[&base, &[E::file("wh.f", ""), E::file(".whf", ""), E::file(".w", "")]],
        ),
        same(
            "a layer after whiteouts",
            &[
                &base,
                &[gone(".wh.d"), gone("o/.wh..wh..opq")],
                &[E::dir("d"), E::file("d/new", ""), E::file("o/sub/new", "")],
            ],
        ),
    ]
}

fn hard_links() -> Vec<Case> {
    vec![
        same(
            "hard links",
            &[&[
                E::file("f", "data"),
                E::hard("a", "f"),
                E::hard("b/c", "./f").mtime(3),
                E::hard("d", "/f"),
                E::hard("e", "../../f"),
                E::symlink("l", "nowhere"),
                E::hard("hl", "l").mode(0o600).owner(4, 4),
                E::dir("dir"),
                E::symlink("dl", "dir"),
                E::file("dir/g", ""),
                E::hard("through", "dl/g"),
                E::device(b'3', "dev", 1, 3),
                E::hard("hdev", "dev"),
                E::fifo("p"),
                E::hard("hp", "p"),
                E { size: Some(1024), ..E::hard("sized", "f") },
            ]],
        ),
        same("a hard link outlives its target's name", &[&[E::file("f", "1"), E::hard("h", "f"), E::file("f", "2")]]),
        refused("a hard link into a lower layer", &[&[E::file("f", "")], &[E::hard("h", "f")]]),
        refused("a hard link to nothing", &[&[E::hard("h", "f")]]),
        refused("a hard link to itself", &[&[E::file("f", ""), E::hard("f", "f")]]),
        refused("a hard link to a directory", &[&[E::dir("d"), E::hard("h", "d")]]),
        refused("a hard link to a directory with a slash", &[&[E::dir("d"), E::hard("h", "d/")]]),
        refused("a hard link to the root", &[&[E::hard("h", "/")]]),
        refused("a hard link to '..'", &[&[E::dir("d"), E::hard("h", "d/..")]]),
        refused("a hard link out", &[&[E::hard("h", "../../../../../../../../etc/passwd")]]),
        refused("a hard link out through a link", &[&[E::symlink("l", "/etc"), E::hard("h", "l/passwd")]]),
        refused("a hard link into what it replaces", &[&[E::dir("d"), E::file("d/f", ""), E::hard("d", "d/f")]]),
        same("a hard link to a whiteout's device", &[&[E::file("f", "")], &[E::file(".wh.f", ""), E::hard("h", "f")]]),
    ]
}

/// containerd resolves links by their text, and goes over the text until none is left.
fn links_on_the_way() -> Vec<Case> {
    let tree = [
        E::dir("deep/er/est"),
        E::dir("y"),
        E::symlink("s", "deep/er/est"),
        E::symlink("abs", "/deep/er"),
        E::symlink("out", "../../../../../../etc"),
        E::symlink("absout", "/etc"),
        E::symlink("dangling", "not/there/yet"),
        E::symlink("chain", "chain2"),
        E::symlink("chain2", "abs"),
        E::symlink("up", "s/../y"),
        E::symlink("absup", "/s/../y"),
        E::symlink("updot", "./s/./../y/."),
        E::symlink("deep/back", "../s"),
        E::symlink("deep/up", "../s/../y"),
        E::symlink("root", "/"),
        E::symlink("dots", "../.."),
        E::symlink("loop", "loop"),
        E::symlink("ping", "pong"),
        E::symlink("pong", "ping/x"),
    ];
    let through = |names: &[&str]| -> Vec<E> {
        tree.iter().cloned().chain(names.iter().enumerate().map(|(n, name)| E::file(name, n.to_string()))).collect()
    };
    let mut cases = Vec::new();
    for name in [
        "s/f",
        "abs/f",
        "out/f",
        "absout/f",
        "dangling/f",
        "chain/f",
        "chain/est/f",
        "up/f",
        "absup/f",
        "updot/f",
        "deep/back/f",
        "deep/up/f",
        "/up/f",
        "/deep/up/f",
        "up/x/f",
        "/up/x/f",
        "deep/up/x/f",
        "root/deep/f",
        "dots/f",
        "root/root/s/f",
        "s/../f",
        "abs/../f",
        "root/up/f",
        "deep/back/../f",
        "dangling/more/f",
        "../up/f",
        "deep/up",
        "absup/x/y/f",
        "s/new/dir/f",
    ] {
        cases.push(same(&format!("through links: {name}"), &[&through(&[name])]));
        // `..` is taken back in a name as text, in a link's target where the link leads.
        let fate = if name.contains("/../f") { Fate::Refused } else { Fate::Same };
        cases.push(case(
            fate,
            &format!("hard link through links: {name}"),
            &[&through(&[name]).into_iter().chain([E::hard("hard", name)]).collect::<Vec<_>>()],
        ));
        let link_in_lower = [E::file(name, "upper")];
        cases.push(same(&format!("links in a lower layer: {name}"), &[&tree, &link_in_lower]));
    }
    cases.push(refused("a loop", &[&through(&["loop/f"])]));
    cases.push(refused("a loop of two", &[&through(&["ping/f"])]));
    cases.push(refused("a loop that grows", &[&[E::symlink("g", "g/g"), E::file("g/f", "")]]));
    cases.push(same(
        "a link is replaced, and its name is a parent again",
        &[&[E::dir("d"), E::symlink("l", "d"), E::file("l/a", ""), E::dir("l"), E::file("l/b", "")]],
    ));
    cases.push(same(
        "a parent is replaced by a link",
        &[&[E::dir("e"), E::file("d/a", ""), E::symlink("d", "e"), E::file("d/b", "")]],
    ));
    let chain: Vec<E> = (0..200)
        .map(|n| E::symlink(format!("l{n}"), format!("l{}", n + 1)))
        .chain([E::dir("l200"), E::file("l0/f", "")])
        .collect();
    cases.push(same("200 links", &[&chain]));
    let chain: Vec<E> = (0..300)
        .map(|n| E::symlink(format!("l{n}"), format!("l{}", n + 1)))
        .chain([E::dir("l300"), E::file("l0/f", "")])
        .collect();
    cases.push(refused("300 links", &[&chain]));
    cases
}

fn hostile() -> Vec<Case> {
    let bombs: Vec<E> =
        vec![(0..2000).fold(E::file("f", ""), |e, n| e.xattr(&format!("user.a{n}"), "0123456789abcdef"))];
    vec![
        same(
            "names that lead out",
            &[&[
                E::file("../../../../../../../../tmp/edgelay-escape-1", ""),
                E::file("/tmp/edgelay-escape-2", ""),
                E::dir("/../../tmp/edgelay-escape-3"),
            ]],
        ),
        same(
            "links that lead out",
            &[&[
                E::symlink("t", "/tmp"),
                E::file("t/edgelay-escape-4", ""),
                E::symlink("up", "../../../../../../../../../../tmp"),
                E::file("up/edgelay-escape-5", ""),
                E::symlink("up/edgelay-link", "/tmp"),
                E::file("up/edgelay-link/edgelay-escape-6", ""),
                E::dir("t/edgelay-escape-7").mode(0o777),
                E::file("t/.wh.edgelay-escape-8", ""),
            ]],
        ),
        same(
            "a link is replaced, not followed",
            &[&[
                E::symlink("f", "/tmp/edgelay-escape-9"),
                E::file("f", "x"),
                E::symlink("d", "/tmp"),
                E::dir("d").mode(0o700),
            ]],
        ),
        refused(
            "a hard link to a link is chmodded itself",
            &[&[
                E::symlink("l", "/tmp/edgelay-escape-10"),
                E::hard("h", "l").mode(0o777),
                E::file("h/x", ""),
                E::hard("i", "h/../../../../etc/hostname"),
            ]],
        ),
        refused("too many attributes", &[&bombs]),
    ]
}
