//! Conditions in the Common Expression Language, within bounds: the engine itself has none on what an evaluation costs.
//!
//! A source has a kilobyte at most, is no deeper than [`DEPTH_MAX`], calls only what is listed here, and has no macro
//! inside another one, so that what it costs is at most the length of a list times the length of the source. What is
//! left over (a text compared with itself for every item of a list) is ended by the checker's limits. The only file
//! that knows the engine. It must never be evaluated in a process that may do more than look.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the engine's values: how many kinds there are depends on its features"
)]

use crate::words;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Program, Value};
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;

/// Bytes of one source.
pub(crate) const SOURCE_BYTES_MAX: usize = 1024;
/// Brackets within brackets; the parser's memory grows with them.
const DEPTH_MAX: u16 = 24;
/// Additions in one source: of lists each is a copy.
const ADDITIONS_MAX: usize = 4;
/// Items of one list.
pub(crate) const ITEMS_MAX: usize = 10_000;

/// What may go over a list; never one inside another.
const MACROS: &[&str] = &["all", "exists", "filter"];
/// What may be called besides.
const FUNCTIONS: &[&str] = &[
    "size",
    "has",
    "int",
    "double",
    "string",
    "startsWith",
    "endsWith",
    "contains",
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "_-_",
    "_+_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "-_",
    "_[_]",
    "@in",
];

/// A condition or a value, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Rule {
    program: Program,
}

impl Rule {
    /// Compiles a source.
    ///
    /// # Errors
    /// One sentence about what is wrong with it.
    pub(crate) fn new(source: &str) -> Result<Self, Words> {
        let bytes = source.len();
        if bytes > SOURCE_BYTES_MAX {
            return Err(words!(
                "the expression has {bytes} bytes, {SOURCE_BYTES_MAX} at most are taken; split it with let",
                "表达式有 {bytes} 字节，上限 {SOURCE_BYTES_MAX}，请用 let 拆分"
            ));
        }
        let not_understood = |why: &str| {
            let (source, why) = (one_line(source, 80), first_line(why));
            words!("{source:?} is no expression: {why}", "{source:?} 不是有效的表达式：{why}")
        };
        // Without macros, so that what was written can be looked at.
        let written = Env::default().parser().max_recursion_depth(DEPTH_MAX).parse(source);
        let written = written.map_err(|error| not_understood(&error.to_string()))?;
        let mut walk = Walk::default();
        walk.look(&written, false)?;
        let program = Env::stdlib().compile(source).map_err(|error| not_understood(&error.to_string()))?;
        Ok(Self { program })
    }

    fn value(&self, inputs: &Inputs<'_>) -> Result<Value, Words> {
        self.program.execute(&inputs.0).map_err(|error| {
            let why = one_line(&error.to_string(), 200);
            words!("an expression has no value: {why}", "表达式无法求值：{why}")
        })
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// It has no value, or one that is neither true nor false.
    pub(crate) fn holds(&self, inputs: &Inputs<'_>) -> Result<bool, Words> {
        match self.value(inputs)? {
            Value::Bool(holds) => Ok(holds),
            other => {
                let kind = other.type_of();
                Err(words!("a condition is {kind}, neither true nor false", "条件的值是 {kind}，既不为真也不为假"))
            }
        }
    }

    /// Its value as a text for people.
    ///
    /// # Errors
    /// It has none.
    pub(crate) fn text(&self, inputs: &Inputs<'_>) -> Result<String, Words> {
        Ok(as_text(&self.value(inputs)?))
    }

    /// Its value as a number.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn number(&self, inputs: &Inputs<'_>) -> Result<f64, Words> {
        let value = self.value(inputs)?;
        as_number(&value).ok_or_else(|| {
            let kind = value.type_of();
            words!("a value is {kind} where a number is needed", "此处需要数值，得到的是 {kind}")
        })
    }

    /// Adds its value to `inputs` as `name`.
    ///
    /// # Errors
    /// It has none, or is no single value.
    pub(crate) fn name(&self, name: &str, inputs: &mut Inputs<'_>) -> Result<(), Words> {
        let value = self.value(inputs)?;
        // What is made of lists could double with every let.
        if matches!(value, Value::List(_) | Value::Map(_)) || as_text(&value).len() > TEXT_BYTES_MAX {
            return Err(words!(
                "let {name} is a list, a map or a long text; only single values can be named",
                "let {name} 是列表、映射或过长的文本，只能命名单个值"
            ));
        }
        inputs.0.add_variable_from_value(name, value);
        Ok(())
    }

