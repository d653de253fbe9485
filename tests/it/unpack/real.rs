//! Real root file systems.
