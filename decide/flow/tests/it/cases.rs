use std::collections::BTreeMap;

use andon_flow::{End, Strategy, Unwell};

use crate::world::{Nature, World, goal};

const CANARY: Strategy = Strategy::Canary { count: 1, share: 100 };

fn of(size: usize) -> World {
    let mut world = World::new(goal(size, "a", Strategy::Rolling(1)));
    assert_eq!(world.drive(goal(size, "a", Strategy::Rolling(1))), End::Settled);
    world.assert_settled("a", size);
    world.log.clear();
    world.fewest = usize::MAX;
    world.most = 0;
    world
}

fn check(strategy: Strategy, nature: Nature, expected: &[&str]) {
    let mut world = of(2);
    world.natures.insert("b".to_owned(), nature);
    let end = world.drive(goal(2, "b", strategy));
    assert_eq!(world.log, expected);
    if nature == Nature::Good {
        assert_eq!(end, End::Settled);
        world.assert_settled("b", 2);
    } else {
        assert!(matches!(end, End::Returned(_)), "{end:?}");
        world.assert_settled("a", 2);
    }
    assert!(world.fewest >= 2 || nature == Nature::Mortal, "{}", world.fewest);
}

#[test]
fn rolling() {
    check(
        Strategy::Rolling(1),
        Nature::Good,
        &[
            "make b-2",
            "share a-0:1000 a-1:1000 b-2:1000",
            "share a-1:1000 b-2:1000",
            "remove a-0",
            "make b-0",
            "share a-1:1000 b-2:1000 b-0:1000",
            "share b-2:1000 b-0:1000",
            "remove a-1",
            "Settled",
        ],
    );
}

#[test]
fn blue_green() {
    check(
        Strategy::BlueGreen,
        Nature::Good,
        &["make b-2", "make b-3", "share b-2:1000 b-3:1000", "remove a-0", "remove a-1", "Settled"],
    );
}

#[test]
fn canary() {
    check(
        CANARY,
        Nature::Good,
        &[
            "make b-2",
            "share a-0:1000 a-1:1000 b-2:222",
            "make b-3",
            "share b-2:1000 b-3:1000",
            "remove a-0",
            "remove a-1",
            "Settled",
        ],
    );
}

#[test]
fn those_that_are_never_healthy_get_no_requests() {
    let end = "Returned(\"new servers do not become healthy\")";
    check(Strategy::Rolling(2), Nature::Ill, &["make b-2", "make b-3", "remove b-2", "remove b-3", end]);
    check(Strategy::BlueGreen, Nature::Ill, &["make b-2", "make b-3", "remove b-2", "remove b-3", end]);
    check(CANARY, Nature::Ill, &["make b-2", "remove b-2", end]);
}

#[test]
fn those_that_cannot_be_made_change_nothing() {
    check(Strategy::Rolling(1), Nature::Unmakable, &["make b-2", "Returned(\"no such image\")"]);
}

#[test]
fn errors_send_the_canary_back() {
    let mut world = of(2);
    world.natures.insert("b".to_owned(), Nature::Wrong);
    let end = world.drive(goal(2, "b", CANARY));
    assert!(matches!(&end, End::Returned(why) if why.contains("went wrong")), "{end:?}");
    assert_eq!(
        world.log[..4],
        ["make b-2", "share a-0:1000 a-1:1000 b-2:222", "share a-0:1000 a-1:1000", "remove b-2"]
    );
    world.assert_settled("a", 2);
    // The same once more, after it was mended.
    world.natures.clear();
    assert_eq!(world.drive(goal(2, "b", CANARY)), End::Settled);
    world.assert_settled("b", 2);
}

#[test]
fn errors_after_the_switch_switch_back_at_once() {
    let mut world = of(3);
    world.natures.insert("b".to_owned(), Nature::Wrong);
    let end = world.drive(goal(3, "b", Strategy::BlueGreen));
    assert!(matches!(&end, End::Returned(_)), "{end:?}");
    let shares: Vec<_> = world.log.iter().filter(|line| line.starts_with("share")).collect();
    assert_eq!(shares, ["share b-3:1000 b-4:1000 b-5:1000", "share a-0:1000 a-1:1000 a-2:1000"]);
    world.assert_settled("a", 3);
}

