use crate::dump::{body, check_all, errors};

#[test]
fn placeholder() {
    check_all(&[("", "")], body);
    check_all(&[("", "")], errors);
}
