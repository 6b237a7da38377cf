//! Certificates: what one says, and making one with its key.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use andon_schema::host::{Certificate, CertificatePlace, CertificateWish, KeyKind, Sight};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use sha1::{Digest, Sha1};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::accounts::Accounts;
use crate::files::{self, Meta};
use crate::keys;
use crate::run::last_lines;

/// The names of the parts of a subject, with their object identifiers.
const PARTS: [(&str, &str); 6] =
    [("CN", "2.5.4.3"), ("C", "2.5.4.6"), ("L", "2.5.4.7"), ("ST", "2.5.4.8"), ("O", "2.5.4.10"), ("OU", "2.5.4.11")];

/// The object identifier of the extension that names the key of a certificate.
const KEY_IDENTIFIER: [u64; 4] = [2, 5, 29, 14];

/// Reads a certificate with what it belongs to. What is there and is no certificate is as good as none.
pub(crate) fn look(place: &CertificatePlace) -> Sight {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let Some(certificate) = text(&place.certificate) else { return Sight::Certificate(None) };
    let key = text(&place.key);
    let authority = place.authority.as_ref().map(|authority| contents(authority).unwrap_or_default());
    Sight::Certificate(read(&certificate, key.as_deref(), authority.as_deref()))
}

/// What is given as it is, or by the path of a file.
fn contents(given: &str) -> std::io::Result<String> {
    if given.starts_with('/') { std::fs::read_to_string(given) } else { Ok(given.to_owned()) }
}

/// `authority` is the certificate that is to have signed it; `None` where it is to have signed itself.
fn read(pem: &str, key: Option<&str>, authority: Option<&str>) -> Option<Certificate> {
    let der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?.1;
    let (_, x509) = X509Certificate::from_der(&der.contents).ok()?;
    let signed = match authority {
        None => x509.issuer() == x509.subject() && x509.verify_signature(None).is_ok(),
        Some(authority) => {
            let authority = x509_parser::pem::parse_x509_pem(authority.as_bytes()).ok().map(|(_, pem)| pem);
            let signer = authority.as_ref().and_then(|pem| X509Certificate::from_der(&pem.contents).ok());
            signer.is_some_and(|(_, signer)| {
                x509.issuer() == signer.subject() && x509.verify_signature(Some(signer.public_key())).is_ok()
            })
        }
    };
    let key_fits = key.and_then(|key| keys::read(key).ok());
    let key_fits = key_fits.is_some_and(|key| key.subject_public_key_info() == x509.public_key().raw);
    let mut found = Certificate {
        key: kind_of(&x509),
        key_fits,
        signed,
        lasts_s: x509.validity().not_after.timestamp() - i64::try_from(now().as_secs()).unwrap_or(i64::MAX),
        ..Certificate::default()
    };
    for attribute in x509.subject().iter_attributes() {
        let identifier = attribute.attr_type().to_id_string();
        let part = PARTS.iter().find(|(_, known)| *known == identifier).map_or(identifier.as_str(), |(part, _)| part);
        found.subject.push((part.into(), attribute.as_str().unwrap_or_default().into()));
    }
    found.subject.sort();
    for extension in x509.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => found.authority = constraints.ca,
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => found.dns.push((*name).into()),
                        GeneralName::IPAddress(bytes) => found.ips.extend(address(bytes)),
                        _ => {}
                    }
                }
            }
            ParsedExtension::KeyUsage(usage) => {
                let flags = (0..9).filter(|bit| usage.flags & (1 << bit) != 0);
                found.usages.extend(flags.filter_map(|bit| USAGES.get(bit)).map(|(name, _)| Arc::from(*name)));
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let given = [
                    usage.server_auth,
                    usage.client_auth,
                    usage.code_signing,
                    usage.email_protection,
                    usage.time_stamping,
                    usage.ocsp_signing,
                ];
                let names = EXTENDED.iter().zip(given).filter(|(_, given)| *given);
                found.usages.extend(names.map(|((name, _), _)| Arc::from(*name)));
            }
            _ => {}
        }
    }
    found.usages.sort();
    found.dns.sort();
    found.ips.sort();
    Some(found)
}

