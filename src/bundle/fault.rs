//! What can be wrong with a bundle, as words that scripts may rely on.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, Kind, Text};

/// Class of what is wrong with a bundle. Every class is [`Kind::Bundle`], save [`Fault::Unreadable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The file or the pipe cannot be read; says nothing about the bundle.
    Unreadable,
    /// Something else than a bundle.
    NotABundle,
    /// Made for a newer edgelay.
    TooNew,
    /// Bytes are missing, changed, added or out of order.
    Damaged,
    /// Not signed by a key of this machine, which has one.
    Unsigned,
    /// For another processor, or for another role.
    WrongArchitecture,
    /// Sound, but something that is needed is not in it.
    Incomplete,
}

impl Fault {
    /// Every fault, the gravest first.
    pub const ALL: [Fault; 7] = [
        Fault::Unreadable,
        Fault::NotABundle,
        Fault::TooNew,
        Fault::Damaged,
        Fault::Unsigned,
        Fault::WrongArchitecture,
        Fault::Incomplete,
    ];

    /// Stable word for JSON output.
    pub const fn word(self) -> &'static str {
        match self {
            Fault::Unreadable => "unreadable",
            Fault::NotABundle => "not-a-bundle",
            Fault::TooNew => "too-new",
            Fault::Damaged => "damaged",
            Fault::Unsigned => "unsigned",
            Fault::WrongArchitecture => "wrong-architecture",
            Fault::Incomplete => "incomplete",
        }
    }

    /// For messages: what the bundle is.
    pub const fn words(self) -> &'static str {
        match self {
            Fault::Unreadable => "unreadable",
            Fault::NotABundle => "no bundle",
            Fault::TooNew => "too new",
            Fault::Damaged => "damaged",
            Fault::Unsigned => "not signed by a key of this machine",
            Fault::WrongArchitecture => "for another architecture",
            Fault::Incomplete => "incomplete",
        }
    }

    /// What to do about it, in one imperative sentence.
    pub const fn hint(self) -> &'static str {
        match self {
            Fault::Unreadable => "look at the medium and the rights of the file",
            Fault::NotABundle => {
                "make a bundle with 'edgelay bundle create', or import images with 'edgelay image import'"
            }
            Fault::TooNew => "use the edgelay that made the bundle, or a newer one",
            Fault::Damaged => "copy the file again from where it was made; the medium may be failing",
            Fault::Unsigned => "take the bundle and its signature from who has a key of /etc/edgelay/keys",
            Fault::WrongArchitecture => "take the bundle that was made for this processor",
            Fault::Incomplete => "make the bundle again with what is missing",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Fault::Unreadable => Kind::Host,
            _ => Kind::Bundle,
        }
    }
}

/// Something that is wrong with a bundle: its class and the message.
// Boxed: a result has the size of what was read, and flaws are rare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    fault: Fault,
    what: Cow<'static, str>,
}

/// Result with a [`Flaw`].
pub(super) type Sound<T> = Result<T, Flaw>;

impl Flaw {
    /// `what` says what is wrong, on which object, expected and found.
    pub fn new(fault: Fault, what: impl Text) -> Self {
        Flaw(Box::new(Inner { fault, what: what.text() }))
    }

    /// The class.
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    pub(super) fn damaged(what: impl Text) -> Self {
        Flaw::new(Fault::Damaged, what)
    }

    /// Says in front of the message which object it is about.
    #[must_use]
    pub(super) fn on(mut self, object: &dyn fmt::Display) -> Self {
        self.0.what = format!("{object}: {}", self.0.what).into();
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        let Inner { fault, what } = *flaw.0;
        Error::new(fault.kind(), what).hint(fault.hint())
    }
}
