//! The one error of this crate: a kind (which is an exit code), what failed, what we were doing, and a hint.
//!
//! Codecs keep their own small `Copy + Eq` enums and are lifted into [`Error`] once, by their caller.

mod number;

pub use number::meaning;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use nix::errno::Errno;

use crate::gather::Gather;

/// What a program written in Go says where a file system is full.
pub const FULL: &str = "no space left on device";

/// What it says where a disk fails, or was made read-only because of that.
const FAILING: [&str; 2] = ["input/output error", "read-only file system"];

/// What to do then.
const LOOK_AT_THE_DISK: &str = "see 'dmesg': the disk fails, or its file system was made read-only";

/// The first `most` characters of a text from outside, in a form that is safe to print.
pub fn excerpt(text: &str, most: usize) -> String {
    text.chars().take(most).flat_map(char::escape_debug).gather()
}

/// Result with our [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Class of a failure. Each class is one exit code of the public contract (docs/exit-codes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A defect of edgelay itself.
    Bug,
    /// The command line cannot be understood.
    Usage,
    /// A configuration file, environment variable or flag has a bad value.
    Config,
    /// The host is not fit: at least one preflight check failed.
    Preflight,
    /// The bundle or image archive is damaged, incomplete, foreign or too new.
    Bundle,
    /// A file, directory, device or program of this host failed.
    Host,
    /// containerd refused, died or answered nonsense.
    Runtime,
    /// keadm, EdgeCore or CloudCore refused.
    Cluster,
    /// Another run of edgelay holds the lock.
    Locked,
    /// Stopped by a signal; running the same command again goes on from there.
    Interrupted,
    /// `status` found something that is not as it was installed.
    Drift,
    /// Done, but a reboot is needed before it takes effect.
    Reboot,
    /// Nothing is wrong here, but it cannot be done now: try again later.
    Later,
}

impl Kind {
    /// Every kind, in the order of its exit code.
    pub const ALL: [Kind; 13] = [
        Kind::Bug,
        Kind::Usage,
        Kind::Config,
        Kind::Preflight,
        Kind::Bundle,
        Kind::Host,
        Kind::Runtime,
        Kind::Cluster,
        Kind::Locked,
        Kind::Interrupted,
        Kind::Drift,
        Kind::Reboot,
        Kind::Later,
    ];

    /// Exit status of the program. Part of the public contract: never renumber.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Bug => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::Preflight => 4,
            Kind::Bundle => 5,
            Kind::Host => 6,
            Kind::Runtime => 7,
            Kind::Cluster => 8,
            Kind::Locked => 9,
            Kind::Interrupted => 10,
            Kind::Drift => 11,
            Kind::Reboot => 20,
            Kind::Later => 21,
        }
    }

    /// Stable word for JSON output and documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Bug => "bug",
            Kind::Usage => "usage",
            Kind::Config => "config",
            Kind::Preflight => "preflight",
            Kind::Bundle => "bundle",
            Kind::Host => "host",
            Kind::Runtime => "runtime",
            Kind::Cluster => "cluster",
            Kind::Locked => "locked",
            Kind::Interrupted => "interrupted",
            Kind::Drift => "drift",
            Kind::Reboot => "reboot",
            Kind::Later => "later",
        }
    }
}

/// A failure: displayed as one line, outermost action first, then the cause.
///
/// ```
/// use edgelay::error::{Error, Kind, Trail};
/// let e: Result<(), Error> = Err(Error::new(Kind::Host, "write '/etc/x': disk full").hint("free 120 MiB on /"));
/// let e = e.doing(|| "step containerd-config".to_owned()).unwrap_err();
/// assert_eq!(e.to_string(), "step containerd-config: write '/etc/x': disk full");
/// assert_eq!(e.hint_text(), Some("free 120 MiB on /"));
/// ```
// Boxed: a `Result<(), Error>` stays one word, and errors are made rarely.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    what: Cow<'static, str>,
    doing: Vec<String>,
    hint: Option<Cow<'static, str>>,
    cause: Option<Box<dyn Cause>>,
}

