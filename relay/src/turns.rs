//! Places that do not suffice for all: one of each owner after the other, so that nobody's many leave none for others.

use std::collections::HashMap;
use std::hash::Hash;

/// All, in turn: the first of each owner, then the second of each, and so on. Within a turn they stay in order.
pub(crate) fn in_turn<T, O: Eq + Hash>(mut all: Vec<T>, owner: impl Fn(&T) -> O) -> Vec<T> {
    let mut turns: HashMap<O, usize> = HashMap::new();
    all.sort_by_cached_key(|one| {
        let turn = turns.entry(owner(one)).or_default();
        *turn += 1;
        *turn
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_owner_after_the_other() {
        let all = vec!["a1", "a2", "b1", "a3", "c1", "b2"];
        assert_eq!(in_turn(all, |one| one.chars().next()), ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert!(in_turn(Vec::<u8>::new(), |one| *one).is_empty());
    }
}
