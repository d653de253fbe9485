//! One 512-byte header block: V7, POSIX ustar, star and GNU tar's own form, told apart by their magic.
//!
//! ```text
//!   0 name 100      124 size 12     156 type 1      257 magic 6     329 major 8     345 prefix 155 (ustar)
//! 100 mode 8        136 mtime 12    157 link 100    263 version 2   337 minor 8         prefix 131, 476 atime 12 (star)
//! 108 uid 8, gid 8  148 sum 8                       265 names 64                        atime 12, 386 map 4×24,
//!                                                                                       482 more 1, 483 size 12 (GNU)
//! ```

use std::fmt;

use crate::gather::Gather;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// Why a block is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// The sum of its bytes is not the one it names.
    Sum,
    /// A field holds no number.
    Number(&'static str),
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadHeader::Sum => f.write_str("its check sum is wrong"),
            BadHeader::Number(field) => write!(f, "its {field} is no number"),
        }
    }
}

impl std::error::Error for BadHeader {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// A moment that an archive tells, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i128);

impl Moment {
    pub(super) fn new(seconds: i64, nanos: i64) -> Self {
        // As Go counts, from the year 1, and with what runs over there.
        const YEARS: i64 = 62_135_596_800;
        let seconds = i128::from(seconds.wrapping_add(YEARS)) - i128::from(YEARS);
        Moment(seconds * SECOND + i128::from(nanos))
    }

    /// What is before 1970, or beyond what 63 bits can count (the year 2262), is taken as 1970, as containerd does once
    /// it has chosen between two moments.
    pub(super) fn counted(self) -> i64 {
        i64::try_from(self.0).unwrap_or(0).max(0)
    }
}

/// A block whose sum is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'b> {
    block: &'b [u8; BLOCK],
    form: Form,
}

impl<'b> Header<'b> {
    pub(super) fn new(block: &'b [u8; BLOCK]) -> Result<Self, BadHeader> {
        let header = Header { block, form: Form::V7 };
        // Its own eight bytes count as blanks. Old tars added signed bytes.
        let sum = |value: fn(u8) -> i64| -> i64 {
            let blank = |at: usize| (148..156).contains(&at);
            block.iter().enumerate().map(|(at, byte)| if blank(at) { 32 } else { value(*byte) }).sum()
        };
        let named = octal(header.field(148, 8)).ok_or(BadHeader::Sum)?;
        if named != sum(i64::from) && named != sum(|byte| i64::from(byte.cast_signed())) {
            return Err(BadHeader::Sum);
        }
        let form = match (header.field(257, 6), header.field(263, 2), header.field(508, 4)) {
            (b"ustar\0", _, b"tar\0") => Form::Star,
            (b"ustar\0", _, _) => Form::Ustar,
            (b"ustar ", b" \0", _) => Form::Gnu,
            _ => Form::V7,
        };
        let header = Header { block, form };
        header.check_numbers()?;
        Ok(header)
    }

    /// All of them, whether they are of use for this type of member or not: damage shows anywhere.
    fn check_numbers(&self) -> Result<(), BadHeader> {
        let named = [self.mode(), self.uid(), self.gid(), self.size(), self.mtime().map(Moment::counted)];
        named.into_iter().try_for_each(|number| number.map(drop))?;
        self.atime()?;
        if self.form == Form::Star {
            self.number(488, 12, "change time")?;
        }
        self.device().map(drop)
    }

