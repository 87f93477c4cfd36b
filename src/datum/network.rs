//! Inet, cidr and macaddr: canonical form PostgreSQL's binary format.
//!
//! An address is family (2: IPv4, 3: IPv6), bits of the mask, 1 for cidr or 0 for inet, number of
//! address bytes (4 or 16), and the address. A macaddr is its 6 bytes.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::cursor::Cursor;
use super::{Base, DatumError, Quoted, text};

const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// An address with its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: Address,
    bits: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    V4(u32),
    V6(u128),
}

impl Network {
    /// Reads `address[/bits]`; a cidr may leave out trailing zero octets.
    pub(super) fn parse(base: &Base, input: &str) -> Result<Self, DatumError> {
        let network =
            if input.contains(':') { parse_v6(input) } else { parse_v4(input, *base == Base::Cidr) };
        let network = network.ok_or_else(|| DatumError::syntax(name(base), input))?;
        if *base == Base::Cidr && !network.is_network() {
            return Err(DatumError::CidrBits(Quoted::new(input)));
        }
        Ok(network)
    }

    pub(super) fn receive(base: &Base, bytes: &[u8]) -> Result<Self, DatumError> {
        Self::read(bytes)
            .filter(|network| *base != Base::Cidr || network.is_network())
            .ok_or_else(|| DatumError::received(name(base), bytes, length(bytes)))
    }

    /// The marker of cidr is ignored, as the server does.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Cursor(bytes);
        let (family, bits, _, length) = (bytes.u8()?, bytes.u8()?, bytes.u8()?, bytes.u8()?);
        let address = match (family, length) {
            (IPV4, 4) => Address::V4(bytes.u32()?),
            (IPV6, 16) => Address::V6(u128::from_be_bytes(bytes.array()?)),
            _ => return None,
        };
        let network = Self { address, bits };
        (bits <= network.width() && bytes.is_empty()).then_some(network)
    }

    /// Writes the canonical form, which is also the binary format.
    pub(super) fn write(&self, base: &Base, out: &mut Vec<u8>) {
        let cidr = u8::from(*base == Base::Cidr);
        match self.address {
            Address::V4(address) => {
                out.extend_from_slice(&[IPV4, self.bits, cidr, 4]);
                out.extend_from_slice(&address.to_be_bytes());
            }
            Address::V6(address) => {
                out.extend_from_slice(&[IPV6, self.bits, cidr, 16]);
                out.extend_from_slice(&address.to_be_bytes());
            }
        }
    }

    /// Writes the text format; the mask is left out of an inet when it is the whole address, unless asked for.
    pub(super) fn print(&self, base: &Base, always_bits: bool, out: &mut Vec<u8>) {
        let mut text = match self.address {
            Address::V4(address) => Ipv4Addr::from(address).to_string(),
            Address::V6(address) => print_v6(Ipv6Addr::from(address)),
        };
        if always_bits || *base == Base::Cidr || self.bits != self.width() {
            let _ = write!(text, "/{}", self.bits);
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// True if no bit right of the mask is set.
    pub(super) fn is_network(&self) -> bool {
        self.network() == *self
    }

    /// The address with the bits right of the mask cleared.
    pub(super) fn network(&self) -> Self {
        let bits = u32::from(self.bits);
        let address = match self.address {
            Address::V4(address) => Address::V4(address & !u32::MAX.checked_shr(bits).unwrap_or(0)),
            Address::V6(address) => Address::V6(address & !u128::MAX.checked_shr(bits).unwrap_or(0)),
        };
        Self { address, ..*self }
    }

    fn width(&self) -> u8 {
        match self.address {
            Address::V4(_) => 32,
            Address::V6(_) => 128,
        }
    }
}

/// Octets, hex digits with `:` or `-` between them, or in halves and thirds with one mark between.
pub(super) fn parse_macaddr(input: &str) -> Result<[u8; 6], DatumError> {
    match parse_mac(text::trim(input)) {
        Some(Octets::All(address)) => Ok(address),
        Some(Octets::TooLarge) => Err(DatumError::MacOctet(Quoted::new(input))),
        None => Err(DatumError::syntax("macaddr", input)),
    }
}

pub(super) fn print_macaddr(address: [u8; 6], out: &mut Vec<u8>) {
    for (at, byte) in address.iter().enumerate() {
        if at > 0 {
            out.push(b':');
        }
        out.extend_from_slice(&super::bytea::hex_pair(*byte));
    }
}

/// What the fields of a macaddr give.
enum Octets {
    All([u8; 6]),
    /// One is greater than 255.
    TooLarge,
}

fn parse_mac(input: &str) -> Option<Octets> {
    let marks: String = input.chars().filter(|c| matches!(c, ':' | '-' | '.')).collect();
    let parts: Vec<&str> = input.split([':', '-', '.']).collect();
    if !parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return None;
    }
    let mut address = [0; 6];
    match (marks.as_str(), parts.as_slice()) {
        (":::::" | "-----", octets) => {
            for (byte, octet) in address.iter_mut().zip(octets) {
                match u8::try_from(u32::from_str_radix(octet, 16).ok()?) {
                    Ok(octet) => *byte = octet,
                    Err(_) => return Some(Octets::TooLarge),
                }
            }
        }
        ("", [_]) | (":" | "-", [_, _]) | (".." | "--", [_, _, _]) => {
            let width = 12 / parts.len();
            if parts.iter().any(|part| part.len() != width) {
                return None;
            }
            let value = u64::from_str_radix(&parts.concat(), 16).ok()?;
            address.copy_from_slice(value.to_be_bytes().last_chunk::<6>()?);
        }
        _ => return None,
    }
    Some(Octets::All(address))
}

