//! The header of a frame (RFC 8878 section 3.1.1.1).

use std::io::{Read, Result};

use crate::fault::Fault;
use crate::input::Input;

/// What begins a frame.
const MAGIC: u32 = 0xfd2f_b528;

/// The first of sixteen numbers that begin a skippable frame.
const SKIPPABLE: u32 = 0x184d_2a50;

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes that must be kept to refer back to.
    pub(super) window: u64,
    /// Bytes of the decompressed data, where the frame says it.
    pub(super) content: Option<u64>,
    /// Whether a checksum of the decompressed data ends the frame.
    pub(super) checksum: bool,
}

/// The header of the next frame, over skippable ones; `None` at the end of the input.
pub(super) fn next(input: &mut Input, reader: &mut dyn Read) -> Result<Option<Header>> {
    loop {
        if !input.want(reader, 1)? {
            return Ok(None);
        }
        match u32::from_le_bytes(take(input, reader)?) {
            MAGIC => return parse(input, reader).map(Some),
            magic if magic & !15 == SKIPPABLE => {
                let length = u32::from_le_bytes(take(input, reader)?);
                if !input.skip(reader, u64::from(length))? {
                    return Err(Fault::Truncated.into());
                }
            }
            _ => return Err(Fault::Magic.into()),
        }
    }
}

fn take<const N: usize>(input: &mut Input, reader: &mut dyn Read) -> Result<[u8; N]> {
    Ok(input.take(reader)?.ok_or(Fault::Truncated)?)
}

fn number(input: &mut Input, reader: &mut dyn Read, bytes: u32) -> Result<u64> {
    let mut value = 0;
    for place in 0..bytes {
        let [byte] = take(input, reader)?;
        value |= u64::from(byte) << (8 * place);
    }
    Ok(value)
}

fn parse(input: &mut Input, reader: &mut dyn Read) -> Result<Header> {
    let [descriptor] = take(input, reader)?;
    let single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return Err(Fault::Header.into());
    }
    let mut window = 0;
    if !single_segment {
        let [byte] = take(input, reader)?;
        let base = 1 << (10 + (byte >> 3));
        window = base + base / 8 * u64::from(byte & 7);
    }
    let dictionary = number(input, reader, (1 << (descriptor & 3)) >> 1)?;
    if let Some(id) = u32::try_from(dictionary).ok().filter(|id| *id != 0) {
        return Err(Fault::Dictionary(id).into());
    }
    let content = match descriptor >> 6 {
        0 if !single_segment => None,
        0 => Some(number(input, reader, 1)?),
        1 => Some(number(input, reader, 2)? + 256),
        2 => Some(number(input, reader, 4)?),
        _ => Some(number(input, reader, 8)?),
    };
    if single_segment {
        window = content.unwrap_or_default();
    }
    Ok(Header { window, content, checksum: descriptor & 4 != 0 })
}