#[test]
fn new_servers_that_end_send_all_back() {
    for strategy in [Strategy::Rolling(1), Strategy::BlueGreen, CANARY] {
        let mut world = of(3);
        world.natures.insert("b".to_owned(), Nature::Mortal);
        let end = world.drive(goal(3, "b", strategy));
        assert!(matches!(&end, End::Returned(_)), "{end:?}");
        world.assert_settled("a", 3);
        assert!(world.log.iter().all(|line| line != "share "), "somebody always gets requests: {:?}", world.log);
    }
}

#[test]
fn a_pool_grows_shrinks_and_replaces_the_dead() {
    let mut world = of(2);
    let aim = |size| goal(size, "a", Strategy::Rolling(1));
    assert_eq!(world.drive(aim(4)), End::Settled);
    world.assert_settled("a", 4);
    assert_eq!(world.drive(aim(1)), End::Settled);
    world.assert_settled("a", 1);
    assert_eq!(world.pool.members().values().next().unwrap().index, 0);
    world.drive(aim(3));
    let second = *world.pool.members().keys().nth(1).unwrap();
    world.end(second);
    world.log.clear();
    assert_eq!(world.drive(aim(3)), End::Settled);
    assert_eq!(
        world.log,
        ["share a-0:1000 a-2:1000", "remove a-1", "make a-1", "share a-0:1000 a-2:1000 a-1:1000", "Settled"]
    );
    assert_eq!(world.drive(aim(0)), End::Settled);
    world.assert_settled("a", 0);
}

#[test]
fn members_that_die_too_fast_are_not_replaced() {
    let aim = || goal(2, "a", Strategy::Rolling(1));
    let mut world = of(2);
    for deaths in 1..=3 {
        let first = *world.pool.members().keys().next().unwrap();
        world.end(first);
        // Whoever looks sees it before anybody does anything.
        assert_eq!(world.would_give_up(), (deaths == 3).then_some(3));
        let end = world.drive(aim());
        assert_eq!(end, if deaths < 3 { End::Settled } else { End::GaveUp(3) });
    }
    assert_eq!(world.would_give_up(), Some(3));
    assert_eq!(world.serving(), 1);
    assert_eq!(world.drive(aim()), End::GaveUp(3), "nor later");
    world.now_ms += 600_000;
    assert_eq!(world.would_give_up(), None);
    assert_eq!(world.drive(aim()), End::Settled, "when the window is over");
    world.assert_settled("a", 2);
    let first = *world.pool.members().keys().next().unwrap();
    world.end(first);
    world.drive(aim());
    assert_eq!(world.drive(goal(2, "b", Strategy::Rolling(1))), End::Settled);
    world.assert_settled("b", 2);
}

#[test]
fn too_many_deaths_are_seen_where_nobody_changes_anything() {
    for (ended, expected) in [(0, None), (1, None), (2, None), (3, Some(3)), (4, Some(4)), (5, None)] {
        let mut world = of(5);
        (0..ended).for_each(|serial| world.end(serial));
        // All at once are one death.
        assert_eq!(world.would_give_up(), expected, "{ended}");
        let before = world.pool.clone();
        if expected.is_some() {
            assert_eq!(world.drive(goal(5, "a", Strategy::Rolling(1))), End::GaveUp(ended as usize));
        }
        assert!(before != world.pool || expected.is_none());
    }
    // What is under way comes to an end of its own.
    let mut world = of(5);
    (0..3).for_each(|serial| world.end(serial));
    world.pool = world.pool.clone().retire(4, true);
    assert_eq!(world.would_give_up(), None);
}

