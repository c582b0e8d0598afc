//! What led to an error, as one text.

use std::error::Error;

/// An error with its causes, none of them twice: some name their cause already.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_named_once() {
        let error = anyhow!("refused").context("port 1: refused").context("the provider is away");
        assert_eq!(with_causes(error.as_ref()), "the provider is away: port 1: refused");
        assert_eq!(with_causes(anyhow!("alone").as_ref()), "alone");
    }
}
