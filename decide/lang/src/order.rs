//! An order in which each thing comes after those that it needs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// The order of `count` things that is nearest to `0, 1, 2, …` while each comes after those that it needs: at every
/// point the first of those that may come. `needs` has one set for each. Where there is a circle, it is the error, in
/// the order of need.
pub(crate) fn order(needs: &[BTreeSet<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let order = sorted(needs);
    if order.len() == needs.len() { Ok(order) } else { Err(circle(needs, &order)) }
}

/// The same order, without those that are in a circle or need one that is.
pub(crate) fn sorted(needs: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (one, needs) in needs.iter().enumerate() {
        for other in needs {
            if let Some(list) = needed_by.get_mut(*other) {
                list.push(one);
            }
        }
    }
    let free = waiting.iter().enumerate().filter(|(_, count)| **count == 0).map(|(one, _)| Reverse(one));
    let mut ready: BinaryHeap<Reverse<usize>> = free.collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(one)) = ready.pop() {
        order.push(one);
        for other in needed_by.get(one).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(*other) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(*other));
                }
            }
        }
    }
    order
}

/// From any that never came, always to a need that never came, until one comes again.
fn circle(needs: &[BTreeSet<usize>], came: &[usize]) -> Vec<usize> {
    let came: BTreeSet<usize> = came.iter().copied().collect();
    let stuck = |one: &usize| !came.contains(one);
    let Some(mut at) = (0..needs.len()).find(stuck) else { return Vec::new() };
    let mut way: Vec<usize> = Vec::new();
    loop {
        if let Some(from) = way.iter().position(|one| *one == at) {
            return way.split_off(from);
        }
        way.push(at);
        match needs.get(at).and_then(|needs| needs.iter().copied().find(|one| stuck(one))) {
            Some(next) => at = next,
            None => return way,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_order_has_each_once_after_its_needs(edges in prop::collection::vec((0usize..12, 0usize..12), 0..20)) {
            let mut needs = vec![BTreeSet::new(); 12];
            for (one, other) in edges {
                needs[one].insert(other);
            }
            match order(&needs) {
                Ok(order) => {
                    prop_assert_eq!(order.iter().copied().collect::<BTreeSet<_>>().len(), 12);
                    let place = |one: usize| order.iter().position(|other| *other == one).unwrap();
                    for (one, needs) in needs.iter().enumerate() {
                        prop_assert!(needs.iter().all(|other| place(*other) < place(one)));
                    }
                    if needs.iter().enumerate().all(|(one, needs)| needs.iter().all(|other| *other < one)) {
                        prop_assert_eq!(order, (0..12).collect::<Vec<_>>());
                    }
                }
                Err(circle) => {
                    prop_assert!(!circle.is_empty());
                    let next = circle.iter().skip(1).chain(circle.first());
                    prop_assert!(circle.iter().zip(next).all(|(one, other)| needs[*one].contains(other)));
                }
            }
        }
    }

    #[test]
    fn the_order_written_is_kept_as_far_as_needs_let_it() {
        for (needs, expected) in [
            (vec![vec![], vec![], vec![]], Ok(vec![0, 1, 2])),
            // The one that needs a later one waits; nothing else moves.
            (vec![vec![2], vec![], vec![]], Ok(vec![1, 2, 0])),
            (vec![vec![3], vec![], vec![0], vec![]], Ok(vec![1, 3, 0, 2])),
            (vec![vec![1], vec![0], vec![]], Err(vec![0, 1])),
            (vec![vec![], vec![0, 2], vec![1], vec![2]], Err(vec![1, 2])),
            (vec![vec![0]], Err(vec![0])),
            (vec![vec![1], vec![2], vec![1]], Err(vec![1, 2])),
        ] {
            let needs: Vec<BTreeSet<usize>> = needs.into_iter().map(|needs| needs.into_iter().collect()).collect();
            assert_eq!(order(&needs), expected, "{needs:?}");
        }
    }
}