/// A text of an error: fixed, made, or still to be made. `format_args!` leaves the making to us, which is less code at each
/// of hundreds of places than `format!`.
pub trait Text {
    /// As it is kept.
    fn text(self) -> Cow<'static, str>;
}

impl Text for &'static str {
    fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(self)
    }
}

impl Text for String {
    fn text(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}

impl Text for Cow<'static, str> {
    fn text(self) -> Cow<'static, str> {
        self
    }
}

impl Text for fmt::Arguments<'_> {
    fn text(self) -> Cow<'static, str> {
        Cow::Owned(std::fmt::format(self))
    }
}

/// What we ask of a foreign error. With `std::error::Error` each would bring its `Debug` along, used or not.
trait Cause: Any + Send + Sync {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<E: fmt::Display + Any + Send + Sync> Cause for E {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self as &dyn Any).downcast_ref() {
            Some(errno) => number::write(*errno, f),
            None => self.fmt(f),
        }
    }
}

impl Error {
    /// A failure of class `kind`; `what` says what failed on which object, expected and found.
    pub fn new(kind: Kind, what: impl Text) -> Self {
        Error(Box::new(Inner { kind, what: what.text(), doing: Vec::new(), hint: None, cause: None }))
    }

    /// Adds one imperative sentence the user can act on. The first hint wins: it is the closest to the cause.
    #[must_use]
    pub fn hint(mut self, text: impl Text) -> Self {
        self.0.hint.get_or_insert(text.text());
        self
    }

    /// Keeps the foreign error that caused this one; its text is shown after ours.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display + Any + Send + Sync) -> Self {
        self.0.cause = Some(Box::new(cause));
        self
    }

    fn inside(mut self, doing: String) -> Self {
        self.0.doing.push(doing);
        self
    }

    /// The class.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The same failure in another class (for a caller that knows better what it means).
    #[must_use]
    pub fn reclassify(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The hint, if one was given.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether a file system is full, by the system's number or a daemon's words.
    pub fn is_full(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOSPC | libc::EDQUOT)) || self.to_string().contains(FULL)
    }

    /// Says where to look if it is a failing disk that is behind this failure, in whose words ever.
    #[must_use]
    pub fn explain_disk(self) -> Self {
        let text = self.to_string();
        let failing = matches!(self.errno(), Some(libc::EIO | libc::EROFS)) || FAILING.iter().any(|w| text.contains(w));
        if failing { self.hint(LOOK_AT_THE_DISK) } else { self }
    }

    /// The operating system's error number behind this failure, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self.cause::<std::io::Error>() {
            Some(e) => e.raw_os_error(),
            None => self.cause::<Errno>().map(|e| *e as i32),
        }
    }

    /// The foreign error that caused this one, if it is one of these.
    pub fn cause<E: Any>(&self) -> Option<&E> {
        let cause: &dyn Any = self.0.cause.as_deref()?;
        cause.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in self.0.doing.iter().rev() {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.0.what)?;
        match &self.0.cause {
            Some(cause) => {
                f.write_str(": ")?;
                cause.tell(f)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        match &self.0.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Adds what we were doing to an [`Error`] on its way up.
pub trait Trail<T> {
    /// Puts `text()` in front of the message.
    fn doing(self, text: impl FnOnce() -> String) -> Result<T>;
    /// Adds a hint, unless one closer to the cause is there.
    fn hint(self, text: impl Text) -> Result<T>;
}

impl<T> Trail<T> for Result<T> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|mut e| {
            e.0.doing.push(text());
            e
        })
    }

    fn hint(self, text: impl Text) -> Result<T> {
        self.map_err(|e| e.hint(text))
    }
}

