//! The settings of a pipeline: their values, and a table of their names, ranges and meanings.

mod values;
mod setting;
mod settings;

pub use self::{
    setting::{BadSetting, Heading, Setting},
    settings::SETTINGS,
    values::Config,
};
#[cfg(feature = "cli")]
pub(crate) use self::{
    setting::{number, put},
    settings::WORKERS_MAX,
};
