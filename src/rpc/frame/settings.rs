//! SETTINGS (RFC 9113 §6.5): pairs of a 16-bit identifier and a 32-bit value.

use super::FrameError;

/// A setting that changes how we send. All others are ignored (§6.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// New start value of a stream's send window; also moves the windows of open streams (§6.9.2).
    InitialWindow(u32),
    /// Longest frame the peer takes.
    MaxFrame(u32),
}

/// The peer's settings in the order in which they apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings<'a>(&'a [[u8; 6]]);

impl<'a> Settings<'a> {
    /// Checks the payload's shape and every value in it.
    pub fn decode(payload: &'a [u8]) -> Option<Result<Self, FrameError>> {
        let (entries, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return None;
        }
        Some(entries.iter().try_for_each(|entry| known(*entry).map(drop)).map(|()| Settings(entries)))
    }

    /// Those that concern us.
    pub fn iter(&self) -> impl Iterator<Item = Setting> + use<'a> {
        self.0.iter().filter_map(|entry| known(*entry).ok().flatten())
    }
}

/// Ranges of RFC 9113 §6.5.2.
fn known(entry: [u8; 6]) -> Result<Option<Setting>, FrameError> {
    let [i1, i0, v3, v2, v1, v0] = entry;
    let (id, value) = (u16::from_be_bytes([i1, i0]), u32::from_be_bytes([v3, v2, v1, v0]));
    match (id, value) {
        // ENABLE_PUSH: a server must not send 1, and nothing but 0 and 1 exists.
        (2, 0) => Ok(None),
        (4, 0..=0x7fff_ffff) => Ok(Some(Setting::InitialWindow(value))),
        (5, 16_384..=16_777_215) => Ok(Some(Setting::MaxFrame(value))),
        (2 | 4 | 5, _) => Err(FrameError::Setting { id, value }),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_range_are_taken_in_order_and_unknown_ones_ignored() {
        let payload = [
            [0, 5, 0, 0, 0x40, 0], // what grpc-go sends first
            [0, 4, 0, 2, 0, 0],
            [0, 99, 1, 2, 3, 4],
            [0, 1, 0, 0, 0x10, 0],
            [0, 4, 0x7f, 0xff, 0xff, 0xff],
        ]
        .concat();
        let settings: Vec<_> = Settings::decode(&payload).unwrap().unwrap().iter().collect();
        assert_eq!(
            settings,
            [Setting::MaxFrame(16_384), Setting::InitialWindow(131_072), Setting::InitialWindow(0x7fff_ffff)]
        );
    }

    #[test]
    fn values_out_of_range_and_odd_lengths_are_refused() {
        let table: [([u8; 6], u16, u32); 5] = [
            ([0, 2, 0, 0, 0, 1], 2, 1),
            ([0, 2, 0, 0, 0, 2], 2, 2),
            ([0, 4, 0x80, 0, 0, 0], 4, 0x8000_0000),
            ([0, 5, 0, 0, 0x3f, 0xff], 5, 16_383),
            ([0, 5, 1, 0, 0, 0], 5, 16_777_216),
        ];
        for (entry, id, value) in table {
            assert_eq!(Settings::decode(&entry), Some(Err(FrameError::Setting { id, value })));
        }
        assert_eq!(Settings::decode(&[0, 5, 0, 0, 0x40]), None);
    }
}
