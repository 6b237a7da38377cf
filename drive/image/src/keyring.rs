//! The keys that a distribution's archive is signed with. A distribution's own are part of it; those of another may be fetched,
//! and are believed by their fingerprints.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use andon_schema::Failure;
use flate2::read::MultiGzDecoder;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::bootstrap::apt_proxy;
use crate::digest::hex;
use crate::mirror::Mirrors;
use crate::source::Distribution;
use crate::trouble::Trouble;

/// The keys that sign Ubuntu's archive, of 2012 and of 2018.
const UBUNTU: [&str; 2] = ["790bc7277767219c42c86f933b4fe6acc0b21f32", "f6ecb3762474eda9d21b7022871920d1991bc93c"];

/// No list of packages and no package with keys is larger.
const LARGEST: u64 = 64 << 20;

/// The kinds of packet that a keyring is made of: <https://www.rfc-editor.org/rfc/rfc4880#section-4.3>.
const PUBLIC_KEY: u8 = 6;

/// A file with the keys of a distribution. `scratch` takes one that has to be fetched.
pub(crate) fn keyring(mirrors: &Mirrors, release: &str, scratch: &Path) -> Result<PathBuf, Failure> {
    let distribution = mirrors.distribution();
    let id = distribution.id();
    let own = PathBuf::from(format!("/usr/share/keyrings/{id}-archive-keyring.gpg"));
    if own.exists() {
        return Ok(own);
    }
    let missing = |why: String| {
        let package = match distribution {
            Distribution::Debian => "debian-archive-keyring",
            Distribution::Ubuntu => "ubuntu-keyring",
        };
        let name = distribution.name();
        Failure::new(format!("the keys of {name}'s archive are missing"), why)
            .help(format!("Install them, where this machine's distribution has them: `apt-get install {package}`."))
    };
    let is_not_there = format!("{} is not there", own.display());
    if distribution != Distribution::Ubuntu {
        return Err(missing(format!("{is_not_there}, so packages cannot be trusted.")));
    }
    let bytes = fetched(mirrors, release, scratch)
        .map_err(|why| missing(format!("{is_not_there}, and cannot be had from {}: {why}.", mirrors.main())))?;
    let trusted = of_these(&bytes, &UBUNTU);
    if trusted.is_empty() {
        return Err(missing(format!(
            "{is_not_there}, and what {} has is none of the keys that are known for Ubuntu's.",
            mirrors.main()
        )));
    }
    let place = scratch.join("keyring.gpg");
    fs::write(&place, trusted).doing("write", &place)?;
    Ok(place)
}

/// The keyring out of the package that the mirror has. Nothing of it is checked yet.
fn fetched(mirrors: &Mirrors, release: &str, scratch: &Path) -> Result<Vec<u8>, String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let list = format!("{}/dists/{release}/main/binary-{architecture}/Packages.gz", mirrors.main());
    let mut text = String::new();
    let packed = get(&list)?;
    let read = MultiGzDecoder::new(&*packed).take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| format!("{list}: {error}"))?;
    let file = text
        .split("\n\n")
        .find(|paragraph| paragraph.lines().any(|line| line == "Package: ubuntu-keyring"))
        .and_then(|paragraph| paragraph.lines().find_map(|line| line.strip_prefix("Filename: ")))
        .ok_or_else(|| format!("{list} has no package `ubuntu-keyring`"))?;
    let package = scratch.join("keyring.deb");
    fs::write(&package, get(&format!("{}/{file}", mirrors.main()))?).map_err(|error| error.to_string())?;
    unpacked(&package).map_err(|error| format!("{file}: {error}"))
}

/// The keyring in a package.
fn unpacked(package: &Path) -> io::Result<Vec<u8>> {
    let mut command = Command::new("dpkg-deb");
    let output = command.arg("--fsys-tarfile").arg(package).stdin(Stdio::null()).output()?;
    let mut archive = tar::Archive::new(&*output.stdout);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.ends_with("usr/share/keyrings/ubuntu-archive-keyring.gpg") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there is no keyring in it"))
}

