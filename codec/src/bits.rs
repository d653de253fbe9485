//! Loads of a fixed size at any place.

/// Eight bytes at `at`, the first one lowest.
#[inline(always)]
pub(crate) fn load8(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

/// `N` bytes from one place of the buffer to another; both are read and written as a whole, so they may overlap.
#[inline(always)]
pub(crate) fn copy<const N: usize>(buf: &mut [u8], from: usize, to: usize) -> Option<()> {
    let chunk: [u8; N] = *buf.get(from..)?.first_chunk()?;
    *buf.get_mut(to..)?.first_chunk_mut()? = chunk;
    Some(())
}

/// Copies may write this much more than they were asked for; buffers have that room behind their end.
pub(crate) const SLOP: usize = 32;

/// Repeats the `distance` bytes before `to` until `length` are written, and up to [`SLOP`] more. The caller has made
/// sure that `distance` is at least 1 and at most `to`.
#[inline(always)]
pub(crate) fn repeat(buf: &mut [u8], to: usize, distance: usize, length: usize) -> Option<()> {
    let from = to.wrapping_sub(distance);
    if distance >= 16 {
        copy::<16>(buf, from, to)?;
        if length > 16 {
            copy::<16>(buf, from + 16, to + 16)?;
            if length > 32 {
                return repeat_long(buf, to, distance, length);
            }
        }
        return Some(());
    }
    repeat_near(buf, to, distance, length)
}

/// [`repeat`] of more than 32 bytes over a distance of 16 or more; the first 32 are there already.
fn repeat_long(buf: &mut [u8], to: usize, distance: usize, length: usize) -> Option<()> {
    let (from, end) = (to.checked_sub(distance)?, to.checked_add(length)?);
    if distance >= length {
        if end > buf.len() {
            return None;
        }
        buf.copy_within(from + 32..from + length, to + 32);
        return Some(());
    }
    let mut done = 32;
    while done < length {
        copy::<16>(buf, from + done, to + done)?;
        done += 16;
    }
    Some(())
}

/// [`repeat`] over a distance of less than 16.
fn repeat_near(buf: &mut [u8], to: usize, distance: usize, length: usize) -> Option<()> {
    let from = to.checked_sub(distance)?;
    if distance >= 8 {
        let mut done = 0;
        while done < length {
            copy::<8>(buf, from + done, to + done)?;
            done += 8;
        }
        return Some(());
    }
    if distance == 1 {
        let byte = *buf.get(from)?;
        buf.get_mut(to..to.checked_add(length)?)?.fill(byte);
        return Some(());
    }
    // As many whole repetitions as 16 bytes hold, then those again and again.
    let source: [u8; 8] = *buf.get(from..)?.first_chunk()?;
    let mut chunk = [0; 16];
    let mut next = 0;
    for byte in &mut chunk {
        *byte = *source.get(next)?;
        next = if next + 1 == distance { 0 } else { next + 1 };
    }
    let step = 16 - 16 % distance;
    let mut done = 0;
    while done < length {
        *buf.get_mut(to + done..)?.first_chunk_mut()? = chunk;
        done += step;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_those_of_a_loop_over_bytes() {
        for distance in 1..70 {
            for length in 1..200 {
                let mut buf: Vec<u8> = (0..=255).cycle().take(70).collect();
                let mut plain = buf.clone();
                buf.resize(70 + length + SLOP, 0xee);
                repeat(&mut buf, 70, distance, length).unwrap();
                for _ in 0..length {
                    plain.push(plain[plain.len() - distance]);
                }
                assert_eq!(buf[..70 + length], plain, "{distance} {length}");
            }
        }
    }

    #[test]
    fn nothing_is_touched_outside_the_buffer() {
        let mut buf = [0; 64];
        for (to, distance, length) in [(60, 16, 8), (60, 3, 8), (40, 1, 30), (40, 20, 30), (64, 9, 1)] {
            assert_eq!(repeat(&mut buf, to, distance, length), None, "{to} {distance} {length}");
        }
        assert_eq!((load8(&buf, 56), load8(&buf, 57), load8(&buf, usize::MAX)), (Some(0), None, None));
    }
}
