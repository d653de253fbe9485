//! Image archives of every shape, good and bad, read by ours.

use super::support::images::shapes;

/// The generator is deterministic, and what it calls good is a tar.
#[test]
fn generated_archives_are_tars_and_repeat() {
    for (one, two) in shapes::good(4).into_iter().zip(shapes::good(4)) {
        let bytes = one.pack.tar();
        assert!(bytes == two.pack.tar(), "{} differs between two runs", one.name);
        let names: Vec<_> = tar::Archive::new(&bytes[..])
            .entries()
            .unwrap()
            .map(|e| String::from_utf8(e.unwrap().path_bytes().into_owned()).unwrap())
            .collect();
        let want: Vec<_> = one.pack.0.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, want, "{}", one.name);
    }
    assert!(shapes::bad(4).iter().all(|bad| !bad.complaint.is_empty()));
}