#[test]
fn one_that_runs_and_does_not_answer_is_told_from_all_that_do_not() {
    let world = of(3);
    let check = |unwell_ms: &[(u64, Option<u64>)], expected: Unwell| {
        assert_eq!(world.pool.unwell(&unwell_ms.iter().copied().collect()), expected, "{unwell_ms:?}");
    };
    let limit = world.pool.goal().limit_ms;
    let (short, long, longer) = (Some(limit), Some(limit + 1), Some(limit + 2));
    check(&[], Unwell::Nobody);
    check(&[(0, None), (1, None), (2, None)], Unwell::Nobody);
    check(&[(0, None), (1, short), (2, None)], Unwell::Nobody);
    check(&[(0, None), (1, long), (2, None)], Unwell::One(1));
    check(&[(0, long), (1, longer), (2, None)], Unwell::One(1));
    check(&[(0, long), (1, long), (2, None)], Unwell::One(0));
    check(&[(0, long), (1, long), (2, longer)], Unwell::All);
    // Whether the third one is well is not known.
    check(&[(0, long), (1, long), (2, short)], Unwell::Nobody);
    check(&[(0, long), (1, long)], Unwell::Nobody);
    check(&[(7, longer), (0, None), (1, None), (2, None)], Unwell::Nobody);
    let unwell_ms: BTreeMap<u64, Option<u64>> = [(0, None), (1, long), (2, None)].into();
    assert_eq!(world.pool.clone().retire(2, true).unwell(&unwell_ms), Unwell::Nobody, "that comes first");
    let next = world.pool.clone().aim(goal(3, "b", Strategy::Rolling(1)));
    assert_eq!(next.unwell(&unwell_ms), Unwell::Nobody, "all are replaced anyway");
}

#[test]
fn a_first_version_that_is_no_good_fails_and_leaves_nothing() {
    let mut world = World::new(goal(2, "a", Strategy::Rolling(1)));
    world.natures.insert("a".to_owned(), Nature::Ill);
    let end = world.drive(goal(2, "a", Strategy::Rolling(1)));
    assert_eq!(end, End::Failed("new servers do not become healthy".to_owned()));
    assert!(world.pool.members().is_empty());
}

#[test]
fn growth_that_fails_keeps_what_there_was() {
    let mut world = of(2);
    world.natures.insert("a".to_owned(), Nature::Ill);
    assert!(matches!(world.drive(goal(3, "a", Strategy::Rolling(1))), End::Failed(_)));
    world.assert_settled("a", 2);
}

#[test]
fn a_third_version_in_the_midst_of_a_replacement() {
    for strategy in [Strategy::Rolling(1), Strategy::BlueGreen, CANARY] {
        for refused in 0..5 {
            let mut world = of(2);
            // The driver ends where the balancer does not answer, in the midst of things.
            world.refuse_shares(refused);
            world.drive(goal(2, "b", strategy));
            world.refuse_shares(0);
            assert_eq!(world.drive(goal(2, "c", strategy)), End::Settled);
            world.assert_settled("c", 2);
            assert!(world.fewest >= 2);
        }
    }
}

#[test]
fn those_that_are_retired_are_replaced_one_after_another() {
    let aim = |strategy| goal(3, "a", strategy);
    for strategy in [Strategy::Rolling(3), Strategy::BlueGreen, CANARY] {
        let mut world = of(3);
        world.pool = world.pool.clone().retire(0, true).retire(2, true);
        assert_eq!(world.drive(aim(strategy)), End::Settled);
        assert_eq!(
            world.log,
            [
                "make a-3",
                "share a-0:1000 a-1:1000 a-2:1000 a-3:1000",
                "share a-1:1000 a-2:1000 a-3:1000",
                "remove a-0",
                "make a-0",
                "share a-1:1000 a-2:1000 a-3:1000 a-0:1000",
                "share a-1:1000 a-3:1000 a-0:1000",
                "remove a-2",
                "Settled"
            ]
        );
        world.assert_settled("a", 3);
        assert!(world.pool.members().values().all(|member| !member.retired));
        assert!(world.fewest >= 3);
        // New ones that are no good leave the retired one where it is.
        for (nature, expected) in [
            (Nature::Ill, End::Failed("new servers do not become healthy".to_owned())),
            (Nature::Unmakable, End::Failed("no such image".to_owned())),
            (Nature::Mortal, End::GaveUp(3)),
        ] {
            let mut world = of(3);
            let first = *world.pool.members().keys().next().unwrap();
            world.pool = world.pool.clone().retire(first, true);
            world.natures.insert("a".to_owned(), nature);
            assert_eq!(world.drive(aim(strategy)), expected);
            assert!(world.serving() >= 3 && world.pool.members().contains_key(&first), "{:#?}", world.log);
            world.pool = world.pool.clone().retire(first, false);
            world.now_ms += 600_000;
            assert_eq!(world.drive(aim(strategy)), End::Settled);
            world.assert_settled("a", 3);
            assert!(world.pool.members().contains_key(&first));
        }
    }
}

