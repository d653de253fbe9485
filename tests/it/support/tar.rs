//! Layer tars byte by byte: any name, any number, any form of header, right or wrong.

/// Which program would have written the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    V7,
    Ustar,
    Gnu,
}

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct E {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) data: Vec<u8>,
    pub(crate) mode: u64,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) mtime: i64,
    pub(crate) atime: Option<i64>,
    pub(crate) link: Vec<u8>,
    pub(crate) device: (i64, i64),
    pub(crate) prefix: Vec<u8>,
    pub(crate) pax: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) form: Form,
    /// Instead of the number of bytes in `data`.
    pub(crate) size: Option<u64>,
}

/// An old time: what a test shows in files is never the time of unpacking by chance.
pub(crate) const LONG_AGO: i64 = 1_500_000_000;

impl E {
    pub(crate) fn new(kind: u8, name: impl AsRef<[u8]>) -> E {
        E {
            name: name.as_ref().to_vec(),
            kind,
            data: Vec::new(),
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: LONG_AGO,
            atime: None,
            link: Vec::new(),
            device: (0, 0),
            prefix: Vec::new(),
            pax: Vec::new(),
            form: Form::Ustar,
            size: None,
        }
    }

    pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> E {
        E { data: data.as_ref().to_vec(), ..E::new(b'0', name) }
    }

    pub(crate) fn dir(name: impl AsRef<[u8]>) -> E {
        E::new(b'5', name)
    }

    pub(crate) fn symlink(name: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> E {
        E { link: text.as_ref().to_vec(), ..E::new(b'2', name) }
    }

    pub(crate) fn hard(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> E {
        E { link: target.as_ref().to_vec(), ..E::new(b'1', name) }
    }

    /// Kind `3` or `4`.
    pub(crate) fn device(kind: u8, name: impl AsRef<[u8]>, major: i64, minor: i64) -> E {
        E { device: (major, minor), ..E::new(kind, name) }
    }

    pub(crate) fn fifo(name: impl AsRef<[u8]>) -> E {
        E::new(b'6', name)
    }

    pub(crate) fn mode(self, mode: u64) -> E {
        E { mode, ..self }
    }

    pub(crate) fn owner(self, uid: i64, gid: i64) -> E {
        E { uid, gid, ..self }
    }

    pub(crate) fn mtime(self, mtime: i64) -> E {
        E { mtime, ..self }
    }

    pub(crate) fn form(self, form: Form) -> E {
        E { form, ..self }
    }

    pub(crate) fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> E {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn xattr(self, key: &str, value: impl AsRef<[u8]>) -> E {
        self.pax(format!("SCHILY.xattr.{key}"), value)
    }

    /// With a PAX header before it and GNU long names, as they are needed.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.pax.is_empty() {
            let records: Vec<u8> = self.pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            out.extend(E { data: records, ..E::new(b'x', "PaxHeaders/x") }.bytes());
        }
        for (kind, long) in [(b'L', &self.name), (b'K', &self.link)] {
            if long.len() > 100 {
                let data = [long, &b"\0"[..]].concat();
                out.extend(E { data, form: Form::Gnu, ..E::new(kind, "././@LongLink") }.bytes());
            }
        }
        out.extend(self.header());
        out.extend(&self.data);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    /// The block alone.
    pub(crate) fn header(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, &number(self.mode.cast_signed(), 8));
        put(108, &number(self.uid, 8));
        put(116, &number(self.gid, 8));
        put(124, &number(self.size.unwrap_or(self.data.len() as u64).cast_signed(), 12));
        put(136, &number(self.mtime, 12));
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        match self.form {
            Form::V7 => {}
            Form::Ustar => put(257, b"ustar\x0000"),
            Form::Gnu => put(257, b"ustar  \0"),
        }
        if self.form != Form::V7 {
            put(329, &number(self.device.0, 8));
            put(337, &number(self.device.1, 8));
        }
        match (self.form, self.atime) {
            (Form::Ustar, _) => put(345, &self.prefix),
            (Form::Gnu, Some(atime)) => put(345, &number(atime, 12)),
            _ => {}
        }
        sum(&mut block);
        block
    }
}

/// Writes the check sum.
pub(crate) fn sum(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Octal if it fits, else base 256.
pub(crate) fn number(value: i64, width: usize) -> Vec<u8> {
    let octal = format!("{value:0width$o}\0", width = width - 1);
    if value >= 0 && octal.len() == width {
        return octal.into_bytes();
    }
    let mut field = vec![if value < 0 { 0xff } else { 0 }; width];
    let bytes = value.to_be_bytes();
    let n = bytes.len().min(width);
    field[width - n..].copy_from_slice(&bytes[8 - n..]);
    field[0] |= 0x80;
    field
}

/// A PAX record.
pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    // The length counts its own digits.
    let length = (rest.len()..).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
    [length.to_string().as_bytes(), &rest].concat()
}

/// A whole layer.
pub(crate) fn layer(members: &[E]) -> Vec<u8> {
    let mut out: Vec<u8> = members.iter().flat_map(E::bytes).collect();
    out.resize(out.len() + 1024, 0);
    out
}
