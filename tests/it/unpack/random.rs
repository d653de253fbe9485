//! Layers put together by chance from few names, so that everything meets everything.

use super::{Bench, Case, Fate};
use crate::import::on_every_containerd;
use crate::support::tar::{E, layer};

on_every_containerd!(random_layers_become_the_same_files, damaged_layers_end_the_same);

pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const PARTS: [&str; 8] = ["a", "b", "c", "d", "a", "b", "..", "."];
const LAST: [&str; 10] = ["a", "b", "c", "d", ".wh.a", ".wh.b", ".wh..wh..opq", "e", "f", "a"];
const TEXTS: [&str; 16] = [
    "a",
    "b",
    "../a",
    "../../..",
    "/a",
    "/b/c",
    "a/../b",
    "/a/../b",
    "../../b/../c",
    ".",
    "..",
    "/",
    "nowhere/x",
    "./c/",
    "d/../../a",
    "/../d",
];

fn name(dice: &mut Dice, last: &[&str]) -> String {
    let mut name = String::new();
    if dice.below(12) == 0 {
        name.push('/');
    }
    for _ in 0..dice.below(4) {
        name.push_str(dice.of(&PARTS));
        name.push('/');
    }
    name + dice.of(last)
}

fn member(dice: &mut Dice) -> E {
    let made = match dice.below(16) {
        0..4 => E::dir(name(dice, &LAST)),
        4..8 => E::file(name(dice, &LAST), format!("{}", dice.below(1000))),
        8..11 => E::symlink(name(dice, &LAST), dice.of(&TEXTS)),
        11..13 => E::hard(name(dice, &LAST), name(dice, &["a", "b", "c", "d"])),
        13 => E::fifo(name(dice, &LAST)),
        14 => E::device(b'3', name(dice, &LAST), 1, 3),
        _ => E::dir(name(dice, &LAST)).xattr("user.x", "1"),
    };
    let (mode, owner) = (dice.below(0o10000) as u64, i64::try_from(dice.below(2000)).unwrap());
    let time = i64::try_from(dice.below(1_600_000_000)).unwrap();
    made.mode(mode).owner(owner, owner / 2).mtime(time)
}

fn random_layers_become_the_same_files(version: &str) {
    let Some(mut bench) = Bench::start("random_layers_become_the_same_files", version) else { return };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut same, mut refused) = (0, 0);
    for round in 0..400 {
        let layers: Vec<_> = (0..1 + round % 3)
            .map(|_| {
                let members: Vec<E> = (0..1 + dice.below(7)).map(|_| member(&mut dice)).collect();
                (layer(&members), members)
            })
            .collect();
        let shown: Vec<Vec<String>> = layers
            .iter()
            .map(|(_, members)| {
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                members.iter().map(|m| format!("{} {} {}", char::from(m.kind), text(&m.name), text(&m.link))).collect()
            })
            .collect();
        let name = format!("round {round}: {shown:#?}");
        let layers = layers.into_iter().map(|(bytes, _)| bytes).collect();
        match bench.compare(&name, layers).unwrap_or_else(|wrong| panic!("{wrong}")) {
            Fate::Same => same += 1,
            _ => refused += 1,
        }
    }
    println!("containerd {version}: {same} the same, {refused} refused");
    assert!(same > 100 && refused > 50, "{same} the same, {refused} refused: chance is too kind or too hard");
}

fn damaged_layers_end_the_same(version: &str) {
    let Some(mut bench) = Bench::start("damaged_layers_end_the_same", version) else { return };
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let good = layer(&[
        E::dir("d/").mode(0o1777),
        E::file("d/f", "some data").xattr("user.a", "b").pax("mtime", "1500000000.123456789"),
        E::symlink("d/l", "f"),
        E::hard("d/h", "d/f"),
        E::file(format!("d/{}", "long/".repeat(30)), "x"),
        E::file(".wh.gone", ""),
    ]);
    let (mut same, mut refused) = (0, 0);
    for round in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=dice.below(2) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at / 512 * 512..(at / 512 * 512 + 512).min(bytes.len()))),
                _ => {
                    let copy = bytes[at / 512 * 512..(at / 512 * 512 + 512).min(bytes.len())].to_vec();
                    let to = dice.below(bytes.len()) / 512 * 512;
                    bytes.splice(to..to, copy);
                }
            }
            // Damage behind the check sum's back.
            let at = dice.below(bytes.len().max(1)) / 512 * 512;
            if let Some(block) = bytes.get_mut(at..at + 512).filter(|block| block.iter().any(|b| *b != 0)) {
                let field = [0, 100, 108, 124, 136, 156, 157, 257, 345][dice.below(9)];
                block[field + dice.below(4)] ^= 1 << dice.below(8);
                // Types that containerd does not know and we do.
                if matches!(block[156], b'7' | b'S') {
                    block[156] = b'0';
                }
                crate::support::tar::sum(block.try_into().unwrap());
            }
            if bytes.is_empty() {
                break;
            }
        }
        match bench.compare(&format!("round {round}"), vec![bytes]).unwrap_or_else(|wrong| panic!("{wrong}")) {
            Fate::Same => same += 1,
            _ => refused += 1,
        }
    }
    println!("containerd {version}: {same} the same, {refused} refused");
    assert!(same > 20 && refused > 50, "{same} the same, {refused} refused");
}

impl Bench {
    /// Both must come to the same end, whichever it is.
    pub(super) fn compare(&mut self, name: &str, layers: Vec<Vec<u8>>) -> Result<Fate, String> {
        let case = Case { name: name.to_owned(), layers, fate: Fate::Same };
        match self.end(&case).or_else(|_| self.end(&case))? {
            Fate::Ours => Err(format!("{name}: only we take it")),
            fate => Ok(fate),
        }
    }
}
