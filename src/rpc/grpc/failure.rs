//! Why a call failed: the daemon said no, or the way to it broke.

use std::fmt;

use crate::error::{Error, FULL, Kind, Result, Text, Trail};
use crate::rpc::status::{Code, Status};

/// A failed call. Callers match on [`CallError::code`]; everyone else turns it into an [`Error`] with `?`.
pub enum CallError {
    /// The daemon answered, with something else than success. The connection is fine.
    Status {
        /// Path of the method.
        method: &'static str,
        /// Code and words; boxed, so that results stay small.
        status: Box<Status>,
    },
    /// The daemon is gone, late, or talks nonsense. The connection is not to be used again.
    Broken(Error),
}

impl CallError {
    /// A broken connection during a call of `method`.
    pub(super) fn broken(method: &'static str, e: Error) -> Self {
        CallError::Broken(
            Err::<(), _>(e).doing(|| short(method)).err().unwrap_or_else(|| Error::new(Kind::Bug, method)),
        )
    }

    /// The daemon's code, if it answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            CallError::Status { status, .. } => Some(status.code),
            CallError::Broken(_) => None,
        }
    }

    /// Whether the daemon answered with this code.
    pub fn is(&self, code: Code) -> bool {
        self.code() == Some(code)
    }

    /// The daemon's words, if it answered.
    pub fn message(&self) -> Option<&str> {
        match self {
            CallError::Status { status, .. } => Some(&status.message),
            CallError::Broken(_) => None,
        }
    }
}

impl From<Error> for CallError {
    fn from(e: Error) -> Self {
        CallError::Broken(e)
    }
}

impl From<CallError> for Error {
    fn from(e: CallError) -> Self {
        match e {
            CallError::Broken(e) => e,
            CallError::Status { method, status } => {
                if status.message.contains(FULL) {
                    // Whoever knows of which disk gives the hint.
                    return Error::new(Kind::Host, short(method)).because(*status);
                }
                let e = Error::new(Kind::Runtime, short(method));
                let hint = match status.code {
                    Code::Unimplemented => "use containerd 1.6 or newer, with its cri plugin enabled",
                    Code::Unavailable => "wait until containerd is ready and run the same command again",
                    _ => "look at containerd's log: journalctl -u containerd",
                };
                e.because(*status).explain_disk().hint(hint)
            }
        }
    }
}

/// `Images/Get` for `/containerd.services.images.v1.Images/Get`.
fn short(method: &str) -> String {
    let mut parts = method.rsplit(['.', '/']);
    match (parts.next(), parts.next()) {
        (Some(name), Some(service)) => format!("{service}/{name}"),
        _ => method.to_owned(),
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Status { method, status } => write!(f, "{}: {status}", short(method)),
            CallError::Broken(e) => e.fmt(f),
        }
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> Trail<T> for std::result::Result<T, CallError> {
    fn doing(self, text: impl FnOnce() -> String) -> Result<T> {
        self.map_err(Error::from).doing(text)
    }

    fn hint(self, text: impl Text) -> Result<T> {
        self.map_err(|e| Error::from(e).hint(text))
    }
}
