/// The candidate that the user probably meant: the nearest by Damerau-Levenshtein distance (optimal string
/// alignment, so that a swap of neighbours is one slip), where it is near enough to be a slip of the fingers.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_slip_is_taken_for_another_name() {
        let names = ["lab_server", "lab_network", "content", "mode"];
        for (given, expected) in [
            ("lab_sever", Some("lab_server")),
            ("lab_netwrok", Some("lab_network")),
            ("contnet", Some("content")),
            ("mod", Some("mode")),
            ("x", None),
            ("aws_instance", None),
        ] {
            assert_eq!(nearest(given, names), expected, "{given}");
        }
    }
}
