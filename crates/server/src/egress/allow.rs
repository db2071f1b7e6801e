//! What the operator lets through although it is not public: `KEYFOB_EGRESS_ALLOW`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use url::{Host, Url};

/// Destinations that the address guard lets through although they are not public, over plain http
/// too. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    nets: Vec<IpNet>,
    places: Vec<Place>,
}

/// A name (or an address) on one port, which may be wherever its name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: Host,
    port: u16,
}

impl Allow {
    /// Reads a comma-separated list of addresses (`::1`), CIDRs (`127.0.0.0/8`) and names with their
    /// ports (`provider.internal:8443`). A text without any lets nothing through.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut allow = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            allow.add(item)?;
        }
        Ok(allow)
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        if let Ok(ip) = item.parse::<IpAddr>() {
            self.nets.push(ip.into());
        } else if item.contains('/') {
            self.nets.push(net(item)?);
        } else {
            self.places.push(place(item)?);
        }
        Ok(())
    }

    /// Whether nothing is let through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty() && self.places.is_empty()
    }

    /// Whether any address is let through whatever its name.
    pub(super) fn has_addresses(&self) -> bool {
        !self.nets.is_empty()
    }

    pub(super) fn has_address(&self, ip: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&ip))
    }

    /// Whether the host of a URL, on its port, is one of the names with ports.
    pub(super) fn has_place(&self, url: &Url) -> bool {
        let place = url.host().map(|host| rootless(host.to_owned()));
        let place = place.zip(url.port_or_known_default());
        place.is_some_and(|(host, port)| self.places.contains(&Place { host, port }))
    }
}

/// As it was written, normalised.
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nets = self.nets.iter().map(ToString::to_string);
        let places = self.places.iter().map(|Place { host, port }| format!("{host}:{port}"));
        f.write_str(&nets.chain(places).collect::<Vec<_>>().join(", "))
    }
}

fn net(item: &str) -> Result<IpNet, String> {
    let net: IpNet = item.parse().map_err(|_| {
        format!("{item:?} is not a network: write an address and its prefix, such as 10.0.0.0/8")
    })?;
    // Somebody meant one of two things, and the larger one would let through too much.
    if net.trunc() != net {
        return Err(format!(
            "{item:?} has bits beyond its prefix: write {} for the network, or {} for the address",
            net.trunc(),
            net.addr()
        ));
    }
    Ok(net)
}

fn place(item: &str) -> Result<Place, String> {
    if let Ok(address) = item.parse::<SocketAddr>() {
        let host = match address.ip() {
            IpAddr::V4(ip) => Host::Ipv4(ip),
            IpAddr::V6(ip) => Host::Ipv6(ip),
        };
        return Ok(Place { host, port: address.port() });
    }
    let Some((name, port)) = item.rsplit_once(':') else {
        return Err(format!(
            "{item:?} lacks a port: write {item}:443, or an address, or a network such as 10.0.0.0/8"
        ));
    };
    let port = port.parse().ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| format!("{item:?} does not end in a port from 1 to 65535"))?;
    let host = Host::parse(name).ok().filter(|_| !name.contains('*'));
    let host = host.ok_or_else(|| {
        format!("{name:?} is not the name of a host: write each as in provider.internal:8443")
    })?;
    Ok(Place { host: rootless(host), port })
}

/// A name without the dot that it may end in: it is the same host.
fn rootless(host: Host) -> Host {
    match host {
        Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_owned()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(allow: &Allow, url: &str) -> bool {
        allow.has_place(&Url::parse(url).unwrap())
    }

    #[test]
    fn networks_addresses_and_names_with_ports_are_read() {
        let text = " 127.0.0.0/8, ::1 ,10.1.2.3/32,Provider.Internal.:8443,[::2]:80,";
        let allow = Allow::parse(text).unwrap();
        let normal = "127.0.0.0/8, ::1/128, 10.1.2.3/32, provider.internal:8443, [::2]:80";
        assert_eq!(allow.to_string(), normal);
        assert_eq!(Allow::parse(normal).unwrap(), allow);
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3"] {
            assert!(allow.has_address(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["128.0.0.0", "::2", "10.1.2.4", "::ffff:127.0.0.1"] {
            assert!(!allow.has_address(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_empty_text_lets_nothing_through() {
        for text in ["", " ", " , "] {
            assert!(Allow::parse(text).unwrap().is_empty());
        }
        assert_eq!(Allow::default().to_string(), "");
    }

    #[test]
    fn a_name_is_let_through_on_its_port_only() {
        let allow =
            Allow::parse("provider.internal:8443, bücher.example:443, 10.0.0.1:80").unwrap();
        for url in [
            "https://provider.internal:8443/token",
            "http://PROVIDER.internal.:8443",
            "https://bücher.example",
            "https://xn--bcher-kva.example:443/",
            "http://10.0.0.1",
            "http://0x0a000001/",
        ] {
            assert!(has(&allow, url), "{url}");
        }
        for url in [
            "https://provider.internal",
            "https://a.provider.internal:8443",
            "https://provider.internal.evil:8443",
            "http://bücher.example",
            "https://10.0.0.1",
        ] {
            assert!(!has(&allow, url), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        for (text, advice) in [
            ("10.1.2.3/8", "write 10.0.0.0/8 for the network, or 10.1.2.3 for the address"),
            ("10.0.0.0/33", "is not a network"),
            ("https://provider.internal/", "is not a network"),
            ("provider.internal", "write provider.internal:443"),
            ("10.0.0.0/8, provider.internal:x", "does not end in a port"),
            ("provider.internal:0", "does not end in a port"),
            ("provider.internal:65536", "does not end in a port"),
            ("*.internal:443", "is not the name of a host"),
            ("a b:443", "is not the name of a host"),
            (":443", "is not the name of a host"),
        ] {
            let error = Allow::parse(text).unwrap_err();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