    /// Its value as a list.
    ///
    /// # Errors
    /// It is none, or too long.
    pub(crate) fn items(&self, inputs: &Inputs<'_>) -> Result<Vec<Item>, Words> {
        match self.value(inputs)? {
            Value::List(items) if items.len() <= ITEMS_MAX => Ok(items.iter().cloned().map(Item).collect()),
            Value::List(items) => {
                let count = items.len();
                Err(words!(
                    "a list has {count} items, {ITEMS_MAX} at most are taken",
                    "列表有 {count} 项，上限 {ITEMS_MAX}"
                ))
            }
            other => {
                let kind = other.type_of();
                Err(words!("for_each is {kind}, not a list", "for_each 是 {kind}，不是列表"))
            }
        }
    }
}

/// A text that a `let` may name.
const TEXT_BYTES_MAX: usize = 4096;

/// One item of a list.
#[derive(Debug)]
pub(crate) struct Item(Value);

impl Item {
    fn get(&self, key: &str) -> Option<&Value> {
        match &self.0 {
            Value::Map(map) => map.map.get(&cel::objects::Key::from(key)),
            _ => None,
        }
    }

    /// What it is called, when it says so.
    pub(crate) fn name(&self) -> String {
        self.get("name").map(as_text).map(|name| one_line(&name, 200)).unwrap_or_default()
    }

    /// Where it stands in a file, and what stands there, when it says so.
    pub(crate) fn place(&self) -> Option<(String, String)> {
        let (file, line) = (as_text(self.get("file")?), as_text(self.get("line")?));
        Some((format!("{file}:{line}"), self.get("text").map(as_text).unwrap_or_default()))
    }
}

/// What expressions see.
pub(crate) struct Inputs<'a>(Context<'a, 'a>);

impl std::fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inputs")
    }
}

impl Inputs<'static> {
    /// The fields of a map, each by its name.
    ///
    /// # Errors
    /// A list is too long, or a value cannot be taken.
    pub(crate) fn new(map: serde_json::Map<String, serde_json::Value>) -> Result<Self, Words> {
        let mut context = Context::with_env(std::sync::Arc::new(Env::stdlib()));
        for (name, value) in map {
            let value = taken(&value)?;
            context.add_variable_from_value(name, value);
        }
        Ok(Self(context))
    }
}

impl<'a> Inputs<'a> {
    /// These, and `item`.
    pub(crate) fn with_item(&'a self, item: Option<Item>) -> Self {
        let mut inner = self.0.new_inner_scope();
        if let Some(Item(item)) = item {
            inner.add_variable_from_value("item", item);
        }
        Self(inner)
    }
}

fn taken(value: &serde_json::Value) -> Result<Value, Words> {
    if let serde_json::Value::Array(items) = value
        && items.len() > ITEMS_MAX
    {
        let count = items.len();
        return Err(words!(
            "a list has {count} items, {ITEMS_MAX} at most are taken",
            "列表有 {count} 项，上限 {ITEMS_MAX}"
        ));
    }
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        // Not to_value: it makes unsigned numbers of what is positive, which do not mix with literals.
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(text.clone().into()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(taken).collect::<Result<Vec<_>, _>>()?.into()),
        serde_json::Value::Object(map) => {
            let map = map.iter().map(|(key, value)| Ok((key.clone(), taken(value)?)));
            map.collect::<Result<std::collections::HashMap<_, _>, Words>>()?.into()
        }
    })
}

