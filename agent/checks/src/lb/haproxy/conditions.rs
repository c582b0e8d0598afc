//! `.if`, `.elif`, `.else` and `.endif`: which lines HAProxy takes. What depends on its version, on how it was built or on
//! its environment cannot be known here; such lines are neither taken nor left out, and everybody asks first.

use super::variables::Variables;
use super::words::Word;

/// HAProxy's `MAXNESTEDCONDS`.
const DEPTH_MAX: usize = 16;
/// Brackets within a condition.
const BRACKETS_MAX: usize = 32;

/// Whether a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
    /// It cannot be known here.
    Perhaps,
}

/// What a line about conditions came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is no such line.
    Other,
    /// It was one.
    Done,
    /// It was one, whose condition cannot be known here.
    Unknown,
    /// HAProxy refuses it.
    Refused,
}

#[derive(Debug)]
struct Block {
    /// Of this branch.
    taken: Taken,
    /// Whether an earlier branch was taken.
    earlier: Taken,
    in_else: bool,
}

/// The open blocks of one file.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
}

impl Blocks {
    /// Whether a line at this place counts.
    pub(super) fn taken(&self) -> Taken {
        self.open.iter().fold(Taken::Yes, |all, block| both(all, block.taken))
    }

    /// Whether a block is still open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a line.
    pub(super) fn step(&mut self, line: &[Word], variables: &Variables) -> Step {
        let Some((first, rest)) = line.split_first() else { return Step::Other };
        let outer = self
            .open
            .split_last()
            .map_or(Taken::Yes, |(_, outer)| outer.iter().fold(Taken::Yes, |all, block| both(all, block.taken)));
        match first.text.as_str() {
            ".if" if self.open.len() + 1 >= DEPTH_MAX => Step::Refused,
            ".if" => {
                let lost = self.taken() == Taken::No;
                let taken = if lost { Taken::No } else { evaluate(rest, variables) };
                self.open.push(Block { taken, earlier: taken, in_else: false });
                told(taken)
            }
            ".elif" | ".else" => {
                let is_else = first.text == ".else";
                let Some(block) = self.open.last_mut().filter(|block| !block.in_else) else { return Step::Refused };
                let fits = if is_else || outer == Taken::No || block.earlier == Taken::Yes {
                    Taken::Yes
                } else {
                    evaluate(rest, variables)
                };
                block.taken = both(not(block.earlier), fits);
                block.earlier = not(both(not(block.earlier), not(fits)));
                block.in_else = is_else;
                if outer == Taken::No { Step::Done } else { told(block.taken) }
            }
            ".endif" => self.open.pop().map_or(Step::Refused, |_| Step::Done),
            _ => Step::Other,
        }
    }
}

fn told(taken: Taken) -> Step {
    if taken == Taken::Perhaps { Step::Unknown } else { Step::Done }
}

fn both(one: Taken, other: Taken) -> Taken {
    match (one, other) {
        (Taken::No, _) | (_, Taken::No) => Taken::No,
        (Taken::Yes, Taken::Yes) => Taken::Yes,
        (Taken::Perhaps, _) | (_, Taken::Perhaps) => Taken::Perhaps,
    }
}

fn not(one: Taken) -> Taken {
    match one {
        Taken::Yes => Taken::No,
        Taken::No => Taken::Yes,
        Taken::Perhaps => Taken::Perhaps,
    }
}

fn either(one: Taken, other: Taken) -> Taken {
    not(both(not(one), not(other)))
}

/// An expression: `||` of `&&` of terms. What is not understood is `Perhaps`.
fn evaluate(line: &[Word], variables: &Variables) -> Taken {
    if line.iter().any(|word| word.unknown.is_some()) {
        return Taken::Perhaps;
    }
    let text = line.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let mut rest = text.as_str();
    // An empty condition is false (configuration.txt, 2.4).
    if rest.is_empty() {
        return Taken::No;
    }
    match any_of(&mut rest, variables, BRACKETS_MAX) {
        Some(taken) if rest.trim().is_empty() => taken,
        Some(_) | None => Taken::Perhaps,
    }
}

fn any_of(rest: &mut &str, variables: &Variables, depth: usize) -> Option<Taken> {
    let mut taken = all_of(rest, variables, depth)?;
    while let Some(after) = rest.trim_start().strip_prefix("||") {
        *rest = after;
        taken = either(taken, all_of(rest, variables, depth)?);
    }
    Some(taken)
}