fn address(bytes: &[u8]) -> Option<Arc<str>> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let address = four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))?;
    Some(address.to_string().into())
}

fn kind_of(x509: &X509Certificate) -> Option<KeyKind> {
    let key = x509.public_key();
    let identifier = key.algorithm.algorithm.to_id_string();
    let curve = key.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok()).map(|oid| oid.to_id_string());
    match (identifier.as_str(), curve.as_deref(), key.parsed()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7"), _) => Some(KeyKind::P256),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34"), _) => Some(KeyKind::P384),
        ("1.3.101.112", ..) => Some(KeyKind::Ed25519),
        (_, _, Ok(PublicKey::RSA(key))) => u32::try_from(key.key_size()).ok().map(KeyKind::Rsa),
        _ => None,
    }
}

/// In the order of the bits of a key's usage.
const USAGES: [(&str, KeyUsagePurpose); 9] = [
    ("digital_signature", KeyUsagePurpose::DigitalSignature),
    ("content_commitment", KeyUsagePurpose::ContentCommitment),
    ("key_encipherment", KeyUsagePurpose::KeyEncipherment),
    ("data_encipherment", KeyUsagePurpose::DataEncipherment),
    ("key_agreement", KeyUsagePurpose::KeyAgreement),
    ("cert_sign", KeyUsagePurpose::KeyCertSign),
    ("crl_sign", KeyUsagePurpose::CrlSign),
    ("encipher_only", KeyUsagePurpose::EncipherOnly),
    ("decipher_only", KeyUsagePurpose::DecipherOnly),
];

const EXTENDED: [(&str, ExtendedKeyUsagePurpose); 6] = [
    ("server_auth", ExtendedKeyUsagePurpose::ServerAuth),
    ("client_auth", ExtendedKeyUsagePurpose::ClientAuth),
    ("code_signing", ExtendedKeyUsagePurpose::CodeSigning),
    ("email_protection", ExtendedKeyUsagePurpose::EmailProtection),
    ("time_stamping", ExtendedKeyUsagePurpose::TimeStamping),
    ("ocsp_signing", ExtendedKeyUsagePurpose::OcspSigning),
];

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Makes a certificate, and its key where it is to have a new one. The key is there before the certificate that needs
/// it; one without the other is made good by the next run.
pub(crate) fn make(place: &CertificatePlace, wish: &CertificateWish, accounts: &Accounts) -> Result<(), String> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| format!("{} could not be made: {what}: {error}", place.certificate);
    let key = match &wish.new_key {
        None => {
            let pem = std::fs::read_to_string(&*place.key).map_err(|error| failed("its key", &error))?;
            keys::read(&pem).map_err(|error| failed("its key", &error))?
        }
        Some(kind) => new_key(*kind).map_err(|error| failed("its key", &error))?,
    };
    let mut params = params(wish).map_err(|error| failed("what is asked for", &error))?;
    // The key is named in the way that RFC 5280 (4.2.1.2) proposes and others expect.
    let named = Sha1::digest(key.public_key_raw()).to_vec();
    if !wish.is_authority {
        params.custom_extensions.push(CustomExtension::from_oid_content(&KEY_IDENTIFIER, keys::der(0x04, &named)));
    }
    params.key_identifier_method = KeyIdMethod::PreSpecified(named);
    params.use_authority_key_identifier_extension = place.authority.is_some();
    let (certificate, chain) = match (&place.authority, &wish.authority_key) {
        (Some(authority), Some(signer)) => {
            let given_key = String::from_utf8_lossy(&signer.0);
            let named = |what: &str, given: &str| match given.starts_with('/') {
                true => format!("{what}, {given}"),
                false => what.to_owned(),
            };
            let by = named("the certificate that signs it", authority);
            let by_key = named("the key that signs it", &given_key);
            let pem = contents(authority).map_err(|error| failed(&by, &error))?;
            let signer = contents(&given_key).map_err(|error| failed(&by_key, &error))?;
            let signer = keys::read(&signer).map_err(|error| failed(&by_key, &error))?;
            let issuer = Issuer::from_ca_cert_pem(&pem, signer).map_err(|error| failed(&by, &error))?;
            let made = params.signed_by(&key, &issuer).map_err(|error| failed("its signature", &error))?;
            (made, pem)
        }
        _ => (params.self_signed(&key).map_err(|error| failed("its signature", &error))?, String::new()),
    };
    let certificate = lines(&certificate.pem());
    let (owner, group) = (wish.owner.as_deref(), wish.group.as_deref());
    let stage = andon_schema::host::Stage::Live;
    let write = |path: &str, text: &str, mode: u32| {
        let meta = Meta { mode: Some(mode), owner, group };
        let mut fill = |file: &mut std::fs::File| {
            std::io::Write::write_all(file, text.as_bytes())
                .map_err(|error| format!("{path} could not be written: {error}"))
        };
        files::write(path, &mut fill, &meta, None, accounts, stage)
    };
    if wish.new_key.is_some() {
        write(&place.key, &lines(&key.serialize_pem()), wish.key_mode)?;
    }
    if let Some(path) = &wish.chain {
        write(path, &format!("{certificate}{chain}"), wish.mode)?;
    }
    write(&place.certificate, &certificate, wish.mode)
}