/// Lifts a foreign error into ours.
pub trait Lift<T> {
    /// `what()` says what failed on which object; the foreign error's text follows it.
    fn lift(self, kind: Kind, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display + Any + Send + Sync> Lift<T> for std::result::Result<T, E> {
    fn lift(self, kind: Kind, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| adopt(e, kind, what()))
    }
}

/// An [`Error`] that travelled inside an [`std::io::Error`] (through a `Read` adaptor, say) comes out as itself,
/// with its own kind and hint; anything else becomes the cause of a new one.
fn adopt<E: fmt::Display + Any + Send + Sync>(e: E, kind: Kind, what: String) -> Error {
    let mut e = Some(e);
    if let Some(ours) = ours(&mut e) {
        return ours.inside(what);
    }
    let error = Error::new(kind, what);
    match e {
        Some(foreign) => error.because(foreign),
        None => error,
    }
}

/// Takes our error out of `e`, an `Option` of a foreign one.
fn ours(e: &mut dyn Any) -> Option<Error> {
    if let Some(ours) = e.downcast_mut::<Option<Error>>() {
        return ours.take();
    }
    let io = e.downcast_mut::<Option<std::io::Error>>()?;
    if io.as_ref()?.get_ref()?.is::<Error>() { io.take()?.into_inner()?.downcast().ok().map(|e| *e) } else { None }
}

impl From<Error> for std::io::Error {
    /// For `Read`/`Write` adaptors; [`Lift::lift`] takes it out again.
    fn from(e: Error) -> Self {
        std::io::Error::other(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_reads_from_the_outside_in_and_the_first_hint_wins() {
        let cause = std::io::Error::from_raw_os_error(28);
        let e: Result<()> = Err::<(), _>(cause).lift(Kind::Host, || "write 'x'".into());
        let e = e.hint("free space").doing(|| "step a".into()).hint("other").doing(|| "install".into()).unwrap_err();
        assert_eq!(e.to_string(), "install: step a: write 'x': No space left on device (os error 28)");
        assert_eq!(e.hint_text(), Some("free space"));
        assert_eq!(e.errno(), Some(28));
        assert_eq!(e.kind().exit_code(), 6);
    }

    #[test]
    fn failing_disks_are_told_from_others() {
        let by = |number| Error::new(Kind::Host, "sync").because(std::io::Error::from_raw_os_error(number));
        let said = |text: &'static str| Error::new(Kind::Runtime, "Leases/Delete").because(text);
        for (e, failing) in [
            (by(libc::EIO), true),
            (by(libc::EROFS), true),
            (by(libc::ENOENT), false),
            (said("write /x/meta.db: read-only file system"), true),
            (said("commit failed: input/output error"), true),
            (said("commit failed: no such file or directory"), false),
        ] {
            let text = e.to_string();
            assert_eq!(e.explain_disk().hint_text(), failing.then_some(LOOK_AT_THE_DISK), "{text}");
        }
        assert_eq!(by(libc::EIO).hint("first").explain_disk().hint_text(), Some("first"));
    }

    #[test]
    fn an_excerpt_is_cut_before_it_is_escaped() {
        assert_eq!(excerpt("a\n\u{1b}[2Jé", 5), "a\\n\\u{1b}[2");
        assert_eq!(excerpt("é", 80), "é");
    }

    #[test]
    fn our_error_survives_a_trip_through_io() {
        let ours = Error::new(Kind::Bundle, "blob is damaged").hint("copy it again");
        let io: std::result::Result<(), std::io::Error> = Err(ours.into());
        let back = io.lift(Kind::Host, || "read 'b'".into()).unwrap_err();
        assert_eq!(back.to_string(), "read 'b': blob is damaged");
        assert_eq!((back.kind(), back.hint_text()), (Kind::Bundle, Some("copy it again")));
    }

    #[test]
    fn exit_codes_and_words_are_unique() {
        let mut codes: Vec<u8> = Kind::ALL.iter().map(|k| k.exit_code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
        let words: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|k| k.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
    }
}
