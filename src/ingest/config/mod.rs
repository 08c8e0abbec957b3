//! The settings of a pipeline: their values, and a table of their names, ranges and meanings.

mod values;
mod setting;
mod settings;
mod proxy;
mod secret;

#[cfg(feature = "cli")]
pub(crate) use self::setting::{number, put};
pub(crate) use self::settings::{RATE_MAX, WORKERS_MAX};
pub use self::{
    proxy::HttpProxy,
    setting::{BadSetting, Heading, Setting},
    settings::SETTINGS,
    values::Config,
};
pub(crate) use self::{proxy::ProxyServer, secret::presentable, setting::variable};