fn all_of(rest: &mut &str, variables: &Variables, depth: usize) -> Option<Taken> {
    let mut taken = term(rest, variables, depth)?;
    while let Some(after) = rest.trim_start().strip_prefix("&&") {
        *rest = after;
        taken = both(taken, term(rest, variables, depth)?);
    }
    Some(taken)
}

fn term(rest: &mut &str, variables: &Variables, depth: usize) -> Option<Taken> {
    let depth = depth.checked_sub(1)?;
    let text = rest.trim_start();
    let plain = text.trim_start_matches(['!', ' ', '\t']);
    let negated = text.get(..text.len() - plain.len())?.matches('!').count() % 2 == 1;
    let taken = if let Some(inside) = plain.strip_prefix('(') {
        *rest = inside;
        let taken = any_of(rest, variables, depth)?;
        *rest = rest.trim_start().strip_prefix(')')?;
        taken
    } else if plain.starts_with(|first: char| first.is_ascii_digit()) {
        let digits = plain.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = plain.split_at(digits);
        *rest = after;
        if number.bytes().all(|digit| digit == b'0') { Taken::No } else { Taken::Yes }
    } else {
        let (name, after) = plain.split_once('(')?;
        let (inside, after) = after.split_once(')')?;
        *rest = after;
        predicate(name.trim(), inside, variables)
    };
    Some(if negated { not(taken) } else { taken })
}

/// What can be told of a predicate without HAProxy itself: what was set, and what is equal.
fn predicate(name: &str, inside: &str, variables: &Variables) -> Taken {
    let arguments: Vec<&str> = inside.split(',').collect();
    let sure = |is: bool| if is { Taken::Yes } else { Taken::No };
    match (name, arguments.as_slice()) {
        // What was never set here may be set in the environment.
        ("defined", [one]) if variables.get(one).is_some() => Taken::Yes,
        ("streq", [one, other]) => sure(one == other),
        ("strneq", [one, other]) => sure(one != other),
        ("strstr", [one, other]) => sure(one.contains(other)),
        _ => Taken::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::words::split;
    use super::*;

    fn taken(condition: &str) -> Taken {
        let mut variables = Variables::default();
        variables.set("SITE", "east");
        evaluate(&split(condition.as_bytes(), &variables).unwrap(), &variables)
    }

    #[test]
    fn lb_01_conditions_are_told_or_left_open_never_guessed() {
        for (condition, expected) in [
            ("1", Taken::Yes),
            ("0", Taken::No),
            ("", Taken::No),
            ("!0", Taken::Yes),
            ("defined(SITE)", Taken::Yes),
            ("defined(OTHER)", Taken::Perhaps),
            ("!defined(OTHER)", Taken::Perhaps),
            (r#"streq("$SITE",east)"#, Taken::Yes),
            (r#"streq("$SITE",west)"#, Taken::No),
            (r#"strneq("$SITE",west) && 1"#, Taken::Yes),
            (r#"streq("$OTHER",west)"#, Taken::Perhaps),
            ("version_atleast(2.4)", Taken::Perhaps),
            ("version_atleast(2.4) && 0", Taken::No),
            ("version_atleast(2.4) || 1", Taken::Yes),
            ("( 0 || 1 ) && !( 0 )", Taken::Yes),
            ("feature(OPENSSL)", Taken::Perhaps),
            ("nonsense", Taken::Perhaps),
            (&"(".repeat(5000), Taken::Perhaps),
        ] {
            assert_eq!(taken(condition), expected, "{condition:.40}");
        }
    }

    #[test]
    fn lb_01_branches_follow_each_other() {
        let variables = Variables::default();
        let mut blocks = Blocks::default();
        let mut take = |line: &str| {
            let step = blocks.step(&split(line.as_bytes(), &variables).unwrap(), &variables);
            (step, blocks.taken())
        };
        for (line, step, state) in [
            (".if 0", Step::Done, Taken::No),
            (".if feature(X)", Step::Done, Taken::No),
            (".else", Step::Done, Taken::No),
            (".endif", Step::Done, Taken::No),
            (".elif 1", Step::Done, Taken::Yes),
            (".else", Step::Done, Taken::No),
            (".elif 1", Step::Refused, Taken::No),
            (".endif", Step::Done, Taken::Yes),
            (".if feature(X)", Step::Unknown, Taken::Perhaps),
            (".elif 0", Step::Done, Taken::No),
            (".else", Step::Unknown, Taken::Perhaps),
            (".endif", Step::Done, Taken::Yes),
            (".endif", Step::Refused, Taken::Yes),
            ("mode http", Step::Other, Taken::Yes),
        ] {
            assert_eq!(take(line), (step, state), "{line}");
        }
    }
}
