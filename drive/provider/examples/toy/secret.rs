//! The encrypted way, as the plugin of a client that hands it a certificate.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// What takes the one client, and the certificate for the handshake; of `tls-other`, one that it does not have.
pub fn acceptor(way: &str) -> (TlsAcceptor, String) {
    let client = std::env::var("PLUGIN_CLIENT_CERT").expect("a client's certificate");
    let mut clients = RootCertStore::empty();
    clients.add(CertificateDer::from_pem_slice(client.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider.clone()).build().unwrap();
    let (certificate, key) = own();
    let shown = STANDARD_NO_PAD.encode(if way == "tls-other" { own().0 } else { certificate.clone() });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), shown)
}

fn own() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    // As plugins made with Go do, which no server's certificate may.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (parameters.self_signed(&key).unwrap().der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}
