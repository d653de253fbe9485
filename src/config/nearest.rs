//! The nearest known word to a mistyped one, for "did you mean".
use crate::gather::Gather;

/// Longer words are not compared: the work grows with the product of the lengths, and nobody mistypes a page.
const MAX_WORD: usize = 64;

/// The candidate closest to `word`, if one is close enough to be what was meant.
///
/// ```
/// use edgelay::config::nearest;
/// assert_eq!(nearest("pod_cdir", &["pod_cidr", "node.ip"]), Some("pod_cidr"));
/// assert_eq!(nearest("banana", &["pod_cidr", "node.ip"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let folded = fold(word);
    let allowed = (word.len() / 3).max(1);
    let (mut least, mut found) = (usize::MAX, None);
    for candidate in candidates {
        let other = fold(candidate);
        let distance = match folded.len() >= 3 && other.starts_with(&folded) {
            true => 1,
            false => distance(&folded, &other),
        };
        if distance <= allowed && distance < least {
            (least, found) = (distance, Some(*candidate));
        }
    }
    found
}

/// Case and the kind of separator do not count: `Node-Name`, `node_name` and `node.name` are one word.
fn fold(word: &str) -> Vec<u8> {
    word.bytes().map(|b| if matches!(b, b'-' | b'.') { b'_' } else { b.to_ascii_lowercase() }).gather()
}

/// Number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).gather();
    let mut previous = None;
    for (row, &x) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &y) in b.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(&last, column) + usize::from(x != y))
                .min(cell(&last, column + 1) + 1)
                .min(cell(&line, column) + 1);
            let left = column.checked_sub(1);
            if let (Some(left), Some(above)) = (left, previous)
                && b.get(left) == Some(&x)
                && above == y
            {
                best = best.min(cell(&before, left) + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut last, line);
        previous = Some(x);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 1), ("cdir", "cidr", 1)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), want, "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near() {
        let known = ["cloud.host", "cloud.cert_port", "node.name", "node.ip", "mqtt"];
        for (typed, want) in [
            ("cloud.hots", Some("cloud.host")),
            ("cloud-host", Some("cloud.host")),
            ("cloud.cert", Some("cloud.cert_port")),
            ("Node.Name", Some("node.name")),
            ("mqt", Some("mqtt")),
            ("x", None),
            ("", None),
            ("registry", None),
        ] {
            assert_eq!(nearest(typed, &known), want, "{typed}");
        }
        assert_eq!(nearest(&"m".repeat(1000), &known), None);
    }
}
