//! Tests of what needs no containerd to compare with.
