//! Every sentence that this client says, in two languages under one name.
//!
//! A sentence says what happened, what it means, what to do next. Values that came from somewhere else are made safe
//! for one line of a screen when they are put in. Refusals of a server have their own table in the protocol crate.

use cloud_doctor_proto::refusal::{Language, one_line};
use std::fmt::Display;

/// Longest value shown inside a sentence: an enrol command fits.
const VALUE_CHARS_MAX: usize = 2000;

/// A sentence with its values, not yet in a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// Which sentence.
    pub id: Id,
    /// English, Chinese: the same in both but where it has words of its own.
    values: Vec<[String; 2]>,
}

impl Say {
    /// The text in a language.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        fill(self.id.template(language), &self.values, language)
    }

    /// With one more value, which reads differently in each language.
    #[must_use]
    pub fn and(mut self, value: impl Fn(Language) -> String) -> Self {
        self.values.push([Language::En, Language::Zh].map(|language| one_line(&value(language), VALUE_CHARS_MAX)));
        self
    }
}

impl From<Id> for Say {
    fn from(id: Id) -> Self {
        Self { id, values: Vec::new() }
    }
}

impl Display for Say {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(Language::En))
    }
}

/// What can be said to a person: an error, for example.
pub trait Sentence {
    /// The sentence.
    fn sentence(&self) -> Say;

    /// The text in a language. Refusals by a server bring their own words.
    fn text(&self, language: Language) -> String {
        self.sentence().text(language)
    }
}

impl Sentence for Say {
    fn sentence(&self) -> Say {
        self.clone()
    }
}

fn fill(template: &str, values: &[[String; 2]], language: Language) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((index, tail)) = after.split_once('}') else {
            break;
        };
        let value = index.parse::<usize>().ok().and_then(|index| values.get(index));
        out.push_str(value.map_or("", |[en, zh]| match language {
            Language::En => en,
            Language::Zh => zh,
        }));
        rest = tail;
    }
    out.push_str(rest);
    out.trim_end().to_owned()
}

macro_rules! messages {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// Names of the sentences.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Id { $(#[doc = $en] $name,)* }

        impl Id {
            /// All of them, for tests that must not forget one.
            pub const ALL: &'static [Id] = &[$(Id::$name,)*];

            pub(super) fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Id::$name, Language::En) => $en, (Id::$name, Language::Zh) => $zh,)*
                }
            }
        }
    };
}

mod table;

pub use table::Id;

impl Id {
    /// With values for `{0}`, `{1}`, …
    #[must_use]
    pub fn with(self, values: &[&dyn Display]) -> Say {
        let value = |value: &&dyn Display| one_line(&value.to_string(), VALUE_CHARS_MAX);
        Say { id: self, values: values.iter().map(value).map(|value| [value.clone(), value]).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_has_two_languages_with_the_same_values() {
        for id in Id::ALL {
            let (en, zh) = (id.template(Language::En), id.template(Language::Zh));
            for i in 0..6 {
                let value = format!("{{{i}}}");
                assert_eq!(en.contains(&value), zh.contains(&value), "{id:?} {value}");
            }
            assert!(!zh.is_ascii(), "{id:?}");
        }
    }

    #[test]
    fn a_value_with_words_of_its_own_is_in_the_sentences_language() {
        let said = Id::HomeFile.with(&[&"file"]).and(|language| format!("{language:?}"));
        assert_eq!(said.text(Language::En), "file: En");
        assert_eq!(said.text(Language::Zh), "文件 file\u{ff1a}Zh");
    }

    #[test]
    fn values_cannot_draw_on_the_screen() {
        let said = Id::RelayUnreachable.with(&[&"a\x1b[2J\nb", &"why {0}"]).text(Language::En);
        assert!(said.contains("a\\u{1b}[2J\\u{a}b") && said.contains("why {0}"), "{said}");
    }
}