/// Text with line feeds alone.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn new_key(kind: KeyKind) -> Result<KeyPair, String> {
    let algorithm = match kind {
        KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        KeyKind::Rsa(bits) => return new_rsa_key(bits),
    };
    KeyPair::generate_for(algorithm).map_err(|error| error.to_string())
}

/// RSA's primes are left to the server's own tool. The key goes through a pipe and is on no disk yet.
fn new_rsa_key(bits: u32) -> Result<KeyPair, String> {
    let option = format!("rsa_keygen_bits:{bits}");
    let words = ["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", &option];
    let mut command = andon_schema::host::Command::new(words);
    command.secret = true;
    let mut output = crate::commands::answer(&command)?;
    if !output.succeeded() {
        // Older ones do not know how to be quiet.
        command.words.remove(2);
        output = crate::commands::answer(&command)?;
    }
    if !output.succeeded() {
        return Err(last_lines(&String::from_utf8_lossy(&output.errors.0), 3));
    }
    keys::read(&output.text())
}

fn params(wish: &CertificateWish) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (part, value) in &wish.subject {
        let kind = match &**part {
            "CN" => DnType::CommonName,
            "C" => DnType::CountryName,
            "L" => DnType::LocalityName,
            "ST" => DnType::StateOrProvinceName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            other => return Err(format!("`{other}` is not a part of a subject")),
        };
        params.distinguished_name.push(kind, &**value);
    }
    for name in &wish.dns {
        let name = (**name).try_into().map_err(|_| format!("`{name}` is not a name"))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    for address in &wish.ips {
        let address = address.parse().map_err(|_| format!("`{address}` is not an address"))?;
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    // One that says nothing of it may sign none. `rcgen` can say so, too, but in a form that strict readers refuse, such as
    // Python's.
    params.is_ca = if wish.is_authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
    for usage in &wish.usages {
        let plain = USAGES.iter().find(|(name, _)| *name == &**usage).map(|(_, it)| *it);
        let extended = EXTENDED.iter().find(|(name, _)| *name == &**usage).map(|(_, it)| it.clone());
        params.key_usages.extend(plain);
        params.extended_key_usages.extend(extended);
    }
    // A clock of another machine that is a little behind takes it, too.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now().saturating_sub(Duration::from_secs(300));
    params.not_after = epoch + now() + Duration::from_secs(u64::from(wish.days) * 86_400);
    let mut number = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut number))
        .map_err(|error| format!("no random number: {error}"))?;
    // Positive, and never shortened.
    number[0] = (number[0] & 0x3f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&number));
    Ok(params)
}
