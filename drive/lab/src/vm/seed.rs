//! What a machine is told at its boot: a disk with a seed of cloud-init's data source NoCloud
//! (<https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>).
//!
//! The user's data is handed on as it is. What the lab itself says is the vendor's data, which the user's own goes over: the
//! machine's host key, that root may log in, and its address where nothing in the image sets up what the seed says of that.
//! A key that both have is the user's alone, lists included. So the address is in a part of its own that no key of the user's
//! is in the place of, and what would keep the lab from logging in is refused.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use andon_schema::{Failure, Identity};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde_json::{Value as Json, json};
use ssh_key::{LineEnding, PrivateKey};

use super::{KEY, KNOWN_HOSTS, SEED};
use crate::failure::OrFail;
use crate::key;
use crate::netlink::mac;
use crate::network::Range;
use crate::spec::ServerSpec;

/// How cloud-init knows the disk.
const LABEL: [u8; 11] = *b"CIDATA     ";
/// Enough for the longest user data.
const BYTES: u64 = 2 << 20;

/// What is between the parts of what the lab says, and in none of them.
const BOUNDARY: &str = "==andon-part==";

/// Where in its network a machine is.
pub(super) struct Place {
    pub address: Ipv4Addr,
    pub range: Range,
    /// As of `/etc/resolv.conf`.
    pub resolvers: String,
    pub mtu: u32,
}

/// Makes the keys of a machine and its seed, which is there last.
pub(super) fn write(directory: &Path, spec: &ServerSpec, identity: &Identity, place: &Place) -> Result<(), Failure> {
    let failed = || format!("cannot write into {}", directory.display());
    let login = key::generate(&format!("andon of {}", spec.name))?;
    let host = key::generate(&spec.name)?;
    let public = |key: &PrivateKey| key.public_key().to_openssh().or_fail(failed);
    let private = |key: &PrivateKey| key.to_openssh(LineEnding::LF).or_fail(failed);
    let (login_public, host_public) = (public(&login)?, public(&host)?);
    write_private(&directory.join(KEY), private(&login)?.as_bytes()).or_fail(failed)?;
    write_private(&directory.join(KNOWN_HOSTS), format!("{} {host_public}\n", place.address).as_bytes())
        .or_fail(failed)?;
    let keys: Vec<&str> = spec.seed.keys.iter().map(String::as_str).chain([&*login_public]).collect();
    let about = json!({ "instance-id": identity.as_str(), "local-hostname": spec.name, "public-keys": keys });
    let vendor = parts(&vendor(&private(&host)?, &host_public), &connect(place));
    let files = [
        ("meta-data", about.to_string()),
        ("user-data", spec.seed.cloud_init.clone().unwrap_or_else(|| "#cloud-config\n{}\n".to_owned())),
        ("vendor-data", vendor),
        ("network-config", network(place).to_string()),
    ];
    let draft = directory.join("seed.draft");
    write_disk(&draft, &files).or_fail(failed)?;
    fs::rename(&draft, directory.join(SEED)).or_fail(failed)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?.write_all(bytes)
}

/// Settings and a script for each boot, as one text
/// (<https://cloudinit.readthedocs.io/en/latest/explanation/format.html#mime-multi-part-archive>).
fn parts(settings: &Json, script: &str) -> String {
    let part = |kind: &str, text: &str| {
        format!("--{BOUNDARY}\nContent-Type: text/{kind}; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n{text}\n")
    };
    let settings = part("cloud-config", &format!("#cloud-config\n{settings}"));
    let script = part("cloud-boothook", &format!("#cloud-boothook\n#!/bin/sh\n{script}"));
    format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n{settings}{script}--{BOUNDARY}--\n"
    )
}

/// Refuses user data by which the lab could not log in to the machine.
pub(super) fn check_user_data(text: &str) -> Result<(), Failure> {
    let why = |key: &str, value: &str| match key {
        "ssh_keys" => Some("The machine is known by the host key that the lab gives to it."),
        "disable_root" if value != "false" => Some("The lab logs in as root."),
        "vendor_data" => Some("By it the machine is told its host key and its address."),
        _ => None,
    };
    let settings = if text.starts_with("#cloud-config") { text } else { "" };
    for (number, line) in settings.lines().enumerate() {
        let Some((key, value)) = line.split_once(':') else { continue };
        // What is further in is not the machine's.
        let (key, value) = (key.trim_end().trim_matches(['"', '\'']), value.split('#').next().unwrap_or_default());
        if let Some(why) = why(key, value.trim()) {
            let summary = format!("`cloud_init` of a machine has no `{key}`");
            return Err(Failure::new(summary, format!("It is in line {} of the user data. {why}", number + 1))
                .help(format!("Leave `{key}` out.")));
        }
    }
    Ok(())
}

fn vendor(private: &str, public: &str) -> Json {
    json!({
        "disable_root": false,
        "ssh_deletekeys": true,
        "ssh_keys": { "ed25519_private": private, "ed25519_public": public },
        // The image says what languages and sources of packages there are, and the disk is as large as its file system. That
        // there is to be no language is a text: the schema of older ones has no other.
        "locale": "false",
        "apt": { "preserve_sources_list": true },
        "growpart": { "mode": "off" },
        "resize_rootfs": false,
    })
}

/// The network as cloud-init hands it to whatever of the image sets networks up.
fn network(place: &Place) -> Json {
    let of = |word: &str| -> Vec<&str> {
        place.resolvers.lines().filter_map(|line| line.strip_prefix(word)).flat_map(str::split_whitespace).collect()
    };
    json!({
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": { "macaddress": hardware(place) },
                "set-name": "eth0",
                "addresses": [format!("{}/{}", place.address, place.range.net.prefix_len())],
                "gateway4": place.range.gateway.to_string(),
                "mtu": place.mtu,
                "nameservers": { "addresses": of("nameserver "), "search": of("search ") },
            },
        },
    })
}

