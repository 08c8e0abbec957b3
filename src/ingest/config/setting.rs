//! A setting: its name, its variable, its allowed values, and how it is read from text.

use std::{env, ffi::OsString, ops::RangeInclusive, str::FromStr};

use thiserror::Error;

use super::secret::presentable;

/// A setting whose value is stored in a `T`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting<T: 'static> {
    /// Its name. For the engine's settings, this is the field of [`Config`](crate::Config).
    pub name: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// What it belongs to.
    pub heading: Heading,
    /// The allowed values, in words.
    pub allowed: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Formats its value as a text that [`Setting::set`] accepts.
    pub show: fn(&T) -> String,
    /// Sets its value from a text. Returns `None` if the text is not allowed.
    pub set: fn(&mut T, &str) -> Option<()>,
}

/// What a setting belongs to. Help shows the settings of one heading together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heading {
    /// One command or a few: such a setting is shown with the command's own flags.
    Command,
    /// Where records come from.
    Api,
    /// The actors, and what one attempt may take.
    Pipeline,
    /// How often and how fast the API is asked.
    RetriesAndRate,
    /// Where records go to.
    Database,
    /// What the program shows.
    Output,
}

impl Heading {
    /// Its title in help. `None` if the settings have no heading of their own.
    pub fn title(self) -> Option<&'static str> {
        match self {
            Self::Command => None,
            Self::Api => Some("API"),
            Self::Pipeline => Some("Pipeline"),
            Self::RetriesAndRate => Some("Retries and rate"),
            Self::Database => Some("Database"),
            Self::Output => Some("Output"),
        }
    }
}

impl<T> Setting<T> {
    /// Sets its value from `text`. `origin` says where the text comes from, for the error; for example, it names a variable.
    ///
    /// # Errors
    /// The text is not allowed.
    pub fn apply(&self, target: &mut T, origin: &str, text: &str) -> Result<(), BadSetting> {
        (self.set)(target, text).ok_or_else(|| BadSetting {
            origin: origin.to_owned(),
            value: presentable(text),
            allowed: self.allowed,
        })
    }

    /// Sets its value from its environment variable, if that exists and is not empty. Returns whether it does.
    ///
    /// # Errors
    /// The variable's value is not allowed.
    pub fn apply_env(&self, target: &mut T) -> Result<bool, BadSetting> {
        let Some(value) = variable(self.variable) else {
            return Ok(false);
        };
        let Some(text) = value.to_str() else {
            return Err(BadSetting {
                origin: self.variable.to_owned(),
                value: presentable(&value.to_string_lossy()),
                allowed: self.allowed,
            });
        };
        self.apply(target, self.variable, text).map(|()| true)
    }
}

/// The value of an environment variable. An empty one counts as unset.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A value that a setting does not allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{origin} is `{value}`; allowed: {allowed}")]
#[non_exhaustive]
pub struct BadSetting {
    /// Where the value comes from.
    pub origin: String,
    /// The value, without the password of a URL.
    pub value: String,
    /// The allowed values, in words.
    pub allowed: &'static str,
}

/// Assigns a value to a field, if there is a value.
pub(crate) fn put<V>(field: &mut V, value: Option<V>) -> Option<()> {
    *field = value?;
    Some(())
}

/// Reads a whole number within a range.
pub(crate) fn number<N: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<N>) -> Option<N> {
    text.parse().ok().filter(|number| range.contains(number))
}