    fn field(&self, at: usize, length: usize) -> &'b [u8] {
        self.block.get(at..at.saturating_add(length)).unwrap_or_default()
    }

    fn number(&self, at: usize, length: usize, name: &'static str) -> Result<i64, BadHeader> {
        number(self.field(at, length)).ok_or(BadHeader::Number(name))
    }

    pub(super) fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or(0)
    }

    /// The name with its prefix.
    pub(super) fn name(&self) -> Vec<u8> {
        let prefix = match self.form {
            Form::Ustar => text(self.field(345, 155)),
            Form::Star => text(self.field(345, 131)),
            // GNU tar has other things there; Go before 1.8 wrote names into them.
            Form::Gnu if self.gnu_times().is_none() => {
                Some(text(self.field(345, 155))).filter(|p| p.is_ascii()).unwrap_or_default()
            }
            Form::Gnu | Form::V7 => b"",
        };
        let name = text(self.field(0, 100));
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> &'b [u8] {
        text(self.field(157, 100))
    }

    pub(super) fn mode(&self) -> Result<i64, BadHeader> {
        self.number(100, 8, "mode")
    }

    pub(super) fn uid(&self) -> Result<i64, BadHeader> {
        self.number(108, 8, "owner")
    }

    pub(super) fn gid(&self) -> Result<i64, BadHeader> {
        self.number(116, 8, "group")
    }

    pub(super) fn size(&self) -> Result<i64, BadHeader> {
        self.number(124, 12, "size")
    }

    /// When it was changed.
    pub(super) fn mtime(&self) -> Result<Moment, BadHeader> {
        Ok(Moment::new(self.number(136, 12, "time")?, 0))
    }

    /// When it was read, if the form has it.
    pub(super) fn atime(&self) -> Result<Option<Moment>, BadHeader> {
        match self.form {
            Form::Star => Ok(Some(Moment::new(self.number(476, 12, "access time")?, 0))),
            Form::Gnu => Ok(self.gnu_times().flatten().map(|seconds| Moment::new(seconds, 0))),
            Form::Ustar | Form::V7 => Ok(None),
        }
    }

    /// GNU's access time. `None`: what is in the place of the two times is something else.
    fn gnu_times(&self) -> Option<Option<i64>> {
        let given = |field: &'b [u8]| field.first().is_some_and(|byte| *byte != 0);
        let read = |field| if given(field) { number(field).map(Some) } else { Some(None) };
        let (atime, ctime) = (read(self.field(345, 12)), read(self.field(357, 12)));
        ctime.and(atime)
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> Result<(i64, i64), BadHeader> {
        match self.form {
            Form::V7 => Ok((0, 0)),
            _ => Ok((self.number(329, 8, "device number")?, self.number(337, 8, "device number")?)),
        }
    }

    /// Old GNU sparse files: size of the file, its first pieces, and whether a block with more of them follows.
    pub(super) fn sparse(&self) -> Result<Option<(i64, SparseMap, bool)>, BadHeader> {
        if self.form != Form::Gnu {
            return Ok(None);
        }
        let size = self.number(483, 12, "size of a sparse file")?;
        let map = sparse_map(self.field(386, 96))?;
        Ok(Some((size, map, self.field(482, 1) != b"\0")))
    }
}

/// Offset and length of each piece.
pub(super) type SparseMap = Vec<(i64, i64)>;

/// The pieces in an extension block of an old GNU sparse file, and whether another block follows.
pub(super) fn sparse_block(block: &[u8; BLOCK]) -> Result<(SparseMap, bool), BadHeader> {
    let map = sparse_map(block.get(..504).unwrap_or_default())?;
    Ok((map, block.get(504).is_some_and(|more| *more != 0)))
}

fn sparse_map(field: &[u8]) -> Result<SparseMap, BadHeader> {
    let pieces = field.as_chunks::<24>().0.iter().take_while(|piece| piece.first().is_some_and(|byte| *byte != 0));
    let read = |piece: &[u8; 24]| {
        let (offset, length) = piece.split_at_checked(12)?;
        Some((number(offset)?, number(length)?))
    };
    pieces.map(|piece| read(piece).ok_or(BadHeader::Number("map of a sparse file"))).gather()
}

/// Up to the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or, with the first bit set, a big-endian two's complement number (GNU, star).
fn number(field: &[u8]) -> Option<i64> {
    let [first, rest @ ..] = field else { return Some(0) };
    if first & 0x80 == 0 {
        return octal(field);
    }
    let negative = first & 0x40 != 0;
    let invert = if negative { 0xff } else { 0 };
    let mut value = u64::from((first ^ invert) & 0x7f);
    for byte in rest {
        value = value.checked_mul(256)? | u64::from(byte ^ invert);
    }
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}

/// Blanks and NULs around it do not count; nothing at all is 0.
fn octal(field: &[u8]) -> Option<i64> {
    let padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !padding(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !padding(byte)).map_or(start, |last| last + 1);
    let digits = text(field.get(start..end).unwrap_or_default());
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   755 \0", Some(0o755)),
            (b"\0\0\0\0", Some(0)),
            (b"12\0\xff", Some(0o12)),
            (b"9", None),
            (b"0x1", None),
            (b"1 2", None),
            (b"\x80\0\0\0\0\0\0\x01", Some(1)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
        ] {
            assert_eq!(number(field), want, "{field:?}");
        }
    }

    #[test]
    fn times_are_kept_within_what_counts() {
        for (seconds, nanos, want) in [
            (0, 0, 0),
            (1, 5, 1_000_000_005),
            (-1, 999_999_999, 0),
            (9_223_372_036, 854_775_807, i64::MAX),
            (9_223_372_036, 854_775_808, 0),
            (i64::MAX, 0, 0),
            (i64::MIN, 0, 0),
        ] {
            assert_eq!(Moment::new(seconds, nanos).counted(), want, "{seconds} {nanos}");
        }
    }
}