#[test]
fn a_new_version_replaces_the_retired_as_the_others() {
    for nature in [Nature::Good, Nature::Wrong] {
        let mut world = of(3);
        world.pool = world.pool.clone().retire(1, true);
        world.natures.insert("b".to_owned(), nature);
        let end = world.drive(goal(3, "b", CANARY));
        let version = if nature == Nature::Good { "b" } else { "a" };
        assert_eq!(matches!(end, End::Settled), nature == Nature::Good, "{end:?}");
        world.assert_settled(version, 3);
        // Where the old ones come back, whoever wanted that one replaced asks again.
        assert_eq!(world.pool.members().contains_key(&1), nature != Nature::Good);
        assert!(world.fewest >= 3);
    }
}

/// Requests go to new members, and the driver ends before that is written down. Who is aimed at next may be what there was.
#[test]
fn a_driver_that_ends_while_requests_are_handed_over() {
    for nature in [Nature::Good, Nature::Mortal] {
        let mut world = of(2);
        world.natures.insert("b".to_owned(), nature);
        world.kill_after = vec!["share b"];
        let (end, _) =
            world.drive_on(&mut [goal(2, "b", Strategy::BlueGreen), goal(2, "a", Strategy::BlueGreen)].into_iter());
        assert_eq!(end, End::Settled, "{:#?}", world.log);
        world.assert_settled("a", 2);
        assert!(world.log.iter().any(|line| line.starts_with("share a-0:1000 a-1:1000")), "{:#?}", world.log);
        assert!(world.fewest >= 2 || nature == Nature::Mortal);
    }
}

#[test]
fn members_that_could_not_be_removed_are_not_forgotten() {
    // One that could not be made, and one that was to go.
    for (nature, refusals) in [(Nature::Unmakable, 1), (Nature::Unmakable, 2), (Nature::Good, 1)] {
        let mut world = of(2);
        world.natures.insert("b".to_owned(), nature);
        world.refuse_removals(refusals);
        world.drive(goal(2, "b", Strategy::Rolling(1)));
        world.drive(goal(2, "c", Strategy::Rolling(1)));
        world.assert_settled("c", 2);
        assert_eq!(world.there(), 2, "{nature:?}");
    }
}

/// What there was before is known to be good, also where some of it went already.
#[test]
fn back_in_the_midst_of_a_canary() {
    let mut world = of(3);
    world.kill_after = vec!["remove a"];
    let (end, _) = world.drive_on(&mut [goal(3, "b", CANARY), goal(3, "a", CANARY)].into_iter());
    assert_eq!(end, End::Settled);
    world.assert_settled("a", 3);
    assert!(world.fewest >= 3);
}

/// As many as are too many otherwise: they are new ones that are no good, and not members that die.
#[test]
fn new_ones_that_all_end_at_once_are_gone_back_from() {
    let mut world = of(1);
    world.natures.insert("b".to_owned(), Nature::Mortal);
    world.kill_after = vec!["make b-5", "make b-5"];
    assert_eq!(world.drive(goal(5, "b", Strategy::BlueGreen)), End::Returned("a new server ended".to_owned()));
    world.assert_settled("a", 5);
}
