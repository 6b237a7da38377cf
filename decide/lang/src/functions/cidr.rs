//! Network addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use andon_value::{Number, Type, Value};

use super::{Fault, Function, row};
use crate::eval::Call;

pub(super) fn table() -> Vec<Function> {
    use Type::{Number as N, String as S};
    vec![
        row("cidrhost", S, host, "The address of a host in a network; negative numbers count from its end.")
            .takes("prefix", S)
            .takes("hostnum", N),
        row("cidrnetmask", S, netmask, "The network mask of an IPv4 network.").takes("prefix", S),
        row("cidrsubnet", S, subnet, "One of the equal parts of a network.")
            .takes("prefix", S)
            .takes("newbits", N)
            .takes("netnum", N),
        row("cidrsubnets", Type::list(S), subnets, "Parts of a network one after the other, each longer by some bits.")
            .takes("prefix", S)
            .takes_rest("newbits", N),
    ]
}

/// A network: the bits of its address, of which `length` are its own, out of `width`.
#[derive(Clone, Copy)]
struct Network {
    bits: u128,
    length: u32,
    width: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Network, Fault> {
        let refuse = || Fault::at(0, "a network such as 10.0.0.0/16 is required");
        let (address, length) = text.split_once('/').ok_or_else(refuse)?;
        let length: u32 = length.parse().map_err(|_| refuse())?;
        // Zeroes before a part do not count.
        let address: String = match address.contains(':') {
            true => address.to_owned(),
            false => address
                .split('.')
                .map(|part| part.trim_start_matches('0'))
                .map(|part| if part.is_empty() { "0" } else { part })
                .collect::<Vec<_>>()
                .join("."),
        };
        let (bits, width) = match address.parse().map_err(|_| refuse())? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        if length > width {
            return Err(refuse());
        }
        let network = Network { bits, length, width };
        Ok(Network { bits: bits & !network.host_mask(), ..network })
    }

    /// The bits that tell hosts apart.
    fn host_mask(self) -> u128 {
        let host_bits = self.width - self.length;
        if host_bits == 128 { u128::MAX } else { (1 << host_bits) - 1 }
    }

    /// The same address in a network longer by some bits.
    fn longer(self, bits: i64, argument: usize) -> Result<Network, Fault> {
        let room = self.width - self.length;
        let bits = u32::try_from(bits).ok().filter(|bits| *bits <= room);
        let bits = bits.ok_or_else(|| Fault::at(argument, format!("the prefix has room for 0 to {room} bits more")))?;
        Ok(Network { length: self.length + bits, ..self })
    }

    fn address(self) -> IpAddr {
        match u32::try_from(self.bits) {
            Ok(bits) if self.width == 32 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(self.bits)),
        }
    }

    fn text(self) -> String {
        format!("{}/{}", self.address(), self.length)
    }
}

/// `bits` moved to just before the last `by` of an address.
fn place(bits: u128, by: u32) -> u128 {
    bits.checked_shl(by).unwrap_or(0)
}

/// A whole number that may be as large as an address.
fn wide(number: &Number, argument: usize) -> Result<i128, Fault> {
    if !number.is_integer() {
        return Err(Fault::at(argument, "a whole number is required"));
    }
    number.to_string().parse().map_err(|_| Fault::at(argument, "the number is too large"))
}

fn host(call: &Call<'_>) -> Result<Value, Fault> {
    let network = Network::parse(call.text(0))?;
    let number = wide(call.number(1), 1)?;
    let mask = network.host_mask();
    let offset = if number < 0 { mask.checked_sub(number.unsigned_abs() - 1) } else { u128::try_from(number).ok() };
    match offset.filter(|offset| *offset <= mask) {
        Some(offset) => Ok(Network { bits: network.bits | offset, ..network }.address().to_string().into()),
        None => Err(Fault::at(
            1,
            format!("a network with {} bits for hosts has no such host", network.width - network.length),
        )),
    }
}

fn netmask(call: &Call<'_>) -> Result<Value, Fault> {
    let network = Network::parse(call.text(0))?;
    if network.width != 32 {
        return Err(Fault::at(0, "only IPv4 networks have a network mask"));
    }
    let mask = u128::from(u32::MAX) & !network.host_mask();
    Ok(Network { bits: mask, ..network }.address().to_string().into())
}

fn subnet(call: &Call<'_>) -> Result<Value, Fault> {
    let network = Network::parse(call.text(0))?;
    let bits = call.whole(1)?;
    let part = network.longer(bits, 1)?;
    let number = u128::try_from(wide(call.number(2), 2)?).ok();
    let number = number.filter(|number| number.checked_shr(part.length - network.length).unwrap_or(0) == 0);
    let number = number.ok_or_else(|| Fault::at(2, format!("{bits} bits do not tell so many parts apart")))?;
    Ok(Network { bits: network.bits | place(number, part.width - part.length), ..part }.text().into())
}

fn subnets(call: &Call<'_>) -> Result<Value, Fault> {
    let network = Network::parse(call.text(0))?;
    let mut next = Some(network.bits);
    let mut parts = Vec::new();
    for at in 1..call.arguments.len() {
        let full = || Fault::at(at, "there is no room left in the prefix");
        let bits = call.whole(at)?;
        if bits < 1 {
            return Err(Fault::at(at, "each part must be longer than the prefix by a bit or more"));
        }
        let part = network.longer(bits, at)?;
        let mask = part.host_mask();
        // The next address that such a network can start at.
        let start = next.ok_or_else(full)?;
        let start = if start & mask == 0 { start } else { (start | mask).checked_add(1).ok_or_else(full)? };
        if start & !network.host_mask() != network.bits {
            return Err(full());
        }
        parts.push(Value::from(Network { bits: start, ..part }.text()));
        next = (start | mask).checked_add(1);
    }
    Ok(Value::list(Type::String, parts))
}
