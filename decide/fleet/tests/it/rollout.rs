use andon_fleet::{Amount, Rollout, Strategy};
use proptest::prelude::*;

/// Which are worked on together, and what is left, where the named ones fail: `0 | 1 2 | 3 ; left 4 5: one failed`.
fn story(total: usize, strategy: Strategy, failing: &[usize]) -> String {
    let mut rollout = Rollout::new(total, strategy);
    let mut waves = Vec::new();
    loop {
        let begun = rollout.begin();
        if begun.is_empty() {
            break;
        }
        waves.push(begun.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        begun.iter().for_each(|place| rollout.ended(*place, failing.contains(place)));
    }
    assert!(rollout.is_over());
    let (left, why) = rollout.not_begun();
    let left: Vec<String> = left.map(|place| place.to_string()).collect();
    let end = if left.is_empty() { String::new() } else { format!(" ; left {}: {why}", left.join(" ")) };
    waves.join(" | ") + &end
}

fn strategy(canary: usize, batch: &str, max_fail: &str, parallelism: usize) -> Strategy {
    Strategy { canary, batch: Amount::parse(batch), max_fail: Amount::parse(max_fail), parallelism }
}

#[test]
fn servers_are_worked_on_in_order() {
    for (total, strategy, failing, expected) in [
        (0, strategy(0, "", "", 9), &[][..], ""),
        (5, strategy(0, "", "", 9), &[], "0 1 2 3 4"),
        (5, strategy(0, "", "", 2), &[], "0 1 | 2 3 | 4"),
        (5, strategy(0, "", "", 0), &[], "0 | 1 | 2 | 3 | 4"),
        (5, strategy(0, "2", "", 9), &[], "0 1 | 2 3 | 4"),
        (5, strategy(0, "0", "", 9), &[], "0 | 1 | 2 | 3 | 4"),
        (5, strategy(0, "40%", "", 9), &[], "0 1 | 2 3 | 4"),
        (5, strategy(0, "1%", "", 9), &[], "0 | 1 | 2 | 3 | 4"),
        (5, strategy(1, "", "", 9), &[], "0 | 1 2 3 4"),
        (5, strategy(1, "2", "", 9), &[], "0 | 1 2 | 3 4"),
        (5, strategy(9, "", "", 9), &[], "0 1 2 3 4"),
        // Without a limit, what fails keeps nothing else from being done; but canaries, and whole batches, do.
        (5, strategy(0, "", "", 2), &[0, 3], "0 1 | 2 3 | 4"),
        (5, strategy(2, "", "", 9), &[1], "0 1 ; left 2 3 4: a canary failed"),
        (5, strategy(0, "2", "", 9), &[0, 2], "0 1 | 2 3 | 4"),
        (5, strategy(0, "2", "", 9), &[0, 1], "0 1 ; left 2 3 4: all of a batch failed"),
        (5, strategy(0, "", "0", 2), &[1], "0 1 ; left 2 3 4: one failed"),
        (5, strategy(0, "", "1", 2), &[1], "0 1 | 2 3 | 4"),
        (5, strategy(0, "", "1", 2), &[1, 2], "0 1 | 2 3 ; left 4: more than 1 failed"),
        (5, strategy(0, "", "20%", 2), &[1, 2], "0 1 | 2 3 ; left 4: more than 1 failed"),
        (5, strategy(0, "", "0", 9), &[4], "0 1 2 3 4"),
    ] {
        assert_eq!(story(total, strategy.clone(), failing), expected, "{total} {strategy:?} {failing:?}");
    }
}

#[test]
fn amounts_are_read() {
    for (text, expected) in [
        ("3", Some(Amount::Count(3))),
        ("25%", Some(Amount::Percent(25))),
        (" 0 ", Some(Amount::Count(0))),
        ("100%", Some(Amount::Percent(100))),
        ("101%", None),
        ("-1", None),
        ("x", None),
        ("", None),
        ("%", None),
    ] {
        assert_eq!(Amount::parse(text), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn each_is_begun_at_most_once_and_all_is_said(
        total in 0usize..40,
        canary in 0usize..5,
        batch in proptest::option::of(0usize..12),
        max_fail in proptest::option::of(0usize..6),
        parallelism in 0usize..8,
        ends in proptest::collection::vec((any::<prop::sample::Index>(), proptest::bool::weighted(0.2)), 40),
        interrupt in proptest::option::of(0usize..40),
    ) {
        let batch = batch.map(Amount::Count);
        let limit = max_fail;
        let strategy = Strategy { canary, batch, max_fail: max_fail.map(Amount::Count), parallelism };
        let mut rollout = Rollout::new(total, strategy);
        let (mut running, mut order, mut failures) = (Vec::new(), Vec::new(), 0);
        let mut ends = ends.into_iter();
        loop {
            let begun = rollout.begin();
            if begun.iter().any(|_| limit.is_some_and(|limit| failures > limit)) {
                prop_assert!(false, "begun after too many failures");
            }
            order.extend(begun.iter().copied());
            running.extend(begun);
            prop_assert!(running.len() <= parallelism.max(1));
            if let Some(Amount::Count(size)) = batch {
                prop_assert!(running.len() <= size.max(1).max(canary));
            }
            if interrupt == Some(order.len()) {
                rollout.stop("Ctrl-C");
            }
            if running.is_empty() {
                break;
            }
            let (which, failed) = ends.next().unwrap();
            let place = running.remove(which.index(running.len()));
            failures += usize::from(failed);
            rollout.ended(place, failed);
        }
        prop_assert!(rollout.is_over());
        let (left, why) = rollout.not_begun();
        prop_assert!(left.is_empty() || !why.is_empty());
        order.extend(left);
        prop_assert_eq!(order, (0..total).collect::<Vec<_>>());
    }
}
