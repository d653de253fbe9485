//! Measures the decoders beside others, alternating in one run: `cargo run --release -p edgelay-codec --example speed
//! [FILE...]`. Without a file it makes data of its own. Prints MB of decompressed data per second of CPU time, the best of
//! all rounds.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a program for people at a terminal"
)]

use std::io::{Read, Write};

use edgelay_codec::{Gzip, MAX_WINDOW, Zstd};

const ROUNDS: usize = 5;

/// CPU time of this thread, which others on the machine disturb less than the wall clock.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn drain(mut reader: impl Read) -> usize {
    let mut buf = vec![0; 128 << 10];
    let mut sum = 0;
    loop {
        match reader.read(&mut buf).unwrap() {
            0 => return sum,
            n => sum += n,
        }
    }
}

/// Words of a small language, between them numbers and noise: compresses to about a third, as binaries do.
fn made() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: Vec<Vec<u8>> =
        (0..3000).map(|_| (0..2 + next() % 9).map(|_| (97 + next() % 17) as u8).collect()).collect();
    let mut data = Vec::new();
    while data.len() < 24 << 20 {
        let number = next();
        match number % 16 {
            0 => data.extend_from_slice(&number.to_le_bytes()),
            1 => data.extend_from_slice(number.to_string().as_bytes()),
            _ => {
                // Low numbers are more frequent, as in languages.
                let place = (number >> 8) % 3000 * ((number >> 24) % 3000) / 3000;
                data.extend_from_slice(&words[usize::try_from(place).unwrap()]);
                data.push(b' ');
            }
        }
    }
    data
}

type Decoder<'a> = (&'a str, Box<dyn Fn() -> usize + 'a>);

fn compare(title: &str, size: usize, packed: usize, decoders: &[Decoder<'_>]) {
    let mut best = vec![f64::MAX; decoders.len()];
    for _ in 0..ROUNDS {
        for (best, (name, run)) in best.iter_mut().zip(decoders) {
            let begin = seconds();
            assert_eq!(run(), size, "{name}");
            *best = best.min(seconds() - begin);
        }
    }
    print!("{title:<28} {:>5.1} %", 100.0 * packed as f64 / size as f64);
    for (best, (name, _)) in best.iter().zip(decoders) {
        print!("  {name} {:>5.0}", size as f64 / best / 1e6);
    }
    println!();
}

fn measure(name: &str, data: &[u8]) {
    for level in [1, 3, 19] {
        let packed = zstd::encode_all(data, level).unwrap();
        let decoders: [Decoder<'_>; 3] = [
            ("ours", Box::new(|| drain(Zstd::new(&packed[..], MAX_WINDOW)))),
            ("ruzstd", Box::new(|| drain(ruzstd::decoding::StreamingDecoder::new(&packed[..]).unwrap()))),
            ("libzstd", Box::new(|| drain(zstd::Decoder::new(&packed[..]).unwrap()))),
        ];
        compare(&format!("{name} zstd -{level}"), data.len(), packed.len(), &decoders);
    }
    for level in [1, 6, 9] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        let decoders: [Decoder<'_>; 2] = [
            ("ours", Box::new(|| drain(Gzip::new(&packed[..])))),
            ("miniz_oxide", Box::new(|| drain(flate2::read::MultiGzDecoder::new(&packed[..])))),
        ];
        compare(&format!("{name} gzip -{level}"), data.len(), packed.len(), &decoders);
    }
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        measure("made", &made());
    }
    for path in files {
        let data = std::fs::read(&path).unwrap();
        measure(path.rsplit('/').next().unwrap(), &data);
    }
}
