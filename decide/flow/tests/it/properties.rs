use std::collections::BTreeSet;

use andon_flow::{End, Strategy};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use crate::world::{Nature, World, goal};

fn strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    prop_oneof![
        (1_usize..4).prop_map(Strategy::Rolling),
        Just(Strategy::BlueGreen),
        (1_usize..4, 1_u32..999).prop_map(|(count, share)| Strategy::Canary { count, share }),
    ]
}

fn nature() -> impl proptest::strategy::Strategy<Value = Nature> {
    prop_oneof![
        3 => Just(Nature::Good),
        1 => Just(Nature::Ill),
        1 => Just(Nature::Wrong),
        1 => Just(Nature::Mortal),
        1 => Just(Nature::Unmakable),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    /// Whatever is aimed at, whatever new servers do and wherever drivers end: it ends, as it was to be or as it was, with
    /// nothing left; and never fewer healthy servers got requests than there were to be.
    #[test]
    fn replacements_end_and_keep_up(
        (before, after) in (1_usize..6, 1_usize..6),
        strategy in strategy(),
        nature in nature(),
        kills in proptest::collection::btree_set(2_usize..120, 0..8),
    ) {
        let first = goal(before, "a", Strategy::Rolling(1));
        let mut world = World::new(first.clone());
        prop_assert_eq!(world.drive(first), End::Settled);
        world.natures.insert("b".to_owned(), nature);
        world.kills = kills;
        (world.fewest, world.most) = (usize::MAX, 0);
        let end = world.drive(goal(after, "b", strategy));
        if nature == Nature::Good {
            prop_assert_eq!(end, End::Settled);
            world.assert_settled("b", after);
        } else {
            prop_assert!(matches!(end, End::Returned(_)), "{:?}", end);
            world.assert_settled("a", after);
        }
        // Servers that end by themselves while they carry all cannot be made up for at once.
        if nature != Nature::Mortal {
            prop_assert!(world.fewest >= before.min(after), "{} healthy: {:#?}", world.fewest, world.log);
        } else {
            prop_assert!(!world.log.contains(&"share ".to_owned()));
        }
        let most = match strategy {
            Strategy::Rolling(batch) => before.max(after) + batch,
            // Those that were good for a while may still be there when as many old ones as there should be are made again.
            _ => before.max(after) + after,
        };
        prop_assert!(world.most <= most.max(before + after.saturating_sub(before)), "{} at once: {:#?}", world.most, world.log);
        // What follows finds a pool that can be changed again.
        world.kills = BTreeSet::new();
        world.natures.clear();
        prop_assert_eq!(world.drive(goal(before, "c", strategy)), End::Settled);
        world.assert_settled("c", before);
    }

    /// Whoever follows a driver that was ended may want something else, such as what there was before. Nobody is removed who
    /// gets requests, and never fewer healthy servers got requests than there were to be.
    #[test]
    fn another_goal_after_a_kill(
        (before, after, then) in (1_usize..5, 1_usize..5, 1_usize..5),
        (one, other) in (strategy(), strategy()),
        (nature, version) in (nature(), prop_oneof![Just("a"), Just("c")]),
        kills in proptest::collection::btree_set(2_usize..120, 1..4),
    ) {
        let first = goal(before, "a", Strategy::Rolling(1));
        let mut world = World::new(first.clone());
        prop_assert_eq!(world.drive(first), End::Settled);
        world.natures.insert("b".to_owned(), nature);
        let steps = world.steps();
        world.kills = kills.into_iter().map(|kill| 2 * steps + kill).collect();
        (world.fewest, world.most) = (usize::MAX, 0);
        let goals = [goal(after, "b", one), goal(then, version, other)];
        let (end, last) = world.drive_on(&mut goals.into_iter());
        match end {
            End::Settled => world.assert_settled(&last.version, last.size),
            End::Returned(_) => world.assert_settled("a", last.size),
            end => prop_assert!(false, "{:?}", end),
        }
        prop_assert!(nature == Nature::Mortal || world.fewest >= before.min(after).min(then), "{} healthy: {:#?}", world.fewest, world.log);
    }

    /// However often members die and pools are aimed anew, each drive ends.
    #[test]
    fn every_drive_ends(
        steps in proptest::collection::vec((0_usize..5, 0_u8..3, strategy(), nature(), any::<u8>()), 1..6),
        kills in proptest::collection::btree_set(2_usize..400, 0..20),
        retired in proptest::collection::btree_set(0_u64..8, 0..8),
    ) {
        let mut world = World::new(goal(0, "0", Strategy::Rolling(1)));
        world.kills = kills;
        for (size, version, strategy, nature, dies) in steps {
            let name = version.to_string();
            world.natures.insert(name.clone(), nature);
            let some = world.pool.members().keys().copied().find(|serial| retired.contains(&(serial % 8)));
            world.pool = some.into_iter().fold(world.pool.clone(), |pool, serial| pool.retire(serial, true));
            world.drive(goal(size, &name, strategy));
            let count = world.pool.members().len();
            if count > 0 && dies % 2 == 0 {
                let serial = *world.pool.members().keys().nth(usize::from(dies) % count).unwrap();
                if world.pool.members()[&serial].stage == andon_flow::Stage::Member {
                    world.end(serial);
                }
            }
        }
        world.natures.clear();
        world.now_ms += 600_000;
        let some: Vec<u64> = world.pool.members().keys().copied().filter(|serial| retired.contains(&(serial % 8))).collect();
        world.pool = some.into_iter().fold(world.pool.clone(), |pool, serial| pool.retire(serial, true));
        world.drive(goal(2, "z", Strategy::Rolling(1)));
        let end = world.drive(goal(2, "z", Strategy::Rolling(1)));
        prop_assert_eq!(end, End::Settled);
        world.assert_settled("z", 2);
    }
}
