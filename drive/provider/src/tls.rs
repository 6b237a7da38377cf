//! The encrypted way to a plugin: both sides make a certificate for this one connection, hand it to each other when the
//! plugin starts, and take no other. No authority is involved.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use p521::ecdsa::signature::Verifier;
use p521::ecdsa::{Signature, VerifyingKey};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, PrivateKeyDer, ServerName, SignatureVerificationAlgorithm,
    UnixTime, alg_id,
};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::TlsConnector;

/// The name that plugins' certificates are for.
const NAME: &str = "localhost";

/// A shorter text in the place of a plugin's certificate is none.
const SHORTEST_CERTIFICATE: usize = 50;

/// This side of one connection.
pub(crate) struct OneTime {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    /// For the plugin, which takes no client with another certificate.
    pub pem: String,
}

impl OneTime {
    /// Makes a key and its certificate.
    pub fn new() -> Result<OneTime, String> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
        let mut parameters = CertificateParams::new([NAME.to_owned()]).map_err(|error| error.to_string())?;
        parameters.distinguished_name.push(DnType::CommonName, NAME);
        // No authority, though the plugin's own says that it is one: some libraries take no client that says so.
        parameters.is_ca = IsCa::NoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.self_signed(&key).map_err(|error| error.to_string())?;
        Ok(OneTime { pem: certificate.pem(), certificate: certificate.der().clone(), key })
    }

    /// What connects to the plugin that has this certificate, and to no other.
    pub fn connector(&self, theirs: CertificateDer<'static>) -> Result<Connector, String> {
        let provider = ring::default_provider();
        let verifier = Arc::new(Pinned { theirs, others: provider.signature_verification_algorithms });
        let key = PrivateKeyDer::try_from(self.key.serialize_der())?;
        let config = client_config(provider, verifier, self.certificate.clone(), key);
        let mut config = config.map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(NAME).map_err(|error| error.to_string())?;
        Ok(Connector { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

fn client_config(
    provider: CryptoProvider,
    verifier: Arc<Pinned>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![certificate], key)
}

/// Encrypts a connection.
#[derive(Clone)]
pub(crate) struct Connector {
    pub connector: TlsConnector,
    pub name: ServerName<'static>,
}

/// The certificate in a plugin's handshake line: DER in Base64, without padding.
pub(crate) fn certificate(text: &str) -> Option<CertificateDer<'static>> {
    if text.len() <= SHORTEST_CERTIFICATE {
        return None;
    }
    STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok().map(CertificateDer::from)
}

/// Takes one certificate, byte by byte, from whoever has its key. What the certificate says does not matter: plugins'
/// own say that they are authorities, which no server's may.
#[derive(Debug)]
struct Pinned {
    theirs: CertificateDer<'static>,
    /// How signatures are verified that are not [`P521`].
    others: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn algorithms(&self, scheme: SignatureScheme) -> &WebPkiSupportedAlgorithms {
        if scheme == SignatureScheme::ECDSA_NISTP521_SHA512 { &P521 } else { &self.others }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *presented == self.theirs {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms(signature.scheme))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms(signature.scheme))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        P521.supported_schemes().into_iter().chain(self.others.supported_schemes()).collect()
    }
}

/// Plugins made with Go have keys of the curve P-521, which `ring` does not know.
static P521: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&P521Sha512],
    mapping: &[(SignatureScheme::ECDSA_NISTP521_SHA512, &[&P521Sha512])],
};

/// ECDSA on P-521 with SHA-512 (RFC 5758), as `ecdsa-with-SHA512`.
#[derive(Debug)]
struct P521Sha512;

impl SignatureVerificationAlgorithm for P521Sha512 {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
mod tests {
    use super::*;

    /// A public key, and the signature of `said` that `openssl dgst -sha512 -sign` made with its other half.
    const KEY: &str = "040005d89e053edb423f8e726d01a052c3d137de2d10bf0338c676fa5d703d78fa321e49bfeef10f8c6b9679b21890ef81d9\
         627bae95814cfd7e047a4dbbc8bccb852500525a06301a8f4c3f04ba4967e2c6397dd713cbf377090e1787e18809214d0a84\
         934efa94f1a4e67958fa3917917f736422f214d2fa1bb6ecfe23fffd904e9a6ef7";
    const SIGNATURE: &str = "3081870241241f3f34073d8e3a90c1788b140ccd66f508d206fdf77ec1d939e48ce33ae878598f2fcad2eb1a9d3e9805f3ca\
         d9403cd93e8cfa5267b64f823461788df65c55fe024200bb498c27635c0cbb66263cebae37d43d86fb9798ead2ed8c7d605d\
         27f3ffd9aa5ca200e5dd9ffdc46cf997e191e4918dbb51d567cb5da76cad9865cc86915dd61c";

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    #[test]
    fn signatures_of_the_curve_that_ring_lacks_are_verified() {
        let (key, signature) = (bytes(KEY), bytes(SIGNATURE));
        let verify = |message: &[u8], signature: &[u8]| P521Sha512.verify_signature(&key, message, signature).is_ok();
        assert!(verify(b"said", &signature));
        assert!(!verify(b"else", &signature));
        assert!(!verify(b"said", signature.get(1..).unwrap()));
        assert!(!verify(b"said", b""));
        assert!(P521Sha512.verify_signature(b"no key", b"said", &signature).is_err());
    }

    #[test]
    fn certificates_come_without_padding() {
        for length in 60..64 {
            let bytes: Vec<u8> = (0..length).collect();
            let text = STANDARD_NO_PAD.encode(&bytes);
            assert_eq!(certificate(&text).unwrap().as_ref(), bytes);
            assert_eq!(certificate(&format!("{text}==")).unwrap().as_ref(), bytes);
        }
        assert_eq!(certificate("true"), None);
        assert_eq!(certificate(&"?".repeat(80)), None);
    }
}
