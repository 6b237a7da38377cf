//! By which name of their network servers find each other: what their `/etc/resolv.conf` says.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use andon_schema::Identity;

use super::network_label;
use crate::address;
use crate::below::Below;
use crate::kind::Kind;
use crate::records::{Record, Records};
use crate::server;
use crate::spawn::RESOLVERS;
use crate::vm;

/// Whether a text is what the lab itself writes for a network with this gateway, whatever its name was.
pub(crate) fn is_own(text: &str, gateway: Ipv4Addr) -> bool {
    let mut lines = text.lines();
    let has_gateway = lines.next().and_then(|line| line.strip_prefix("nameserver ")) == Some(&*gateway.to_string());
    let search = lines.next().and_then(|line| line.strip_prefix("search "));
    has_gateway && search.is_some_and(|it| it.ends_with(".lab") && !it.contains(' ')) && lines.next().is_none()
}

/// Has the servers of a network that run look for names where it has them now; those that do not run do so when they are
/// started. What somebody else wrote stays. `before` is the network as it was. Gives what is to be said of those that could not be told.
pub(crate) fn follow(records: &Records, network: &str, before: &Record, gateway: Ipv4Addr) -> Vec<String> {
    let text = super::resolvers(records, network, gateway);
    // Without names there is no name of the network either.
    if !is_own(&text, gateway) {
        return Vec::new();
    }
    let label = |record: &Record| network_label(network, record);
    let is_renamed = records.read(network).is_some_and(|now| label(&now) != label(before));
    let folder = records.directory(Kind::Network, network).join("addresses");
    let servers = address::holders(&folder).into_iter();
    servers.filter_map(|(_, server)| tell(records, &server, &text, gateway, is_renamed)).collect()
}

/// What is to be said of a server that goes on by the former name.
fn tell(records: &Records, server: &str, text: &str, gateway: Ipv4Addr, is_renamed: bool) -> Option<String> {
    let identity = Identity::parse(server)?;
    let record = records.read(server)?;
    let name = record.value.get_str("name").unwrap_or(server);
    if vm::is_machine(&record.value) {
        return is_renamed.then(|| {
            format!(
                "`{name}` is a machine of its own, which was told of its network at its first boot: it goes on looking \
                 for plain names in the network's former name until it is replaced."
            )
        });
    }
    let rewrite = |init: i32| -> io::Result<bool> {
        let root = PathBuf::from(format!("/proc/{init}/root"));
        Below::root(&root)?.rewrite(RESOLVERS, |old| is_own(old, gateway), text)
    };
    let refused = rewrite(server::running_init(&identity)?).err()?;
    Some(format!(
        "`{name}` goes on looking for plain names in its network's former name until it is started again (`andon \
         restart {name}`): its /{RESOLVERS} could not be written: {refused}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_texts_are_known() {
        let check = |text: &str, own: bool| assert_eq!(is_own(text, Ipv4Addr::new(10, 64, 0, 1)), own, "{text:?}");
        check("nameserver 10.64.0.1\nsearch app.lab\n", true);
        check("nameserver 10.64.0.1\nsearch 0123456789ab.lab\n", true);
        check("nameserver 10.64.0.2\nsearch app.lab\n", false);
        check("nameserver 10.64.0.1\n", false);
        check("nameserver 10.64.0.1\nsearch app.lab example.com\n", false);
        check("nameserver 10.64.0.1\nsearch app.lab\noptions edns0\n", false);
        check("# by hand\nnameserver 10.64.0.1\nsearch app.lab\n", false);
        check("", false);
    }
}
