//! An nginx configuration as a tree of directives, each with the line where it stands. Includes are in their place, as
//! nginx sees them. Inheritance is looked up here: the innermost block that says something wins.

use crate::lb::Place;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest text of a directive when it is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    /// What stands between its braces; empty for what is not kept (maps, Lua).
    pub(crate) block: Option<Vec<Directive>>,
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
}

impl Directive {
    /// An argument.
    pub(crate) fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).map(String::as_str)
    }

    /// The value of an argument `key=value`.
    pub(crate) fn value_of(&self, key: &str) -> Option<&str> {
        self.args.iter().find_map(|arg| arg.strip_prefix(key)?.strip_prefix('='))
    }

    /// Whether a word is among its arguments.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.args.iter().any(|arg| arg == word)
    }

    /// The directives of a name in its block.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Directive> {
        self.block.iter().flatten().filter(move |directive| directive.name == name)
    }

    /// The one that counts when there are several.
    pub(crate) fn last<'a>(&'a self, name: &'a str) -> Option<&'a Directive> {
        self.all(name).next_back()
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> Place {
        let mut text = self.name.clone();
        for arg in &self.args {
            if text.len() > SHOWN_CHARS_MAX {
                break;
            }
            text.push(' ');
            text.push_str(arg);
        }
        let text = text.chars().take(SHOWN_CHARS_MAX).collect();
        Place { file: self.file.to_string(), line: self.line, text }
    }
}

/// Directives by their name.
type Named<'a> = BTreeMap<&'a str, Arc<[&'a Directive]>>;

/// What holds where a directive stands.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a> {
    /// The blocks around it, outermost first.
    pub(crate) chain: Vec<&'a Directive>,
    own: Arc<Named<'a>>,
    all: Arc<Named<'a>>,
}

impl<'a> Scope<'a> {
    /// The directives of a name in the innermost block that has any.
    pub(crate) fn inherited(&self, name: &str) -> &[&'a Directive] {
        self.all.get(name).map_or(&[], |found| found)
    }

    /// The directives of a name in the block itself.
    pub(crate) fn own(&self, name: &str) -> &[&'a Directive] {
        self.own.get(name).map_or(&[], |found| found)
    }

    /// What holds in the block that `directive` is. Each block is looked through once, however many ask.
    fn inside(&self, directive: &'a Directive, block: &'a [Directive], wanted: fn(&str) -> bool) -> Self {
        let mut own: BTreeMap<&str, Vec<&Directive>> = BTreeMap::new();
        for one in block.iter().filter(|one| wanted(&one.name)) {
            own.entry(&one.name).or_default().push(one);
        }
        let own: Named<'a> = own.into_iter().map(|(name, found)| (name, found.into())).collect();
        let mut all = self.all.clone();
        if !own.is_empty() {
            Arc::make_mut(&mut all).extend(own.iter().map(|(name, found)| (*name, found.clone())));
        }
        let chain = self.chain.iter().copied().chain([directive]).collect();
        Self { chain, own: Arc::new(own), all }
    }
}

/// Calls `visit` with every directive and what holds where it stands, of the names that are `wanted`. The reader bounds
/// the depth.
pub(crate) fn visit_scopes<'a>(
    tree: &'a [Directive],
    wanted: fn(&str) -> bool,
    visit: &mut dyn FnMut(&Scope<'a>, &'a Directive),
) {
    fn below<'a>(
        tree: &'a [Directive],
        scope: &Scope<'a>,
        wanted: fn(&str) -> bool,
        visit: &mut dyn FnMut(&Scope<'a>, &'a Directive),
    ) {
        for directive in tree {
            visit(scope, directive);
            if let Some(block) = &directive.block {
                below(block, &scope.inside(directive, block, wanted), wanted, visit);
            }
        }
    }
    let outside = Scope { chain: Vec::new(), own: Arc::default(), all: Arc::default() };
    below(tree, &outside, wanted, visit);
}

/// The same where only the blocks around it matter.
pub(crate) fn visit<'a>(tree: &'a [Directive], visit: &mut dyn FnMut(&[&'a Directive], &'a Directive)) {
    visit_scopes(tree, |_| false, &mut |scope, directive| visit(&scope.chain, directive));
}

/// A time as `ngx_parse_time` reads it, in seconds: `1m30s`, `500ms`, a bare number is seconds. Whether milliseconds are
/// allowed depends on the directive.
pub(crate) fn secs(text: &str, with_millis: bool) -> Option<f64> {
    let mut rest = text.trim();
    let (mut total, mut order) = (0.0, f64::INFINITY);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at_checked(digits)?;
        let number = f64::from(number.parse::<u32>().ok()?);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at_checked(letters)?;
        let factor = match unit {
            "y" => 31_536_000.0,
            "M" => 2_592_000.0,
            "w" => 604_800.0,
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "" if behind.trim().is_empty() => 1.0,
            "ms" if with_millis => 0.001,
            _ => return None,
        };
        // From large to small, each once.
        if factor >= order {
            return None;
        }
        order = factor;
        total += number * factor;
        rest = behind.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lb_14_times_are_read_as_nginx_reads_them() {
        for (text, millis, expected) in [
            ("10", false, Some(10.0)),
            ("10s", false, Some(10.0)),
            ("1m30s", false, Some(90.0)),
            ("1h 30m", false, Some(5400.0)),
            ("300ms", true, Some(0.3)),
            ("300ms", false, None),
            ("1s500ms", true, Some(1.5)),
            ("30s1m", false, None),
            ("1M", false, Some(2_592_000.0)),
            ("", false, None),
            ("s", false, None),
            ("5.5s", false, None),
            ("-1", false, None),
            ("99999999999", false, None),
            ("1s中", false, None),
        ] {
            assert_eq!(secs(text, millis), expected, "{text}");
        }
    }
}