/// A script that does the same where nothing has.
fn connect(place: &Place) -> String {
    let resolvers: String = place.resolvers.lines().map(|line| format!(" '{}'", line.replace('\'', ""))).collect();
    format!(
        "for d in /sys/class/net/*; do if [ \"$(cat $d/address)\" = {hardware} ]; then n=${{d##*/}}; \
         ip -4 -o address show dev $n | grep -q inet || {{ ip link set $n mtu {mtu} up; \
         ip address add {address}/{prefix} dev $n; ip route add default via {gateway}; }}; fi; done; \
         [ -s /etc/resolv.conf ] || printf '%s\\n'{resolvers} > /etc/resolv.conf",
        hardware = hardware(place),
        mtu = place.mtu,
        address = place.address,
        prefix = place.range.net.prefix_len(),
        gateway = place.range.gateway,
    )
}

fn hardware(place: &Place) -> String {
    mac(place.address).map(|byte| format!("{byte:02x}")).join(":")
}

fn write_disk(path: &Path, files: &[(&str, String)]) -> io::Result<()> {
    let mut disk = File::options().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)?;
    disk.set_len(BYTES)?;
    fatfs::format_volume(&mut disk, FormatVolumeOptions::new().volume_label(LABEL))?;
    let system = FileSystem::new(disk, FsOptions::new())?;
    for (name, content) in files {
        system.root_dir().create_file(name)?.write_all(content.as_bytes())?;
    }
    system.unmount()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn place() -> Place {
        Place {
            address: "10.64.1.7".parse().unwrap(),
            range: Range { net: "10.64.1.0/24".parse().unwrap(), gateway: "10.64.1.1".parse().unwrap() },
            resolvers: "nameserver 10.64.1.1\nsearch app.lab\n".to_owned(),
            mtu: 1500,
        }
    }

    #[test]
    fn the_network_is_said_twice() {
        let said = network(&place()).to_string();
        for word in ["02:61:0a:40:01:07", "10.64.1.7/24", "\"gateway4\":\"10.64.1.1\"", "app.lab"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let script = connect(&place());
        let output = Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}");
        assert!(script.ends_with(" 'nameserver 10.64.1.1' 'search app.lab' > /etc/resolv.conf"), "{script}");
    }

    #[test]
    fn a_key_of_the_users_takes_no_part_of_the_labs_away() {
        let text = parts(&vendor("PRIVATE\nKEY", "ssh-ed25519 AAAA"), &connect(&place()));
        // As cloud-init reads it, which is written in Python.
        let script = "import email, json, sys
for part in email.message_from_file(sys.stdin).get_payload():
    text = part.get_payload()
    config = json.loads(text.split('\\n', 1)[1]) if part.get_content_type() == 'text/cloud-config' else {}
    print(part.get_content_type(), text.split('\\n')[:2], sorted(config))";
        let mut python = match Command::new("python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
        {
            Ok(python) => python,
            Err(_) => return println!("skipped: python3 is not installed"),
        };
        python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let said = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
        let parts: Vec<&str> = said.lines().collect();
        assert!(
            parts[0].starts_with("text/cloud-config ['#cloud-config'") && parts[0].contains("'ssh_keys'"),
            "{said}"
        );
        assert!(!parts[0].contains("bootcmd"), "{said}");
        assert_eq!(parts[1..], ["text/cloud-boothook ['#cloud-boothook', '#!/bin/sh'] []"], "{said}");
    }

    #[test]
    fn what_would_keep_the_lab_out_is_refused() {
        let check = |text: &str, line: Option<&str>| {
            let refused = check_user_data(text).err().map(|failure| failure.to_string());
            assert_eq!(refused.is_some(), line.is_some(), "{text}: {refused:?}");
            assert!(refused.unwrap_or_default().contains(line.unwrap_or_default()), "{text}");
        };
        check("", None);
        check("#cloud-config\nbootcmd:\n- echo ssh_keys: here\n", None);
        check("#cloud-config\nwrite_files:\n- content: |\n    ssh_keys: {}\n", None);
        check("#cloud-config\nssh_authorized_keys: []\ndisable_root: false # it stays\n", None);
        check("#!/bin/sh\nssh_keys:\n", None);
        check("#cloud-config\nssh_keys:\n  ed25519_private: x\n", Some("line 2"));
        check("#cloud-config\n\n\"ssh_keys\" : {}\n", Some("line 3"));
        check("#cloud-config\ndisable_root: true\n", Some("logs in as root"));
        check("#cloud-config\nvendor_data: { enabled: false }\n", Some("`vendor_data`"));
    }

    #[test]
    fn other_tools_read_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("seed");
        let files = [("meta-data", "one".to_owned()), ("network-config", "x".repeat(300_000))];
        write_disk(&disk, &files).unwrap();
        assert_eq!(fs::metadata(&disk).unwrap().permissions().mode() & 0o777, 0o600);
        let run = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).arg(&disk).output() {
            Ok(output) => Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())),
            Err(_) => {
                println!("skipped: {program} is not installed");
                None
            }
        };
        for (program, arguments, expected) in
            [("/usr/sbin/blkid", &["-o", "export"][..], "LABEL=CIDATA"), ("/usr/sbin/fsck.fat", &["-n"], "3 files")]
        {
            let Some((is_content, said)) = run(program, arguments) else { continue };
            assert!(is_content && said.contains(expected), "{program}: {said}");
        }
    }
}
