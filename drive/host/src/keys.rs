//! Private keys as tools write them. What makes certificates knows the form of PKCS #8 alone (RFC 5958); the older forms of
//! RSA (PKCS #1) and of elliptic curves (SEC 1), which `openssl` and others write still, are wrapped into it.

use rcgen::KeyPair;
use x509_parser::pem::Pem;

/// How PKCS #8 names the algorithm of a key, in DER: RSA, and the curves P-256 and P-384.
const RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const CURVES: [&[u8]; 2] = [
    &[0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
    &[0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22],
];

/// Reads the first private key of a text in PEM; the parameters of a curve may stand before it.
pub(crate) fn read(text: &str) -> Result<KeyPair, String> {
    let blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    let Some(block) = blocks.into_iter().find(|block| block.label.ends_with("PRIVATE KEY")) else {
        return Err("it holds no private key".to_owned());
    };
    let key = |der: Vec<u8>| KeyPair::try_from(der).map_err(|error| error.to_string());
    match block.label.as_str() {
        "RSA PRIVATE KEY" => key(wrapped(RSA, &block.contents)),
        "EC PRIVATE KEY" => {
            let [first, second] = CURVES.map(|curve| key(wrapped(curve, &block.contents)));
            first.or(second)
        }
        "ENCRYPTED PRIVATE KEY" => Err("it is encrypted, and there is nobody to ask for its password".to_owned()),
        _ => key(block.contents),
    }
}

/// A key of an older form in that of PKCS #8: a version, the algorithm, and the key as it was.
fn wrapped(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der(0x30, &[&[2, 1, 0], algorithm, &der(0x04, key)].concat())
}

/// A tag, a length and content, in DER.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let length = match significant.as_slice() {
        [] => vec![0],
        [one] if *one < 0x80 => vec![*one],
        // At most eight bytes of them.
        several => [&[0x80 | several.len() as u8], several].concat(),
    };
    [&[tag], length.as_slice(), content].concat()
}
