//! Memory classes: how much there is decides how EdgeCore and containerd are set.

use std::fmt;
use std::str::FromStr;

use crate::ids::BadName;

/// How much memory a board has, in steps that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Sold with 256 MiB.
    Tiny,
    /// Sold with 512 MiB.
    Small,
    /// Sold with 1 GiB.
    Medium,
    /// More: upstream's defaults fit.
    Large,
}

impl Class {
    /// Every class, the smallest first.
    pub const ALL: [Class; 4] = [Class::Tiny, Class::Small, Class::Medium, Class::Large];

    /// The class of a machine with so many bytes, as [`crate::host::memory`] counts them: firmware, kernel and a GPU
    /// keep up to a fourth of what is built in, so each bound lies half way to the next size that is sold.
    pub const fn of(bytes: u64) -> Class {
        match bytes >> 20 {
            0..=383 => Class::Tiny,
            384..=767 => Class::Small,
            768..=1535 => Class::Medium,
            _ => Class::Large,
        }
    }

    /// `tiny`, `small`, `medium`, `large`.
    pub const fn word(self) -> &'static str {
        match self {
            Class::Tiny => "tiny",
            Class::Small => "small",
            Class::Medium => "medium",
            Class::Large => "large",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Class {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::Shape("is not 'tiny', 'small', 'medium' or 'large'");
        Class::ALL.into_iter().find(|class| class.word() == text).ok_or(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_sold_with_what_a_kernel_leaves_of_them() {
        for (mib, class) in [
            (183, Class::Tiny),
            (256, Class::Tiny),
            (427, Class::Small),
            (512, Class::Small),
            (906, Class::Medium),
            (1024, Class::Medium),
            (1846, Class::Large),
            (64_000, Class::Large),
        ] {
            assert_eq!(Class::of(mib << 20), class, "{mib}");
            assert_eq!(class.word().parse(), Ok(class));
        }
        assert!("huge".parse::<Class>().is_err());
    }
}