fn get(url: &str) -> Result<Vec<u8>, String> {
    let wrong = |error: ureq::Error| format!("{url}: {error}");
    let mut config = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_global(Some(Duration::from_secs(120)));
    if std::env::var_os("http_proxy").is_none()
        && let Some(proxy) = apt_proxy("http_proxy")
    {
        config = config.proxy(ureq::Proxy::new(&proxy).ok());
    }
    let mut answer = config.build().new_agent().get(url).call().map_err(wrong)?;
    answer.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(wrong)
}

/// Of a keyring, the keys with these fingerprints (version 4: <https://www.rfc-editor.org/rfc/rfc4880#section-12.2>), each with
/// what belongs to it.
fn of_these(keyring: &[u8], fingerprints: &[&str]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut is_wanted = false;
    let mut rest = keyring;
    while let Some(Packet { kind, body, whole, after }) = packet(rest) {
        if kind == PUBLIC_KEY {
            let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
            let hashed = [&[0x99], &length[..], body].concat();
            let fingerprint = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed).as_ref());
            is_wanted = body.first() == Some(&4) && fingerprints.contains(&&*fingerprint);
        }
        if is_wanted {
            kept.extend(whole);
        }
        rest = after;
    }
    kept
}

/// A packet of a keyring.
struct Packet<'a> {
    kind: u8,
    body: &'a [u8],
    /// With its head.
    whole: &'a [u8],
    /// What comes after it.
    after: &'a [u8],
}

/// The first packet. `None` at the end, and for forms that keyrings do not have.
fn packet(bytes: &[u8]) -> Option<Packet<'_>> {
    let (first, rest) = bytes.split_first()?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let (kind, length, head) = if first & 0xc0 == 0xc0 {
        let (length, head) = match rest {
            [length @ 0..=191, ..] => (usize::from(*length), 1),
            [high @ 192..=223, low, ..] => ((usize::from(*high) - 192) * 256 + usize::from(*low) + 192, 2),
            [255, ..] => (number(rest.get(1..5)?), 5),
            _ => return None,
        };
        (first & 0x3f, length, head)
    } else if first & 0xc0 == 0x80 {
        let head = match first & 3 {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => return None,
        };
        ((first >> 2) & 0xf, number(rest.get(..head)?), head)
    } else {
        return None;
    };
    let end = head.checked_add(length)?;
    let (whole, after) = bytes.split_at_checked(end.checked_add(1)?)?;
    Some(Packet { kind, body: rest.get(head..end)?, whole, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_chosen_by_their_fingerprints() {
        // A key of version 4 in the old form of a packet, with a name in the new one; twice, with other numbers.
        let key = |seed: u8| {
            let body: Vec<u8> = [&[4, 0, 0, 0, seed, 1][..], &[seed; 300]].concat();
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            let fingerprint = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&[0x99], &length[..], &body].concat()).as_ref());
            let name = [&[0xc0 | 13, 3][..], b"abc"].concat();
            ([&[0x80 | (PUBLIC_KEY << 2) | 1], &length[..], &body, &name].concat(), fingerprint)
        };
        let ((one, first), (other, second)) = (key(1), key(2));
        let both = [one.clone(), other.clone()].concat();
        assert_eq!(of_these(&both, &[&first]), one);
        assert_eq!(of_these(&both, &[&second]), other);
        assert_eq!(of_these(&both, &[&first, &second]), both);
        assert_eq!(of_these(&both, &[UBUNTU[0]]), b"");
        for damaged in [&both[..both.len() - 1], &both[1..], b"", b"\xc6\xff\xff\xff\xff\xff"] {
            assert!(of_these(damaged, &[&first, &second]).len() < both.len());
        }
    }
}
