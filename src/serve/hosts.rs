//! Which names a server answers to.
//!
//! A page of any site can have its own name lead to 127.0.0.1, and then a browser lets it read what a server there answers (DNS
//! rebinding). Such a request carries the site's name as its `Host`. An address is no name, so it is always allowed.

use std::net::IpAddr;

/// The names that a request may ask for.
pub(super) struct AllowedHosts {
    /// In lower case, without a port.
    names: Vec<String>,
    /// Whether every name is allowed.
    any: bool,
}

impl AllowedHosts {
    /// `names` are allowed in addition to `localhost` and addresses. Without any, a server that others can reach answers to all.
    pub(super) fn new(address: IpAddr, names: &[String]) -> Self {
        let names: Vec<_> = names.iter().map(|name| normalized(name)).collect();
        Self {
            any: names.is_empty() && !address.is_loopback(),
            names,
        }
    }

    /// Whether the value of a `Host` header is allowed. A port does not matter.
    pub(super) fn allows(&self, host: &str) -> bool {
        if self.any {
            return true;
        }
        let host = normalized(without_port(host));
        let address = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        host == "localhost"
            || address.unwrap_or(&host).parse::<IpAddr>().is_ok()
            || self.names.contains(&host)
    }
}

/// Names differ neither by case nor by the dot of the root.
fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_addresses_localhost_and_named_hosts_are_allowed() {
        let hosts = AllowedHosts::new("127.0.0.1".parse().unwrap(), &["HN.example".to_owned()]);
        for (host, allowed) in [
            ("localhost", true),
            ("LocalHost.:8080", true),
            ("127.0.0.1:8080", true),
            ("127.0.0.1", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("192.168.1.7:80", true),
            ("hn.example:1", true),
            ("hn.example.", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1:8080.evil.example", false),
            ("evil@localhost", false),
            ("localhost:80:80", false),
            ("", false),
            (":8080", false),
        ] {
            assert_eq!(hosts.allows(host), allowed, "{host}");
        }
    }

    #[test]
    fn beyond_loopback_every_name_is_allowed_unless_some_are_named() {
        let address = "0.0.0.0".parse().unwrap();
        assert!(AllowedHosts::new(address, &[]).allows("any.example"));
        let named = AllowedHosts::new(address, &["hn.example".to_owned()]);
        assert!(
            named.allows("hn.example") && named.allows("10.0.0.1") && !named.allows("evil.example")
        );
    }
}
