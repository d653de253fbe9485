//! A bundle in several files, `edge.bundle.000` and on, read as the one that it was: a FAT file system takes no file of
//! 4 GiB.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What volumes are called at most: `.999`.
pub const MAX_VOLUMES: usize = 1000;

/// Opens the file `path`; where there is none, the volumes `path.000`, `path.001` and on.
///
/// The first volume's name may be given instead of the whole one.
pub fn open(path: &Path) -> io::Result<Opened> {
    if let Some(base) = path.to_str().and_then(|text| text.strip_suffix(".000")) {
        return Volumes::open(Path::new(base)).map(Opened::Volumes);
    }
    match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && name(path, 0).exists() => {
            Volumes::open(path).map(Opened::Volumes)
        }
        file => file.map(Opened::File),
    }
}

/// What a path stands for.
#[derive(Debug)]
pub enum Opened {
    /// One file, or a pipe.
    File(File),
    /// Several.
    Volumes(Volumes),
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Opened::File(file) => file.read(buffer),
            Opened::Volumes(volumes) => volumes.read(buffer),
        }
    }
}

/// Name of volume `number` of the file `path`.
pub fn name(path: &Path, number: usize) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(format!(".{number:03}"));
    PathBuf::from(text)
}

/// Several files in a row. One is open at a time.
#[derive(Debug)]
pub struct Volumes {
    /// Each with the place behind its last byte.
    parts: Vec<(PathBuf, u64)>,
    at: u64,
    open: Option<(usize, File)>,
}

impl Volumes {
    fn open(base: &Path) -> io::Result<Self> {
        let (mut parts, mut end) = (Vec::new(), 0_u64);
        for path in (0..MAX_VOLUMES).map(|number| name(base, number)) {
            match path.metadata() {
                Ok(meta) => {
                    end = end.saturating_add(meta.len());
                    parts.push((path, end));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound && !parts.is_empty() => break,
                Err(e) => return Err(e),
            }
        }
        // Behind a gap there is more: the bundle would only seem to be cut short.
        let next = parts.len() + 1;
        if (next..next + 8).any(|number| name(base, number).exists()) {
            let text = format!("volume '{}' is missing", name(base, parts.len()).display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(Volumes { parts, at: 0, open: None })
    }

    fn len(&self) -> u64 {
        self.parts.last().map_or(0, |(_, end)| *end)
    }

    /// The file that holds the byte at our place, set to it.
    fn file(&mut self) -> io::Result<Option<(&mut File, u64)>> {
        let at = self.at;
        let Some(index) = self.parts.iter().position(|(_, end)| at < *end) else { return Ok(None) };
        let start = index.checked_sub(1).and_then(|before| self.parts.get(before)).map_or(0, |(_, end)| *end);
        let Some((path, end)) = self.parts.get(index) else { return Ok(None) };
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(at - start))?;
            self.open = Some((index, file));
        }
        Ok(self.open.as_mut().map(|(_, file)| (file, end - at)))
    }
}

impl Read for Volumes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((file, left)) = self.file()? else { return Ok(0) };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = file.read(buffer.get_mut(..most).unwrap_or_default())?;
        if got == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a volume became shorter meanwhile"));
        }
        self.at = self.at.saturating_add(got as u64);
        Ok(got)
    }
}

impl Seek for Volumes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if place != self.at {
            self.open = None;
            self.at = place;
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes(parts: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for (suffix, text) in parts {
            std::fs::write(dir.path().join(format!("b{suffix}")), text).unwrap();
        }
        let path = dir.path().join("b");
        (dir, path)
    }

    #[test]
    fn volumes_read_as_one() {
        let (_dir, path) = volumes(&[(".000", "hello"), (".001", ""), (".002", ", wor"), (".003", "ld")]);
        for name in [path.clone(), path.with_extension("000")] {
            let Opened::Volumes(mut all) = open(&name).unwrap() else { panic!() };
            let mut text = String::new();
            all.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello, world");
            assert_eq!(all.seek(SeekFrom::End(0)).unwrap(), 12);
            for (at, expected) in [(0, "hello, world"), (4, "o, world"), (5, ", world"), (11, "d"), (12, ""), (99, "")]
            {
                all.seek(SeekFrom::Start(at)).unwrap();
                let mut rest = String::new();
                all.read_to_string(&mut rest).unwrap();
                assert_eq!(rest, expected, "from {at}");
            }
            assert!(all.seek(SeekFrom::Current(-100)).is_err());
        }
    }

    #[test]
    fn the_whole_file_goes_first() {
        let (_dir, path) = volumes(&[("", "whole"), (".000", "part")]);
        let mut text = String::new();
        open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
    }

    #[test]
    fn gaps_are_seen() {
        let (_dir, path) = volumes(&[(".000", "a"), (".002", "c")]);
        let e = open(&path).map(drop).unwrap_err();
        assert!(e.to_string().ends_with("b.001' is missing"), "{e}");
        let (_dir, path) = volumes(&[(".001", "b")]);
        assert_eq!(open(&path).map(drop).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
