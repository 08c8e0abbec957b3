//! One setting: its names, its range, and how it is read from text.

use std::{env, ops::RangeInclusive, str::FromStr};

use thiserror::Error;

/// One setting of `T`: where its value comes from, what it may be, and what it means.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting<T: 'static> {
    /// Its name: for the engine's settings, the field of [`Config`](crate::Config).
    pub name: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// The allowed values, in words.
    pub allowed: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Its value as a text that [`Setting::set`] takes.
    pub show: fn(&T) -> String,
    /// Sets it from a text; `None` if the text is not allowed.
    pub set: fn(&mut T, &str) -> Option<()>,
}

impl<T> Setting<T> {
    /// Sets it from `text`. `origin` is where the text comes from, such as a variable.
    ///
    /// # Errors
    /// The text is not allowed.
    pub fn apply(&self, target: &mut T, origin: &str, text: &str) -> Result<(), BadSetting> {
        (self.set)(target, text).ok_or_else(|| BadSetting {
            origin: origin.to_owned(),
            value: text.to_owned(),
            allowed: self.allowed,
        })
    }

    /// Sets it from its variable, if that is set.
    ///
    /// # Errors
    /// The variable's value is not allowed.
    pub fn apply_env(&self, target: &mut T) -> Result<(), BadSetting> {
        let Some(value) = env::var_os(self.variable) else {
            return Ok(());
        };
        let Some(text) = value.to_str() else {
            return Err(BadSetting {
                origin: self.variable.to_owned(),
                value: value.to_string_lossy().into_owned(),
                allowed: self.allowed,
            });
        };
        self.apply(target, self.variable, text)
    }
}

/// A value that a setting does not allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{origin} is `{value}`; allowed: {allowed}")]
#[non_exhaustive]
pub struct BadSetting {
    /// Where the value comes from.
    pub origin: String,
    /// The value.
    pub value: String,
    /// The allowed values, in words.
    pub allowed: &'static str,
}

/// Puts a value into its place, if there is one.
pub(crate) fn put<V>(place: &mut V, value: Option<V>) -> Option<()> {
    *place = value?;
    Some(())
}

/// A whole number within a range.
pub(crate) fn number<N: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<N>) -> Option<N> {
    text.parse().ok().filter(|number| range.contains(number))
}