fn as_number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a number for people")]
    match value {
        Value::Int(whole) => Some(*whole as f64),
        Value::UInt(whole) => Some(*whole as f64),
        Value::Float(number) => Some(*number).filter(|number| number.is_finite()),
        _ => None,
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(whole) => whole.to_string(),
        Value::UInt(whole) => whole.to_string(),
        Value::Float(number) => {
            let text = format!("{number:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Value::Null => "-".to_owned(),
        Value::List(items) => {
            let few: Vec<_> = items.iter().take(5).map(as_text).collect();
            let more = if items.len() > 5 { format!(", … ({})", items.len()) } else { String::new() };
            format!("{}{more}", few.join(", "))
        }
        other => format!("({})", other.type_of()),
    }
}

fn first_line(text: &str) -> String {
    one_line(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default(), 160)
}

/// A look at what was written.
#[derive(Debug, Default)]
struct Walk {
    additions: usize,
}

impl Walk {
    fn look(&mut self, expression: &IdedExpr, inside: bool) -> Result<(), Words> {
        match &expression.expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(()),
            Expr::Select(select) => self.look(&select.operand, inside),
            Expr::List(list) => list.elements.iter().try_for_each(|one| self.look(one, inside)),
            Expr::Call(call) => self.call(call, inside),
            Expr::Map(map) => {
                map.entries.iter().try_for_each(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        self.look(&entry.key, inside).and_then(|()| self.look(&entry.value, inside))
                    }
                    EntryExpr::StructField(field) => self.look(&field.value, inside),
                })?;
                Err(words!("an expression may not make maps", "表达式不能构造映射"))
            }
            Expr::Comprehension(_) | Expr::Struct(_) => {
                Err(words!("an expression may not make objects", "表达式不能构造对象"))
            }
        }
    }

    fn call(&mut self, call: &cel::common::ast::CallExpr, inside: bool) -> Result<(), Words> {
        let name = call.func_name.as_str();
        let is_macro = MACROS.contains(&name);
        if is_macro && inside {
            return Err(words!(
                "{name} stands inside another all, exists or filter; one level is all there is, take a second check or let",
                "{name} 嵌套在另一个 all、exists 或 filter 中；只允许一层，请改用另一项检查或 let"
            ));
        }
        if !is_macro && !FUNCTIONS.contains(&name) {
            let name = one_line(name, 40);
            return Err(words!(
                "there is no {name} here; there are all, exists, filter, has, size, contains, startsWith, endsWith, int, double and string",
                "此处没有 {name}；可用：all、exists、filter、has、size、contains、startsWith、endsWith、int、double、string"
            ));
        }
        if name == "@in" && inside {
            return Err(words!(
                "`in` goes over a list and may not stand inside all, exists or filter",
                "`in` 会遍历列表，不能出现在 all、exists 或 filter 中"
            ));
        }
        self.additions += usize::from(name == "_+_");
        if self.additions > ADDITIONS_MAX {
            return Err(words!(
                "more than {ADDITIONS_MAX} additions in one expression; split it with let",
                "一个表达式中的加法超过 {ADDITIONS_MAX} 次，请用 let 拆分"
            ));
        }
        if let Some(target) = &call.target {
            // What a macro goes over counts as inside: a list of a list.
            self.look(target, inside || is_macro)?;
        }
        call.args.iter().try_for_each(|one| self.look(one, inside || is_macro))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn inputs(value: serde_json::Value) -> Inputs<'static> {
        let serde_json::Value::Object(map) = value else { panic!("a map") };
        Inputs::new(map).unwrap()
    }

    #[test]
    fn conditions_are_what_they_say() {
        let inputs = inputs(json!({
            "a": 5, "b": 2.5, "text": "web1", "list": [1, 2, 3], "param": {"rto_s": 900}, "v": {"vm.swappiness": 60},
        }));
        for (source, expected) in [
            ("a > 4", true),
            ("a > 4.5", true),
            ("b < 3", true),
            ("b * 2.0 == 5.0", true),
            ("param.rto_s * 1000 == 900000", true),
            ("double(a) / 2.0 == b", true),
            ("text == 'web1' && text.startsWith('web')", true),
            ("list.all(x, x > 0) && list.exists(x, x == 3)", true),
            ("size(list.filter(x, x > 1)) == 2", true),
            ("2 in list", true),
            ("has(param.other)", false),
            ("v['vm.swappiness'] > 10", true),
            ("a > 4 ? b > 100.0 : true", false),
            ("text in ['web1', 'web2']", true),
        ] {
            assert_eq!(Rule::new(source).unwrap().holds(&inputs), Ok(expected), "{source}");
        }
        for (source, part) in [
            ("missing > 1", "missing"),
            ("a.b > 1", "no value"),
            ("a", "neither"),
            ("text > 1", "overload"),
            ("a / 0 == 1", "zero"),
        ] {
            let why = Rule::new(source).unwrap().holds(&inputs).unwrap_err();
            assert!(why.en.contains(part), "{source}: {}", why.en);
        }
    }

    #[test]
    fn cel_limits_what_costs_too_much_is_refused_when_it_is_loaded() {
        let maps = |levels: usize| format!("{}1{}", "l.map(x, ".repeat(levels), ")".repeat(levels));
        for (source, part) in [
            (maps(7), "no map here"),
            (maps(1), "no map here"),
            ("l.exists_one(x, x > 1)".into(), "no exists_one"),
            ("l.all(x, l.all(y, y == x))".into(), "inside another"),
            ("l.filter(x, x > 1).all(y, true)".into(), "inside another"),
            ("l.all(x, x in l)".into(), "`in` goes over"),
            ("l.all(x, [l.exists(y, true)] == l)".into(), "inside another"),
            ("l.all(x, x.a[l.exists(y, true)])".into(), "inside another"),
            (format!("l{}", "+l".repeat(20)), "additions"),
            ("{'a': 1}".into(), "make maps"),
            ("a.B{c: 1}".into(), "make objects"),
            ("x.matches('a*')".into(), "no matches"),
            ("x.".into(), "no expression"),
            ("a == ".into(), "no expression"),
            (String::new(), "no expression"),
            ("(".repeat(200) + "1" + &")".repeat(200), "no expression"),
            ("[".repeat(300) + &"]".repeat(300), "no expression"),
            ("x".repeat(1025), "1025 bytes"),
        ] {
            let why = Rule::new(&source).err().unwrap_or_else(|| panic!("{source} was taken"));
            assert!(why.en.contains(part), "{source}: {}", why.en);
        }
    }

    #[test]
    fn cel_limits_a_list_is_bounded_and_a_let_cannot_double() {
        assert!(Inputs::new([("l".to_owned(), json!(vec![1; 10_001]))].into_iter().collect()).is_err());
        let mut inputs = inputs(json!({"l": [1], "t": "x".repeat(5000)}));
        for source in ["l + l", "t", "t + t"] {
            assert!(Rule::new(source).unwrap().name("n", &mut inputs).is_err(), "{source}");
        }
        Rule::new("size(l) + 1").unwrap().name("n", &mut inputs).unwrap();
        assert_eq!(Rule::new("n == 2").unwrap().holds(&inputs), Ok(true));
    }

    /// The worst that a kilobyte could be made to do here, within the second that a debug build needs.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test measures what an evaluation costs")]
    fn cel_limits_a_kilobyte_at_its_worst_is_over_soon() {
        let row = json!({"a": "x".repeat(1000)});
        let inputs = inputs(json!({"l": vec![row; 10_000]}));
        let before = peak();
        let body = "x.a==x.a&&";
        let most = |body: &str| body.repeat((SOURCE_BYTES_MAX - 20) / body.len());
        for source in [
            format!("l.all(x,{}true)", most(body)),
            format!("l.all(x,{}true)", most("size(x)>0&&")),
            format!("size(l{})>0", "+l".repeat(ADDITIONS_MAX)),
            format!("{}true", most("l==l&&")),
            format!("{}true", "!".repeat(1000)),
            format!("l{}", ".a".repeat(500)),
            format!("{}1", most("1+").get(..30).unwrap_or_default()),
            format!("{}1", "-".repeat(1000)),
        ] {
            let since = std::time::Instant::now();
            if let Ok(rule) = Rule::new(&source) {
                rule.holds(&inputs).ok();
            }
            let secs = since.elapsed().as_secs_f64();
            eprintln!("{secs:.3} s: {}", &source[..source.len().min(40)]);
            assert!(secs < 20.0, "{source}: {secs}");
        }
        let grown = (peak() - before) >> 10;
        eprintln!("{grown} MiB more at the peak");
        assert!(grown < 150, "{grown} MiB");
    }

    /// The most memory that this process has had, in KiB.
    fn peak() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whoever loads packs compiles, perhaps as root: no source may take its memory or its time.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test measures what compiling costs")]
    fn cel_limits_no_kilobyte_is_a_bomb_for_the_parser() {
        let tokens = [
            "(", ")", "[", "]", "{", "}", "a", "1", "'", "\"", ".", ",", "?", ":", "!", "-", "+", "&&", "||", "<",
            " in ", "a(", "a.b", "\\", "é", "\n",
        ];
        let before = peak();
        let mut worst = (0.0, String::new());
        for one in tokens {
            for other in tokens {
                let motif = format!("{one}{other}");
                let mut source = motif.repeat(SOURCE_BYTES_MAX / motif.len());
                let since = std::time::Instant::now();
                drop(Rule::new(&source));
                source.truncate(source.floor_char_boundary(SOURCE_BYTES_MAX - 1));
                drop(Rule::new(&format!("{source}1")));
                let secs = since.elapsed().as_secs_f64();
                if secs > worst.0 {
                    worst = (secs, motif);
                }
            }
        }
        let grown = (peak() - before) >> 10;
        eprintln!("worst {worst:?}, {grown} MiB more at the peak");
        assert!(worst.0 < 5.0 && grown < 100, "{worst:?} {grown} MiB");
    }
}
