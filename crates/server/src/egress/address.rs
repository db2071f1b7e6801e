//! Which addresses are public.
//!
//! After the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890) and the
//! multicast registries. Where a registry is unsure, an address is not public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What an address that is not public is for; `None` if it is public.
pub(super) fn not_public(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => v4_not_public(ip),
        IpAddr::V6(ip) => v6_not_public(ip),
    }
}

fn v4_not_public(ip: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, what)| *what)
}

fn v6_not_public(ip: Ipv6Addr) -> Option<&'static str> {
    if V6_TRANSLATED.contains(&ip) {
        let [.., a, b, c, d] = ip.octets();
        return v4_not_public(Ipv4Addr::new(a, b, c, d));
    }
    if V6_PUBLIC_AFTER_ALL.iter().any(|net| net.contains(&ip)) {
        return None;
    }
    if let Some((_, what)) = V6.iter().find(|(net, _)| net.contains(&ip)) {
        return Some(what);
    }
    (!V6_UNICAST.contains(&ip)).then_some("nothing yet (RFC 4291)")
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(groups: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(groups), prefix)
}

/// The first match says what an address is for.
const V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 8), "this network (RFC 791)"),
    (v4(10, 0, 0, 0, 8), "private use (RFC 1918)"),
    (v4(100, 100, 100, 200, 32), "the metadata of a cloud"),
    (v4(100, 64, 0, 0, 10), "networks of carriers (RFC 6598)"),
    (v4(127, 0, 0, 0, 8), "this machine (RFC 1122)"),
    (v4(168, 63, 129, 16, 32), "the metadata of a cloud"),
    (v4(169, 254, 169, 254, 32), "the metadata of a cloud"),
    (v4(169, 254, 0, 0, 16), "the local link (RFC 3927)"),
    (v4(172, 16, 0, 0, 12), "private use (RFC 1918)"),
    (v4(192, 0, 0, 0, 24), "protocols (RFC 6890)"),
    (v4(192, 0, 2, 0, 24), "documentation (RFC 5737)"),
    (v4(192, 88, 99, 0, 24), "6to4 relays (RFC 7526)"),
    (v4(192, 168, 0, 0, 16), "private use (RFC 1918)"),
    (v4(198, 18, 0, 0, 15), "benchmarks (RFC 2544)"),
    (v4(198, 51, 100, 0, 24), "documentation (RFC 5737)"),
    (v4(203, 0, 113, 0, 24), "documentation (RFC 5737)"),
    (v4(224, 0, 0, 0, 4), "multicast (RFC 5771)"),
    (v4(255, 255, 255, 255, 32), "broadcast (RFC 919)"),
    (v4(240, 0, 0, 0, 4), "the future (RFC 1112)"),
];

/// What is given to hosts so far; all other addresses of IPv6 are for something else or for nothing.
const V6_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// IPv4 through NAT64 (RFC 6052): how networks without IPv4 reach it, so what is embedded decides.
const V6_TRANSLATED: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// The parts of `2001::/23` that the registry calls globally reachable.
const V6_PUBLIC_AFTER_ALL: &[Ipv6Net] = &[
    v6([0x2001, 1, 0, 0, 0, 0, 0, 1], 128), // PCP anycast, RFC 7723
    v6([0x2001, 1, 0, 0, 0, 0, 0, 2], 128), // TURN anycast, RFC 8155
    v6([0x2001, 1, 0, 0, 0, 0, 0, 3], 128), // DNS-SD registration anycast, RFC 9665
    v6([0x2001, 3, 0, 0, 0, 0, 0, 0], 32),  // AMT, RFC 7450
    v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48), // AS112, RFC 7535
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), // ORCHIDv2, RFC 7343
    v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28), // drone identifiers, RFC 9374
];

/// The first match says what an address is for.
const V6: &[(Ipv6Net, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "no host (RFC 4291)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "this machine (RFC 4291)"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "IPv4 as IPv6 (RFC 4291)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "IPv4 as IPv6 (RFC 4291)"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "local translation of IPv4 (RFC 8215)"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discarding (RFC 6666)"),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "dummies (RFC 9780)"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo (RFC 4380)"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "protocols (RFC 2928)"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation (RFC 3849)"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4 (RFC 3056)"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation (RFC 9637)"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "segment routing (RFC 9602)"),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), "the metadata of a cloud"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private use (RFC 4193)"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "the local link (RFC 4291)"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "private use (RFC 3879)"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast (RFC 4291)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn what(text: &str) -> Option<&'static str> {
        not_public(text.parse().unwrap())
    }

    #[test]
    fn the_first_and_the_last_address_of_each_range_are_not_public() {
        for (net, what) in V4 {
            for ip in [net.network(), net.broadcast()] {
                assert!(not_public(ip.into()).is_some(), "{ip} is for {what}");
            }
        }
        for (net, what) in V6.iter().filter(|(net, _)| net.prefix_len() != 23) {
            for ip in [net.network(), net.broadcast()] {
                assert!(not_public(ip.into()).is_some(), "{ip} is for {what}");
            }
        }
    }

    #[test]
    fn an_address_that_is_not_public_says_what_it_is_for() {
        let table = [
            ("0.0.0.0", "this network"),
            ("0.255.255.255", "this network"),
            ("10.1.2.3", "private use"),
            ("100.64.0.1", "carriers"),
            ("100.127.255.255", "carriers"),
            ("100.100.100.200", "metadata"),
            ("127.0.0.1", "this machine"),
            ("127.255.255.254", "this machine"),
            ("168.63.129.16", "metadata"),
            ("169.254.0.1", "local link"),
            ("169.254.169.254", "metadata"),
            ("172.16.0.1", "private use"),
            ("172.31.255.255", "private use"),
            ("192.0.0.192", "protocols"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.1.1", "private use"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "the future"),
            ("255.255.255.255", "broadcast"),
            ("::", "no host"),
            ("::1", "this machine"),
            ("::7f00:1", "IPv4 as IPv6"),
            ("::ffff:127.0.0.1", "IPv4 as IPv6"),
            ("::ffff:8.8.8.8", "IPv4 as IPv6"),
            ("64:ff9b::127.0.0.1", "this machine"),
            ("64:ff9b::169.254.169.254", "metadata"),
            ("64:ff9b::1:0:0", "nothing yet"),
            ("64:ff9b:1::8.8.8.8", "local translation"),
            ("100::1", "discarding"),
            ("100:0:0:1::1", "dummies"),
            ("1fff::1", "nothing yet"),
            ("2001::1", "Teredo"),
            ("2001:1::4", "protocols"),
            ("2001:10::1", "protocols"),
            ("2001:1ff:ffff::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("3fff::1", "documentation"),
            ("3fff:fff:ffff::1", "documentation"),
            ("4000::1", "nothing yet"),
            ("5f00::1", "segment routing"),
            ("fc00::1", "private use"),
            ("fd00:ec2::254", "metadata"),
            ("fdff::1", "private use"),
            ("fe80::1", "local link"),
            ("febf::1", "local link"),
            ("fec0::1", "private use"),
            ("ff02::1", "multicast"),
        ];
        for (ip, expected) in table {
            assert!(what(ip).is_some_and(|what| what.contains(expected)), "{ip}: {:?}", what(ip));
        }
    }

    #[test]
    fn the_neighbours_of_what_is_not_public_are_public() {
        let table = [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "64:ff9b::8.8.8.8",
            "2001:1::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:20::1",
            "2001:3f::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700:4700::1111",
            "3ffe:ffff::1",
            "3fff:1000::1",
        ];
        for ip in table {
            assert_eq!(what(ip), None, "{ip}");
        }
    }
}