fn name(base: &Base) -> &'static str {
    match base {
        Base::Cidr => "cidr",
        _ => "inet",
    }
}

/// The bytes that a value which begins like this has.
fn length(bytes: &[u8]) -> usize {
    match bytes.first() {
        None => 1,
        Some(&IPV4) => 8,
        Some(&IPV6) => 20,
        Some(_) => 0,
    }
}

/// A decimal number of at most `max`.
fn decimal(digits: &str, max: u8) -> Option<u8> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|value| valid && *value <= max)
}

fn parse_v4(input: &str, cidr: bool) -> Option<Network> {
    let (address, bits) = match input.split_once('/') {
        Some((address, bits)) => (address, Some(decimal(bits, 32)?)),
        None => (input, None),
    };
    let octets = address.split('.').map(|octet| decimal(octet, 255)).collect::<Option<Vec<u8>>>()?;
    let given = u8::try_from(octets.len()).ok().filter(|given| *given <= 4)?;
    let bits = match bits {
        // More than what is written cannot be masked.
        Some(bits) if bits / 8 > given => return None,
        Some(bits) => bits,
        None if given == 4 => 32,
        None if cidr => class_bits(*octets.first()?, given),
        None => return None,
    };
    let address =
        octets.iter().chain([0; 4].iter()).take(4).fold(0, |sum, octet| sum << 8 | u32::from(*octet));
    Some(Network { address: Address::V4(address), bits })
}

/// The mask of an abbreviated network without one, by its class.
fn class_bits(first: u8, given: u8) -> u8 {
    let class = match first {
        240.. => 32,
        224.. => 8,
        192.. => 24,
        128.. => 16,
        _ => 8,
    };
    match class.max(given * 8) {
        8 if first == 224 => 4,
        bits => bits,
    }
}

fn parse_v6(input: &str) -> Option<Network> {
    let (address, bits) = match input.split_once('/') {
        // No leading zero.
        Some((_, bits)) if bits.starts_with('0') && bits != "0" => return None,
        Some((address, bits)) => (address, decimal(bits, 128)?),
        None => (input, 128),
    };
    Some(Network { address: Address::V6(address.parse::<Ipv6Addr>().ok()?.into()), bits })
}

/// The longest run of zero groups (at least two) is `::`; an embedded IPv4 address is shown as one.
fn print_v6(address: Ipv6Addr) -> String {
    let groups = address.segments();
    let (mut start, mut length) = (0, 0);
    let mut run = 0;
    for (at, group) in groups.iter().enumerate() {
        run = if *group == 0 { run + 1 } else { 0 };
        if run > length {
            (start, length) = (at + 1 - run, run);
        }
    }
    if length < 2 {
        (start, length) = (groups.len(), 0);
    }
    let [.., sixth, seventh, last] = groups;
    let embedded = start == 0 && (length == 6 || (length == 5 && sixth == 0xFFFF));
    let shown = if embedded { 6 } else { groups.len() };
    let mut text = String::new();
    for (at, group) in groups.iter().enumerate().take(shown) {
        if at == start {
            text.push_str("::");
        }
        if (start..start + length).contains(&at) {
            continue;
        }
        if at > 0 && at != start + length {
            text.push(':');
        }
        let _ = write!(text, "{group:x}");
    }
    if embedded {
        if length < 6 {
            text.push(':');
        }
        let _ = write!(text, "{}", Ipv4Addr::from(u32::from(seventh) << 16 | u32::from(last)));
    }
    text
}
