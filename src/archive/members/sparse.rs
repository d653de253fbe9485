//! Sparse files: which pieces of a file are there, in the forms that GNU tar has had for it.
//!
//! ```text
//! old    type 'S'; the map is in the header, and in blocks right behind it
//! 0.0    PAX: GNU.sparse.size, .numblocks, then .offset and .numbytes again and again
//! 0.1    PAX: GNU.sparse.size, .numblocks, .map=offset,length,...
//! 1.0    PAX: GNU.sparse.major=1, .minor=0, .realsize, .name; the map stands before the data, a number a line
//! ```

use std::io::Read;

use super::{Member, Members, shown};
use crate::archive::header::{BLOCK, Header, SparseMap, sparse_block};
use crate::archive::pax::{BadRecord, Records, decimal};
use crate::archive::{MAKE_AGAIN, bad, unreadable};
use crate::error::{Error, Result};
use crate::gather::{Gather, Grow};

/// Pieces of one file: 1 MiB of memory. A file of a terabyte with a piece per 16 MiB has fewer.
const MAX_SEGMENTS: usize = 1 << 16;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies in the file.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

/// The file's size, and its map as it was written.
type Found = Option<(i64, SparseMap)>;

fn too_many(name: &[u8]) -> Error {
    bad(format_args!("sparse file '{}' has more pieces than the limit of {MAX_SEGMENTS}", shown(name))).hint(MAKE_AGAIN)
}

/// The pieces, if they are in order, within `size`, and make up the `data` bytes that follow.
pub(super) fn check(map: &SparseMap, size: u64, data: u64) -> Option<Vec<Segment>> {
    let (mut end, mut sum) = (0, 0_u64);
    let mut segments = Vec::with_capacity(map.len());
    for (offset, length) in map {
        let (offset, length) = (u64::try_from(*offset).ok()?, u64::try_from(*length).ok()?);
        if offset < end {
            return None;
        }
        end = offset.checked_add(length).filter(|end| *end <= size)?;
        sum = sum.checked_add(length)?;
        segments.push(Segment { offset, length });
    }
    (sum == data).then_some(segments)
}

/// Type `S`.
pub(super) fn old<R: Read>(members: &mut Members<R>, header: &Header<'_>) -> Result<Found> {
    let Some((size, mut map, mut more)) = header.sparse().map_err(|e| members.damaged(e))? else {
        let what = format!("'{}' is a sparse file of a form that nobody else reads", shown(&members.last));
        return Err(bad(what).hint(MAKE_AGAIN));
    };
    let mut block = [0; BLOCK];
    while more {
        if map.len() > MAX_SEGMENTS {
            return Err(too_many(&members.last));
        }
        if !members.raw_block(&mut block)? {
            return Err(unreadable(std::io::ErrorKind::UnexpectedEof.into(), &members.place()));
        }
        let (further, again) = sparse_block(&block).map_err(|e| members.damaged(e))?;
        map.add_all(further);
        more = again;
    }
    Ok(Some((size, map)))
}

/// What the records of an extended header say.
#[derive(Default)]
struct Said<'d> {
    major: &'d [u8],
    minor: &'d [u8],
    name: &'d [u8],
    size: &'d [u8],
    real_size: &'d [u8],
    count: &'d [u8],
    map: &'d [u8],
    /// Of version 0.0: offsets and lengths in turn.
    turns: Vec<&'d [u8]>,
}

impl<'d> Said<'d> {
    fn read(pax: &'d [u8]) -> std::result::Result<Self, BadRecord> {
        let mut said = Said::default();
        for record in Records::new(pax) {
            let (key, value) = record?;
            let Some(key) = key.strip_prefix(b"GNU.sparse.") else { continue };
            match key {
                b"major" => said.major = value,
                b"minor" => said.minor = value,
                b"name" => said.name = value,
                b"size" => said.size = value,
                b"realsize" => said.real_size = value,
                b"numblocks" => said.count = value,
                b"map" => said.map = value,
                b"offset" | b"numbytes" => {
                    if (key == b"offset") != said.turns.len().is_multiple_of(2) || value.contains(&b',') {
                        return Err(BadRecord);
                    }
                    said.turns.push(value);
                }
                _ => {}
            }
        }
        Ok(said)
    }

    /// The map of versions 0.0 and 0.1.
    fn map(&self) -> Option<SparseMap> {
        let split = || self.map.split(|byte| *byte == b',').filter(|_| !self.map.is_empty());
        let turns = self.turns.iter().copied();
        let numbers: Vec<&[u8]> = if self.turns.is_empty() { split().gather() } else { turns.gather() };
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() || usize::try_from(decimal(self.count)?).ok()? != pairs.len() {
            return None;
        }
        pairs.iter().map(|[offset, length]| Some((decimal(offset)?, decimal(length)?))).gather()
    }
}

/// PAX forms. `None`: an ordinary file.
pub(super) fn pax<R: Read>(members: &mut Members<R>, member: &mut Member) -> Result<Found> {
    let damaged = |members: &Members<R>| members.damaged(BadRecord);
    let said = Said::read(&member.pax).map_err(|e| members.damaged(e))?;
    let first = match (said.major, said.minor) {
        (b"0", b"0" | b"1") => false,
        (b"1", b"0") => true,
        (b"", b"") if !said.map.is_empty() || !said.turns.is_empty() => false,
        _ => return Ok(None),
    };
    let size = if said.size.is_empty() { said.real_size } else { said.size };
    let plain = i64::try_from(members.left).unwrap_or(i64::MAX);
    let size = if size.is_empty() { Some(plain) } else { decimal(size) };
    let map = if first { None } else { Some(said.map().ok_or_else(|| damaged(members))?) };
    let name = said.name.to_vec();
    if !name.is_empty() {
        if name.len() > super::MAX_NAME || name.contains(&0) {
            return Err(damaged(members));
        }
        member.name = name;
    }
    let size = size.ok_or_else(|| damaged(members))?;
    let map = match map {
        Some(map) => map,
        None => leading_map(members)?,
    };
    if map.len() > MAX_SEGMENTS {
        return Err(too_many(&member.name));
    }
    Ok(Some((size, map)))
}

/// The map of version 1.0: in whole blocks before the data, each number on a line; the first says how many pairs follow.
fn leading_map<R: Read>(members: &mut Members<R>) -> Result<SparseMap> {
    let mut lines = Lines { members, block: [0; BLOCK], at: BLOCK };
    let count = lines.number()?;
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_SEGMENTS);
    let count = count.ok_or_else(|| too_many(&lines.members.last))?;
    (0..count).map(|_| Ok((lines.number()?, lines.number()?))).gather()
}

struct Lines<'m, R> {
    members: &'m mut Members<R>,
    block: [u8; BLOCK],
    at: usize,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<i64> {
        // Signs and digits of the largest number.
        const MAX_DIGITS: usize = 20;
        let mut line = Vec::with_capacity(MAX_DIGITS);
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if line.len() == MAX_DIGITS => return Err(self.members.damaged(BadRecord)),
                digit => line.push(digit),
            }
        }
        decimal(&line).ok_or_else(|| self.members.damaged(BadRecord))
    }

    fn byte(&mut self) -> Result<u8> {
        if self.at == BLOCK {
            let place = self.members.place();
            self.members.read_exact(&mut self.block).map_err(|e| unreadable(e, &place))?;
            self.at = 0;
        }
        let byte = self.block.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        Ok(byte)
    }
}
