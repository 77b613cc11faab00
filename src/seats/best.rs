//! Seats together: a block in one row that leaves no single seat alone.

use super::Plan;

/// Where the best block of `count` free neighbours begins: the first in the plan's order that leaves no single seat
/// alone beside it, or, where every block does, the first of all. Looks no further than that.
pub(super) fn best_together(plan: &Plan, free: impl Fn(usize) -> bool, count: usize) -> Option<usize> {
    let mut lonely = None;
    for (first, leaves_one) in blocks(plan, free, count) {
        if !leaves_one {
            return Some(first);
        }
        lonely = lonely.or(Some(first));
    }
    lonely
}

/// Where blocks of `count` free neighbours begin, in the plan's order. Those that leave a single seat alone beside them
/// are offered only where there is no other.
pub(super) fn all_together(plan: &Plan, free: impl Fn(usize) -> bool, count: usize) -> Vec<usize> {
    let (mut good, mut lonely) = (Vec::new(), Vec::new());
    for (first, leaves_one) in blocks(plan, free, count) {
        if leaves_one { lonely.push(first) } else { good.push(first) }
    }
    if good.is_empty() { lonely } else { good }
}

/// Where each block begins, and whether it leaves a single seat alone.
fn blocks(plan: &Plan, free: impl Fn(usize) -> bool, count: usize) -> impl Iterator<Item = (usize, bool)> {
    runs(plan, free).flat_map(move |(start, end)| {
        let firsts = start..(end + 1).saturating_sub(count);
        firsts.map(move |first| (first, first - start == 1 || end - first - count == 1))
    })
}

/// Runs of free seats that stand side by side in one row: from, and to (not included).
fn runs(plan: &Plan, free: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, usize)> {
    let (mut from, all) = (0, plan.seats.len());
    std::iter::from_fn(move || {
        let start = (from..all).find(|at| free(*at))?;
        let end = (start + 1..all).find(|at| !free(*at) || !neighbours(plan, at - 1, *at));
        from = end.unwrap_or(all);
        Some((start, from))
    })
}

fn neighbours(plan: &Plan, one: usize, next: usize) -> bool {
    let (one, next) = (&plan.seats[one], &plan.seats[next]);
    one.row == next.row && one.section == next.section && one.number + 1 == next.number
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::plan::plan_of;
    use super::*;

    #[test]
    fn a_block_stands_in_one_row_and_leaves_none_alone_where_it_can() {
        let plan = plan_of(&[("A", 6), ("B", 4)]);
        let cases: [(&str, usize, &[usize]); 12] = [
            ("..........", 1, &[0, 2, 3, 5, 6, 9]),
            ("..........", 2, &[0, 2, 4, 6, 8]),
            ("..........", 3, &[0, 3]),
            ("...x..xxxx", 2, &[4]),
            ("...xxxxxxx", 2, &[0, 1]),
            ("xx....xxxx", 3, &[2, 3]),
            ("x.x..xxxxx", 1, &[1]),
            ("xxxxx..xxx", 1, &[5, 6]),
            ("xxxxx..xxx", 2, &[]),
            ("..........", 4, &[0, 2, 6]),
            ("..........", 7, &[]),
            ("xxxxxxxxxx", 1, &[]),
        ];
        for (free, count, expected) in cases {
            let is_free = |at: usize| free.as_bytes()[at] == b'.';
            assert_eq!(all_together(&plan, is_free, count), expected, "{count} in {free}");
            assert_eq!(best_together(&plan, is_free, count), expected.first().copied(), "{count} in {free}");
        }
    }

    #[test]
    fn seats_with_a_gap_between_their_numbers_are_no_neighbours() {
        let mut seats = plan_of(&[("A", 4)]).seats;
        seats[2].number = 13;
        seats[3].number = 14;
        let plan = Plan::new(seats);
        assert_eq!(all_together(&plan, |_| true, 2), [0, 2]);
        assert!(all_together(&plan, |_| true, 3).is_empty());
    }

    #[test]
    fn whoever_wants_the_best_looks_no_further_than_there() {
        let plan = plan_of(&[("A", 4), ("B", 1_000)]);
        let looked = Cell::new(0);
        let free = |_: usize| {
            looked.set(looked.get() + 1);
            true
        };
        assert_eq!(best_together(&plan, free, 2), Some(0));
        assert!(looked.get() <= 5, "{} seats", looked.get());
    }
}
